//go:build unix

package process

import (
	"fmt"
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

// lockDirectory is the same for every process of the user, whatever its TMPDIR is.
func lockDirectory() string { return fmt.Sprintf("/tmp/terraform-provider-vma-%d", os.Getuid()) }

// lockFile locks a file without waiting. The lock belongs to the open file, and so to all processes that inherit it.
func lockFile(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
