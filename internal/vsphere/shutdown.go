package vsphere

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// WaitForGuestShutdown returns when somebody asks the guest of a VM to shut down. Requests from before the call of ready do not count. Source: the vSphere API's
// VmGuestShutdownEvent.
func (c *Client) WaitForGuestShutdown(ctx context.Context, moid string, ready func()) error {
	before := int32(-1) // the newest event from before
	seen := func(changes []types.PropertyChange) bool {
		newest := int32(0)
		for _, change := range changes {
			page, _ := change.Val.(types.ArrayOfEvent)
			for _, event := range page.Event {
				if _, ok := event.(*types.VmGuestShutdownEvent); ok {
					newest = max(newest, event.GetEvent().Key)
				}
			}
		}
		if before < 0 {
			before = newest
			ready()
		}
		return newest > before
	}
	for {
		err := c.watchShutdowns(ctx, moid, seen)
		if !errors.Is(err, ErrNotFound) || ctx.Err() != nil {
			return err
		}
		// The collector ended with its session. If the VM is gone too, the next one cannot be created.
	}
}

func (c *Client) watchShutdowns(ctx context.Context, moid string, seen func([]types.PropertyChange) bool) error {
	vim, err := c.connect(ctx)
	if err != nil {
		return err
	}
	if vim.ServiceContent.EventManager == nil {
		return errors.New("watch the events of the virtual machine: this vCenter has no EventManager")
	}
	created, err := methods.CreateCollectorForEvents(ctx, vim, &types.CreateCollectorForEvents{
		This: *vim.ServiceContent.EventManager,
		Filter: types.EventFilterSpec{
			Entity:      &types.EventFilterSpecByEntity{Entity: vmRef(moid), Recursion: types.EventFilterSpecRecursionOptionSelf},
			EventTypeId: []string{"VmGuestShutdownEvent"},
		},
	})
	if err != nil {
		return fmt.Errorf("watch the events of the virtual machine: %w", typed(err))
	}
	defer destroyHistory(ctx, vim, created.Returnval)
	return c.watch(ctx, created.Returnval, []string{"latestPage"}, seen)
}

func destroyHistory(ctx context.Context, vim *vim25.Client, collector types.ManagedObjectReference) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	// On failure, the collector ends with the session.
	_, _ = methods.DestroyCollector(ctx, vim, &types.DestroyCollector{This: collector})
}

// WaitForPowerOff returns when a VM is off.
func (c *Client) WaitForPowerOff(ctx context.Context, moid string) error {
	return c.watch(ctx, vmRef(moid), []string{"runtime.powerState"}, func(changes []types.PropertyChange) bool {
		for _, change := range changes {
			if change.Val == types.VirtualMachinePowerStatePoweredOff {
				return true
			}
		}
		return false
	})
}

// PowerOff turns a VM off, without its guest.
func (c *Client) PowerOff(ctx context.Context, vm *VM) error {
	_, err := c.run(ctx, vm, "power off", func(vim *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.PowerOffVM_Task(ctx, vim, &types.PowerOffVM_Task{This: vmRef(vm.Moid)})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	return err
}
