package cbt_test

import (
	"io"
	"log"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // the simulator logs a lot
	os.Exit(m.Run())
}
