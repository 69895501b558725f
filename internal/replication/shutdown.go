package replication

import (
	"context"
	"errors"
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

// errGuestHangs stops migratekit.
var errGuestHangs = errors.New("the guest did not shut down in time")

// guardShutdown watches the guest's shutdown in a cutover: migratekit itself waits for ever. It returns the context to run migratekit with, and a function that
// ends the watch and must be called with migratekit's error.
func (r *Runner) guardShutdown(ctx context.Context, cycle *Cycle, status *cbt.Status) (running context.Context, end func(error) error) {
	if !cycle.Target.Final() || cycle.Shutdown.Timeout <= 0 || status.VM.PowerState == poweredOff {
		return ctx, func(err error) error { return err }
	}
	running, stop := context.WithCancelCause(ctx)
	watching, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := r.vcenter.WaitForGuestShutdown(watching, cycle.Moid); err != nil {
			if watching.Err() == nil {
				r.log.WarnContext(ctx, "Unable to watch the shutdown of the guest", "vm_path", status.VM.Path, "error", err.Error())
			}
			return
		}
		r.log.InfoContext(ctx, "The guest was asked to shut down", "vm_path", status.VM.Path, "timeout", cycle.Shutdown.Timeout.String())
		limited, done := context.WithTimeout(watching, cycle.Shutdown.Timeout)
		defer done()
		if err := r.vcenter.WaitForPowerOff(limited, cycle.Moid); err == nil || watching.Err() != nil {
			return
		}
		if cycle.Shutdown.PowerOff {
			r.log.WarnContext(ctx, "Powering off the virtual machine, because its guest did not shut down in time", "vm_path", status.VM.Path)
			if err := r.vcenter.PowerOff(watching, status.VM); err == nil {
				return
			}
		}
		stop(errGuestHangs)
	}()
	return running, func(err error) error {
		cancel()
		<-ended
		defer stop(nil)
		if err != nil && errors.Is(context.Cause(running), errGuestHangs) {
			return &ShutdownTimeoutError{After: cycle.Shutdown.Timeout, Err: withoutCancel(err)}
		}
		return err
	}
}

// withoutCancel returns how migratekit ended, without the cancellation that made it end.
func withoutCancel(err error) error {
	if exit, ok := errors.AsType[*process.ExitError](err); ok {
		return exit
	}
	return err
}
