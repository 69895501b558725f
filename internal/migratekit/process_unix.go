//go:build unix

package migratekit

import (
	"os"
	"os/exec"
	"syscall"
)

// interrupt interrupts the child's process group, as a Ctrl-C in a terminal
// does: migratekit may run behind a script.
func interrupt(process *os.Process) error { return syscall.Kill(-process.Pid, syscall.SIGINT) }

// killGroup kills what is left of the child's process group.
func killGroup(process *os.Process) { _ = syscall.Kill(-process.Pid, syscall.SIGKILL) }

func wasKilled(exit *exec.ExitError) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
