package vsphere

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// taskWaits waits for all tasks of the process, with one property collector that watches the tasks in a list view.
type taskWaits struct {
	client *Client
	adding *batcher[types.ManagedObjectReference, struct{}]

	viewLock chan struct{} // semaphore: one caller creates the view

	mu      sync.Mutex
	waiting map[types.ManagedObjectReference][]chan<- taskEnd
	ended   map[types.ManagedObjectReference]taskEnd // kept, so that vCenter is never asked again
	remove  []types.ManagedObjectReference           // ended, but still in the view
	view    *taskView                                // nil if there is none
	stop    context.CancelFunc                       // cancels the shared wait, nil if none is running
	faults  int                                      // consecutive faults from vCenter
}

// maxFaults limits retries of the shared wait after consecutive faults. Then all callers get the error, since the
// fault concerns no single task.
const maxFaults = 3

// taskEnd is how a task ended, or why that is unknown.
type taskEnd struct {
	info types.TaskInfo
	err  error
}

func newTaskWaits(client *Client) *taskWaits {
	t := &taskWaits{
		client:   client,
		viewLock: make(chan struct{}, 1),
		waiting:  map[types.ManagedObjectReference][]chan<- taskEnd{},
		ended:    map[types.ManagedObjectReference]taskEnd{},
	}
	t.adding = newBatcher(client, t.add)
	return t
}

// wait waits until a task has ended. Errors: ErrTaskForgotten if vCenter does not (or no longer) know the task.
func (t *taskWaits) wait(ctx context.Context, task types.ManagedObjectReference) (types.TaskInfo, error) {
	end := make(chan taskEnd, 1)
	t.mu.Lock()
	if ended, ok := t.ended[task]; ok {
		t.mu.Unlock()
		return ended.info, ended.err
	}
	t.waiting[task] = append(t.waiting[task], end)
	t.mu.Unlock()
	if _, _, err := t.adding.do(ctx, task); err != nil {
		t.unsubscribe(task, end)
		return types.TaskInfo{}, err
	}
	select {
	case ended := <-end:
		return ended.info, withCause(ctx, ended.err)
	case <-ctx.Done():
		t.unsubscribe(task, end)
		return types.TaskInfo{}, ctx.Err()
	}
}

// unsubscribe removes a caller that gives up; the task stays in the view. It cancels the shared wait after the last
// caller, since that wait may hang.
func (t *taskWaits) unsubscribe(task types.ManagedObjectReference, end chan<- taskEnd) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[task] = slices.DeleteFunc(t.waiting[task], func(other chan<- taskEnd) bool { return other == end })
	if len(t.waiting[task]) == 0 {
		delete(t.waiting, task)
	}
	if len(t.waiting) == 0 {
		t.stopWaiting()
	}
}

// stopWaiting cancels the shared wait and discards its view. The caller holds t.mu.
func (t *taskWaits) stopWaiting() {
	if t.stop != nil {
		t.stop()
		t.stop, t.view = nil, nil
	}
}

// close fails all callers and cancels the shared wait, before the logout.
func (t *taskWaits) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failAll(ErrClosed)
	t.stopWaiting()
}

// finish delivers a task's outcome to all callers that wait for it.
func (t *taskWaits) finish(task types.ManagedObjectReference, end taskEnd) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.ended[task]; ok {
		return
	}
	t.ended[task] = end
	t.remove = append(t.remove, task)
	for _, to := range t.waiting[task] {
		to <- end
	}
	delete(t.waiting, task)
}

// add puts tasks into the view, removes ended ones, and starts the shared wait if needed.
func (t *taskWaits) add(ctx context.Context, tasks []types.ManagedObjectReference) (map[types.ManagedObjectReference]answer[struct{}], error) {
	err := retry(ctx, func(func()) error {
		view, fresh, err := t.open(ctx)
		if err != nil || fresh { // a new view already contains all awaited tasks
			return err
		}
		return t.modify(ctx, view, tasks)
	})
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop == nil && len(t.waiting) > 0 {
		waiting, stop := context.WithCancel(context.WithoutCancel(ctx))
		t.stop = stop
		go func() {
			defer stop()
			t.waitForUpdates(waiting)
		}()
	}
	return nil, nil
}

// modify updates the list view. A task that vCenter does not know ends with ErrTaskForgotten.
func (t *taskWaits) modify(ctx context.Context, view *taskView, tasks []types.ManagedObjectReference) error {
	t.mu.Lock()
	remove := t.remove
	t.remove = nil
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, responseTimeout)
	defer cancel()
	res, err := methods.ModifyListView(ctx, view.vim, &types.ModifyListView{This: view.list, Add: tasks, Remove: remove})
	if err != nil {
		return t.lost(ctx, view, err)
	}
	for _, unknown := range res.Returnval {
		t.finish(unknown, taskEnd{err: fmt.Errorf("task %s: %w", unknown.Value, ErrTaskForgotten)})
	}
	return nil
}

// lost discards a view after a failed call: it may have ended with its session, or its state is unknown.
func (t *taskWaits) lost(ctx context.Context, view *taskView, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.view == view {
		t.view = nil
		close(view.gone) // the shared wait continues with the next view
	}
	switch fault := faultOf(err).(type) {
	case *types.InvalidCollectorVersion:
		return errRetry
	case *types.ManagedObjectNotFound:
		if fault.Obj == view.collector || fault.Obj == view.list {
			return errRetry
		}
	}
	return t.retryFault(ctx, err)
}

// retryFault allows maxFaults retries after faults. The caller holds t.mu.
func (t *taskWaits) retryFault(ctx context.Context, err error) error {
	if faultOf(err) != nil && t.faults < maxFaults {
		t.faults++
		return errRetry
	}
	return withCause(ctx, typed(err))
}

// open returns the view. If there is none, it creates one that contains all awaited tasks.
func (t *taskWaits) open(ctx context.Context) (view *taskView, fresh bool, err error) {
	select {
	case t.viewLock <- struct{}{}:
		defer func() { <-t.viewLock }()
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	t.mu.Lock()
	view = t.view
	t.mu.Unlock()
	if view != nil {
		return view, false, nil
	}
	vim, err := t.client.connect(ctx)
	if err != nil {
		return nil, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, responseTimeout)
	defer cancel()
	if view, err = newTaskView(ctx, vim); err != nil {
		if _, gone := faultOf(err).(*types.ManagedObjectNotFound); gone {
			return nil, false, errRetry // the session ended meanwhile
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		return nil, false, t.retryFault(ctx, err)
	}
	t.mu.Lock()
	t.remove = nil
	var tasks []types.ManagedObjectReference
	for task := range t.waiting {
		tasks = append(tasks, task)
	}
	t.view = view
	t.mu.Unlock()
	return view, true, t.modify(ctx, view, tasks)
}

// waitForUpdates waits for updates while any caller waits for a task.
func (t *taskWaits) waitForUpdates(ctx context.Context) {
	err := retry(ctx, func(answered func()) error {
		for t.hasWaiters() {
			view, _, err := t.open(ctx)
			if err == nil {
				err = t.update(ctx, view)
			}
			if err != nil {
				return err
			}
			answered()
		}
		return nil
	})
	if err == nil || ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failAll(err)
	t.stop, t.view = nil, nil
}

// failAll fails all waiting callers with err. The caller holds t.mu.
func (t *taskWaits) failAll(err error) {
	t.faults = 0
	for _, waiting := range t.waiting {
		for _, to := range waiting {
			to <- taskEnd{err: err}
		}
	}
	clear(t.waiting)
}

// hasWaiters reports whether any caller waits for a task. If not, the next one starts the shared wait again.
func (t *taskWaits) hasWaiters() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.stop = nil
	}
	return len(t.waiting) > 0
}
