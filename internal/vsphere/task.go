package vsphere

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/task"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// waitTask waits for a task and returns its result. A lost session does not end the wait: the task continues.
func (c *Client) waitTask(ctx context.Context, ref types.ManagedObjectReference) (types.AnyType, error) {
	info, err := c.tasks.wait(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("wait for task %s: %w", ref.Value, err)
	}
	if info.Error != nil {
		return nil, &taskError{typed(task.Error{LocalizedMethodFault: info.Error})}
	}
	return info.Result, nil
}

// ErrTaskForgotten is returned when vCenter no longer knows a task, for example after a restart. Read the object to
// see whether the task succeeded.
var ErrTaskForgotten = errors.New("vCenter no longer knows the task")

// WaitTask waits until another client's task succeeds or fails. A task that vCenter no longer knows has ended.
func (c *Client) WaitTask(ctx context.Context, moid string) error {
	_, err := c.waitTask(ctx, types.ManagedObjectReference{Type: "Task", Value: moid})
	if _, ended := errors.AsType[*taskError](err); ended || errors.Is(err, ErrTaskForgotten) {
		return nil
	}
	return err
}

// DescribeTask returns a task's API operation and the account that started it, as text, in one call.
func (c *Client) DescribeTask(ctx context.Context, moid string) (string, error) {
	var text string
	ref := types.ManagedObjectReference{Type: "Task", Value: moid}
	err := c.do(ctx, "read task "+moid, func(vim *vim25.Client) error {
		return retrieve(ctx, vim, types.PropertyFilterSpec{
			PropSet:   []types.PropertySpec{{Type: ref.Type, PathSet: []string{"info"}}},
			ObjectSet: []types.ObjectSpec{{Obj: ref}},
		}, eachTask(func(_ string, info types.TaskInfo) { text = describe(info) }))
	})
	return text, err
}

func describe(info types.TaskInfo) string {
	switch reason := info.Reason.(type) {
	case *types.TaskReasonUser:
		return fmt.Sprintf("%s by %s", info.DescriptionId, reason.UserName)
	case *types.TaskReasonSchedule:
		return fmt.Sprintf("%s by the schedule %q", info.DescriptionId, reason.Name)
	case *types.TaskReasonSystem:
		return info.DescriptionId + " by vCenter itself"
	}
	return info.DescriptionId
}

// taskError reports that the task failed, as opposed to the wait for it.
type taskError struct{ err error }

func (e *taskError) Error() string { return e.err.Error() }
func (e *taskError) Unwrap() error { return e.err }

// SnapshotTasks returns the recent tasks of any client that create a snapshot of a VM, by managed object ID, and whether they are still
// queued or running. It is one call. vCenter keeps ended tasks for about ten minutes.
func (c *Client) SnapshotTasks(ctx context.Context, moid string) (running map[string]bool, err error) {
	running = map[string]bool{}
	err = c.recentTasks(ctx, moid, func(task string, info types.TaskInfo) {
		if strings.HasPrefix(info.DescriptionId, "VirtualMachine.createSnapshot") {
			running[task] = isRunning(info)
		}
	})
	return running, err
}

// IsBusy reports whether a task of any client is queued or running on a VM. It is one call.
func (c *Client) IsBusy(ctx context.Context, moid string) (busy bool, err error) {
	err = c.recentTasks(ctx, moid, func(_ string, info types.TaskInfo) { busy = busy || isRunning(info) })
	return busy, err
}

func isRunning(info types.TaskInfo) bool {
	return info.State == types.TaskInfoStateQueued || info.State == types.TaskInfoStateRunning
}

func (c *Client) recentTasks(ctx context.Context, moid string, do func(task string, info types.TaskInfo)) error {
	spec := types.PropertyFilterSpec{
		PropSet: []types.PropertySpec{{Type: "Task", PathSet: []string{"info"}}},
		ObjectSet: []types.ObjectSpec{{
			Obj:  vmRef(moid),
			Skip: new(true),
			SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{
				Type: "VirtualMachine", Path: "recentTask", Skip: new(false),
			}},
		}},
	}
	return c.do(ctx, "read tasks", func(vim *vim25.Client) error { return retrieve(ctx, vim, spec, eachTask(do)) })
}

// WaitForSnapshotTasks waits until no task is creating a snapshot of a VM, then reads the VM. It retries while vCenter does not
// answer, for up to 15 minutes, because the caller must find late snapshots.
func (c *Client) WaitForSnapshotTasks(ctx context.Context, moid string) (vm *VM, err error) {
	err = retry(ctx, func(func()) error {
		tasks, err := c.SnapshotTasks(ctx, moid)
		if err != nil {
			return err
		}
		for task, running := range tasks {
			if !running {
				continue
			}
			if err := c.WaitTask(ctx, task); err != nil {
				return err
			}
		}
		vm, err = c.VM(ctx, moid)
		return err
	})
	return vm, err
}

// eachTask returns a page handler that calls do for each task.
func eachTask(do func(moid string, info types.TaskInfo)) func(page []types.ObjectContent) {
	return func(page []types.ObjectContent) {
		for _, object := range page {
			for _, property := range object.PropSet {
				if info, ok := property.Val.(types.TaskInfo); ok {
					do(object.Obj.Value, info)
				}
			}
		}
	}
}
