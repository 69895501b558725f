//go:build unix

package migratekit

import (
	"os"
	"os/exec"
	"syscall"
)

func interrupt(process *os.Process) error { return process.Signal(os.Interrupt) }

// killGroup kills what is left of the child's process group.
func killGroup(process *os.Process) { _ = syscall.Kill(-process.Pid, syscall.SIGKILL) }

func wasKilled(exit *exec.ExitError) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
