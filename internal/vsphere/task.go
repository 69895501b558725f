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

// waitTask waits until a task has ended and gives its result. A task outlives
// the session that started it, so a lost session does not end the wait.
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

// ErrTaskForgotten says that vCenter does not know a task any more: it may have
// been restarted. How the task ended is seen by what it was to change.
var ErrTaskForgotten = errors.New("vCenter has forgotten the task")

// WaitTask waits until a task that somebody else started has ended, well or
// not. A task that vCenter has forgotten is one that ended.
func (c *Client) WaitTask(ctx context.Context, moid string) error {
	_, err := c.waitTask(ctx, types.ManagedObjectReference{Type: "Task", Value: moid})
	if _, ended := errors.AsType[*taskError](err); ended || errors.Is(err, ErrTaskForgotten) {
		return nil
	}
	return err
}

// DescribeTask says what a task does and who started it, for a reader: the
// operation's name in the API, and the account; one call.
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

// taskError says that a task ended badly, and not that the wait for it did.
type taskError struct{ err error }

func (e *taskError) Error() string { return e.err.Error() }
func (e *taskError) Unwrap() error { return e.err }

// SnapshotTasks are the managed object IDs of the tasks that are making a
// snapshot of a VM now, whoever started them; one call.
func (c *Client) SnapshotTasks(ctx context.Context, moid string) ([]string, error) {
	var running []string
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
	err := c.do(ctx, "read tasks", func(vim *vim25.Client) error {
		return retrieve(ctx, vim, spec, eachTask(func(moid string, info types.TaskInfo) {
			if makesSnapshot(info) {
				running = append(running, moid)
			}
		}))
	})
	return running, err
}

// Settled reads a VM once no task makes a snapshot of it any more. It goes on where
// vCenter does not answer for a while (15 minutes), until the context ends: what comes
// after it must be found.
func (c *Client) Settled(ctx context.Context, moid string) (vm *VM, err error) {
	err = persist(ctx, func(func()) error {
		tasks, err := c.SnapshotTasks(ctx, moid)
		if err != nil {
			return err
		}
		for _, task := range tasks {
			if err := c.WaitTask(ctx, task); err != nil {
				return err
			}
		}
		vm, err = c.VM(ctx, moid)
		return err
	})
	return vm, err
}

// eachTask goes through the pages of a retrieval of tasks.
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

// makesSnapshot says that a task is making a snapshot now.
func makesSnapshot(info types.TaskInfo) bool {
	return strings.HasPrefix(info.DescriptionId, "VirtualMachine.createSnapshot") &&
		(info.State == types.TaskInfoStateQueued || info.State == types.TaskInfoStateRunning)
}
