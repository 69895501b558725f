package vsphere_test

import (
	"io"
	"log"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // the simulator's own chatter
	os.Exit(m.Run())
}
