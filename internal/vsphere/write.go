package vsphere

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

func vmRef(moid string) types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: "VirtualMachine", Value: moid}
}

// SetChangeTracking writes only config.changeTrackingEnabled and waits for the task. On a running VM it takes effect
// at the next stun.
func (c *Client) SetChangeTracking(ctx context.Context, vm *VM, enabled bool) error {
	_, err := c.run(ctx, vm, "set change tracking", func(vim *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.ReconfigVM_Task(ctx, vim, &types.ReconfigVM_Task{
			This: vmRef(vm.Moid),
			Spec: types.VirtualMachineConfigSpec{ChangeTrackingEnabled: &enabled},
		})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	}, "enabled", enabled)
	return err
}

// CreateSnapshot creates a snapshot without memory and without quiescing, and returns its managed object ID. On
// failure it returns a PendingSnapshotError: the snapshot may still appear.
func (c *Client) CreateSnapshot(ctx context.Context, vm *VM, name, description string) (string, error) {
	var started string
	result, err := c.run(ctx, vm, "create snapshot", func(vim *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.CreateSnapshot_Task(ctx, vim, &types.CreateSnapshot_Task{
			This: vmRef(vm.Moid), Name: name, Description: description, Memory: false, Quiesce: false,
		})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		started = res.Returnval.Value
		return res.Returnval, nil
	}, "snapshot", name)
	if err != nil {
		return "", &PendingSnapshotError{Task: started, Err: err}
	}
	ref, ok := result.(types.ManagedObjectReference)
	if !ok {
		return "", &PendingSnapshotError{Task: started, Err: fmt.Errorf("create snapshot: the task's result is a %T", result)}
	}
	return ref.Value, nil
}

// PendingSnapshotError is returned when a snapshot was requested and may or may not exist.
type PendingSnapshotError struct {
	// Task is the managed object ID of the task that creates it, "" if unknown.
	Task string
	Err  error
}

func (e *PendingSnapshotError) Error() string { return e.Err.Error() }
func (e *PendingSnapshotError) Unwrap() error { return e.Err }

// RemoveSnapshot removes one snapshot by its managed object ID, never its children, and waits for the task. A deleted
// snapshot is not an error, so it retries a request that vCenter did not answer.
func (c *Client) RemoveSnapshot(ctx context.Context, vm *VM, snapshot string) error {
	gone := false
	err := retry(ctx, func(func()) error {
		_, err := c.run(ctx, vm, "remove snapshot", func(vim *vim25.Client) (types.ManagedObjectReference, error) {
			res, err := methods.RemoveSnapshot_Task(ctx, vim, &types.RemoveSnapshot_Task{
				This:           types.ManagedObjectReference{Type: "VirtualMachineSnapshot", Value: snapshot},
				RemoveChildren: false,
				Consolidate:    new(true),
			})
			if err != nil {
				gone = errors.Is(typed(err), ErrNotFound)
				return types.ManagedObjectReference{}, err
			}
			return res.Returnval, nil
		}, "snapshot_moid", snapshot)
		return err
	})
	if gone {
		return nil
	}
	return err
}

// run starts a task on a VM, waits for its result and logs the outcome with fields.
func (c *Client) run(
	ctx context.Context, vm *VM, what string, start func(*vim25.Client) (types.ManagedObjectReference, error), fields ...any,
) (types.AnyType, error) {
	var ref types.ManagedObjectReference
	started := time.Now()
	err := c.do(ctx, what, func(vim *vim25.Client) error {
		var err error
		ref, err = start(vim)
		return err
	})
	if err != nil {
		return nil, err
	}
	result, err := c.waitTask(ctx, ref)
	fields = append([]any{"vm_path", vm.Path, "operation", what, "task", ref.Value, "duration_ms", milliseconds(started)}, fields...)
	if err != nil {
		c.log.WarnContext(ctx, "Task failed", append(fields, "error", err.Error())...)
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	c.log.Log(ctx, LevelStep, "Task completed", fields...)
	return result, nil
}
