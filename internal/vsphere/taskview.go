package vsphere

import (
	"context"
	"fmt"
	"time"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// taskView is a list view of the awaited tasks, and the property collector that watches it. It ends with its session.
type taskView struct {
	vim             *vim25.Client
	collector, list types.ManagedObjectReference
	gone            chan struct{} // closed when the view is discarded

	// Guarded by taskWaits.mu: the version of the last update, and the known state of unfinished tasks.
	version string
	shown   map[types.ManagedObjectReference]*types.TaskInfo
}

func newTaskView(ctx context.Context, vim *vim25.Client) (*taskView, error) {
	collector, err := methods.CreatePropertyCollector(ctx, vim, &types.CreatePropertyCollector{
		This: vim.ServiceContent.PropertyCollector,
	})
	if err != nil {
		return nil, err
	}
	list, err := methods.CreateListView(ctx, vim, &types.CreateListView{This: *vim.ServiceContent.ViewManager})
	if err != nil {
		return nil, err
	}
	_, err = methods.CreateFilter(ctx, vim, &types.CreateFilter{
		This: collector.Returnval,
		Spec: types.PropertyFilterSpec{
			// The whole info would cause an update for each change of the progress.
			PropSet: []types.PropertySpec{{Type: "Task", PathSet: []string{"info.state", "info.result", "info.error"}}},
			ObjectSet: []types.ObjectSpec{{
				Obj: list.Returnval, Skip: new(true),
				SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: "ListView", Path: "view", Skip: new(false)}},
			}},
		},
	})
	if err != nil {
		return nil, err
	}
	return &taskView{
		vim: vim, collector: collector.Returnval, list: list.Returnval,
		gone: make(chan struct{}), shown: map[types.ManagedObjectReference]*types.TaskInfo{},
	}, nil
}

// responseTimeout limits a call, on top of the time that vCenter waits for changes. Then the call is retried.
const responseTimeout = 30 * time.Second

// update waits for changes and delivers the results of ended tasks.
func (t *taskWaits) update(ctx context.Context, view *taskView) error {
	updates, err := t.updates(ctx, view)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.faults = 0
	if updates != nil { // nil: nothing changed
		view.version = updates.Version
	}
	t.mu.Unlock()
	if updates == nil {
		return nil
	}
	for _, filter := range updates.FilterSet {
		for _, update := range filter.ObjectSet {
			if update.Kind == types.ObjectUpdateKindLeave {
				t.finish(update.Obj, taskEnd{err: fmt.Errorf("task %s: %w", update.Obj.Value, ErrTaskForgotten)})
				continue
			}
			if info := t.merge(view, update); info.State == types.TaskInfoStateSuccess || info.State == types.TaskInfoStateError {
				t.finish(update.Obj, taskEnd{info: info})
			}
		}
	}
	return nil
}

// updates returns the next changes, nil if there are none. It stops early if the view is discarded.
func (t *taskWaits) updates(ctx context.Context, view *taskView) (*types.UpdateSet, error) {
	waiting, cancel := context.WithTimeout(ctx, waitSeconds*time.Second+responseTimeout)
	defer cancel()
	go func() {
		select {
		case <-view.gone:
			cancel()
		case <-waiting.Done():
		}
	}()
	t.mu.Lock()
	version := view.version
	t.mu.Unlock()
	res, err := methods.WaitForUpdatesEx(waiting, view.vim, &types.WaitForUpdatesEx{
		This:    view.collector,
		Version: version,
		Options: &types.WaitOptions{MaxWaitSeconds: types.NewInt32(waitSeconds)},
	})
	if err == nil {
		return res.Returnval, nil
	}
	select {
	case <-view.gone:
		if ctx.Err() == nil {
			return nil, errRetry
		}
	default:
	}
	return nil, t.lost(waiting, view, err)
}

// merge merges an update into the known state of a task.
func (t *taskWaits) merge(view *taskView, update types.ObjectUpdate) types.TaskInfo {
	t.mu.Lock()
	defer t.mu.Unlock()
	info := view.shown[update.Obj]
	if info == nil {
		info = &types.TaskInfo{}
		view.shown[update.Obj] = info
	}
	for _, change := range update.ChangeSet {
		switch change.Name {
		case "info.state":
			info.State, _ = change.Val.(types.TaskInfoState)
		case "info.error":
			if fault, ok := change.Val.(types.LocalizedMethodFault); ok {
				info.Error = &fault
			}
		case "info.result":
			info.Result = change.Val
		}
	}
	if info.State == types.TaskInfoStateSuccess || info.State == types.TaskInfoStateError {
		delete(view.shown, update.Obj)
	}
	return *info
}
