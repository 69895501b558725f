package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// child describes the migratekit process to run.
type child struct {
	program     string
	args        []string
	environment []string
	stopGrace   time.Duration
	// temporary is removed by the guard if this process is killed.
	temporary string
	// output is the write end of a pipe, for stdout and stderr. guarded is the read end: the guard keeps it open, so that
	// the child does not die of a broken pipe.
	output, guarded *os.File
	// locks are held by the guard until the child has ended, even if this process is killed.
	locks Locks
}

// supervise runs the child from one thread of the operating system, and holds that thread until the child ends: Linux
// sends the parent-death signal when the thread that started a child ends.
func supervise(ctx context.Context, c child) (started bool, err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started, err = c.run(ctx)
	}()
	<-ended
	return started, err
}

func (c child) run(ctx context.Context) (started bool, err error) {
	cmd := exec.CommandContext(ctx, c.program, c.args...) //nolint:gosec // running this program is what the package is for
	cmd.Env = c.environment
	cmd.Stdout, cmd.Stderr = c.output, c.output
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return interrupt(cmd.Process) }
	cmd.WaitDelay = max(c.stopGrace, 1) // 0 would mean no limit
	if err := ctx.Err(); err != nil {
		return false, err
	}
	guard, err := startGuard(ctx, c.stopGrace, c.temporary, c.guarded, c.locks)
	if err != nil {
		return false, err
	}
	defer guard.dismiss()
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start migratekit: %w", err)
	}
	guard.watch(cmd.Process.Pid)
	c.locks.describe(fmt.Sprintf(runningPrefix+"%d, started by process %d (%s)", cmd.Process.Pid, os.Getpid(), filepath.Base(os.Args[0])))
	err = cmd.Wait()
	killGroup(cmd.Process) // processes that it started and left
	var exit *exec.ExitError
	switch {
	case err == nil, cmd.ProcessState != nil && cmd.ProcessState.Success():
		return true, nil // even if it was interrupted
	case errors.As(err, &exit):
		err = &ExitError{Err: exit, Killed: ctx.Err() != nil && wasKilled(exit)}
	default:
		err = fmt.Errorf("wait for migratekit: %w", err)
	}
	if ctx.Err() != nil { // Wait returns only the exit status
		return true, fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return true, err
}
