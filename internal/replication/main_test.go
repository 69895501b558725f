package replication

import (
	"io"
	"log"
	"os"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
)

func TestMain(m *testing.M) {
	if migratekittest.Called() {
		os.Exit(migratekittest.Main())
	}
	log.SetOutput(io.Discard) // silence the simulator
	os.Exit(m.Run())
}
