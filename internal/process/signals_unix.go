//go:build unix

package process

import (
	"errors"
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

func isPrivate(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.IsDir() && info.Mode().Perm()&0o077 == 0 && int64(stat.Uid) == int64(os.Getuid())
}

// lockFile locks a file without waiting. The lock belongs to the open file, and so to all processes that inherit it.
func lockFile(file *os.File) error {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
