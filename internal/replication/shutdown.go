package replication

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/process"
)

// Shutdown is what to do with a guest that does not shut down in a cutover.
type Shutdown struct {
	// Timeout is how long it may take, since vCenter's event; 0 is no limit.
	Timeout time.Duration
	// PowerOff turns the VM off then. Without it migratekit is stopped.
	PowerOff bool
}

// guardShutdown watches the guest's shutdown in a cutover: migratekit itself waits for ever. It returns the context to run migratekit with, and a function that
// ends the watch and must be called with migratekit's error.
func (r *Runner) guardShutdown(ctx context.Context, cycle *Cycle, status *cbt.Status) (running context.Context, end func(error) error) {
	if !cycle.Target.Final() || cycle.Shutdown.Timeout <= 0 || status.VM.PowerState == poweredOff {
		return ctx, func(err error) error { return err }
	}
	running, stop := context.WithCancelCause(ctx)
	watching, cancel := context.WithCancel(ctx)
	begun, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.watchShutdown(watching, cycle, status, sync.OnceFunc(func() { close(begun) })); err != nil {
			stop(err)
		}
	}()
	select { // an event from before the watch is not seen
	case <-begun:
	case <-ended:
	case <-ctx.Done():
	}
	return running, func(err error) error {
		cancel()
		<-ended
		defer stop(nil)
		if hangs, ok := errors.AsType[*ShutdownTimeoutError](context.Cause(running)); ok && err != nil {
			return &ShutdownTimeoutError{After: hangs.After, Err: errors.Join(withoutCancel(err), hangs.Err)}
		}
		return err
	}
}

// watchShutdown waits until the guest is asked to shut down, and then until it is off. It returns a ShutdownTimeoutError if migratekit is to be stopped. If vCenter does not tell,
// migratekit goes on.
func (r *Runner) watchShutdown(ctx context.Context, cycle *Cycle, status *cbt.Status, begun func()) error {
	unable := func(err error) {
		if ctx.Err() == nil {
			r.log.WarnContext(ctx, "Unable to watch the shutdown of the guest", "vm_path", status.VM.Path, "error", err.Error())
		}
	}
	if err := r.vcenter.WaitForGuestShutdown(ctx, cycle.Moid, begun); err != nil {
		unable(err)
		return nil
	}
	r.log.InfoContext(ctx, "The guest was asked to shut down", "vm_path", status.VM.Path, "timeout", cycle.Shutdown.Timeout.String())
	limited, done := context.WithTimeout(ctx, cycle.Shutdown.Timeout)
	defer done()
	if err := r.vcenter.WaitForPowerOff(limited, cycle.Moid); err == nil || ctx.Err() != nil || limited.Err() == nil {
		if err != nil {
			unable(err)
		}
		return nil
	}
	timeout := &ShutdownTimeoutError{After: cycle.Shutdown.Timeout}
	if !cycle.Shutdown.PowerOff {
		return timeout
	}
	r.log.WarnContext(ctx, "Powering off the virtual machine, because its guest did not shut down in time", "vm_path", status.VM.Path)
	err := r.vcenter.PowerOff(ctx, status.VM)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	if now, readErr := r.manager.ReadUncached(ctx, cycle.Moid); readErr == nil && now.VM.PowerState == poweredOff {
		return nil // the guest was faster
	}
	timeout.Err = err
	return timeout
}

// withoutCancel returns how migratekit ended, without the cancellation that made it end.
func withoutCancel(err error) error {
	if exit, ok := errors.AsType[*process.ExitError](err); ok {
		return exit
	}
	return err
}
