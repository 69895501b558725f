package vsphere_test

import (
	"io"
	"log"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // the simulator logs there
	os.Exit(m.Run())
}
