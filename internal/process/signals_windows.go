package process

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// ownGroup puts the child into its own process group, so that a Ctrl-C in the console does not reach it.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// interrupt kills the child, because Windows cannot interrupt one process.
func interrupt(process *os.Process) error { return process.Kill() }

// killGroup does nothing, because Windows has no signal for a group.
func killGroup(*os.Process) {}

func wasKilled(*exec.ExitError) bool { return false }

// guard does nothing, because Windows has no signal for a group.
type guard struct{}

func startGuard(context.Context, time.Duration, string, *os.File, []*os.File) (*guard, error) {
	return &guard{}, nil
}

func (*guard) watch(int) {}
func (*guard) dismiss()  {}

// isPrivate is true, because the directory for temporary files is the user's own.
func isPrivate(os.FileInfo) bool { return true }

// lockFile does nothing, because a lock that a killed provider leaves could not be told from one that is held.
func lockFile(*os.File) error { return nil }
