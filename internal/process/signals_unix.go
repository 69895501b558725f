//go:build unix

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// interrupt interrupts the whole process group, as a Ctrl-C in a terminal does, because migratekit may run behind a script.
func interrupt(process *os.Process) error { return syscall.Kill(-process.Pid, syscall.SIGINT) }

func killGroup(process *os.Process) { _ = syscall.Kill(-process.Pid, syscall.SIGKILL) }

func wasKilled(exit *exec.ExitError) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
