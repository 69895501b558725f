package vsphere

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// taskWaits waits for all tasks of the process through one property collector
// with one filter, which shows the tasks that are in a list view.
type taskWaits struct {
	client *Client
	adding *gatherer[types.ManagedObjectReference, struct{}]

	opening chan struct{} // has room for who makes a view

	mu      sync.Mutex
	waiting map[types.ManagedObjectReference][]chan<- taskEnd
	ended   map[types.ManagedObjectReference]taskEnd // for good: asked once more, nobody need be
	remove  []types.ManagedObjectReference           // ended, and still in the view
	view    *taskView                                // nil where there is none
	stop    context.CancelFunc                       // ends the wait that is under way, nil where none is
	faults  int                                      // that vCenter answered with in a row
}

// maxFaults is how often vCenter may answer the shared wait with a fault before
// all who wait are told: it is about none of their tasks.
const maxFaults = 3

// taskEnd is how a task ended, or why that cannot be told.
type taskEnd struct {
	info types.TaskInfo
	err  error
}

func newTaskWaits(client *Client) *taskWaits {
	t := &taskWaits{
		client:  client,
		opening: make(chan struct{}, 1),
		waiting: map[types.ManagedObjectReference][]chan<- taskEnd{},
		ended:   map[types.ManagedObjectReference]taskEnd{},
	}
	t.adding = &gatherer[types.ManagedObjectReference, struct{}]{client: client, call: t.add}
	return t
}

// wait waits until a task has ended. Errors: ErrTaskForgotten where vCenter
// does not know it, or forgets it.
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
		t.forget(task, end)
		return types.TaskInfo{}, err
	}
	select {
	case ended := <-end:
		return ended.info, withCause(ctx, ended.err)
	case <-ctx.Done():
		t.forget(task, end)
		return types.TaskInfo{}, ctx.Err()
	}
}

// forget is for whoever does not wait to the end; the task stays in the view. A
// wait in which nobody has a part any more is ended: it may be what hangs.
func (t *taskWaits) forget(task types.ManagedObjectReference, end chan<- taskEnd) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[task] = slices.DeleteFunc(t.waiting[task], func(other chan<- taskEnd) bool { return other == end })
	if len(t.waiting[task]) == 0 {
		delete(t.waiting, task)
	}
	if len(t.waiting) == 0 {
		t.halt()
	}
}

// halt ends the wait that is under way, and lets go of its view.
func (t *taskWaits) halt() {
	if t.stop != nil {
		t.stop()
		t.stop, t.view = nil, nil
	}
}

// close ends what is under way before the session ends.
func (t *taskWaits) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tellAll(ErrClosed)
	t.halt()
}

// tell says to all who wait for a task how it ended.
func (t *taskWaits) tell(task types.ManagedObjectReference, end taskEnd) {
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

// add puts tasks into the view, takes those out that have ended, and sees to it
// that somebody waits.
func (t *taskWaits) add(ctx context.Context, tasks []types.ManagedObjectReference) (map[types.ManagedObjectReference]answer[struct{}], error) {
	err := persist(ctx, func(func()) error {
		view, fresh, err := t.open(ctx)
		if err != nil || fresh { // one that was just made has all that are waited for
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
			t.attend(waiting)
		}()
	}
	return nil, nil
}

// modify tells whoever waits for a task that vCenter does not know.
func (t *taskWaits) modify(ctx context.Context, view *taskView, tasks []types.ManagedObjectReference) error {
	t.mu.Lock()
	remove := t.remove
	t.remove = nil
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, unanswered)
	defer cancel()
	res, err := methods.ModifyListView(ctx, view.vim, &types.ModifyListView{This: view.list, Add: tasks, Remove: remove})
	if err != nil {
		return t.lost(ctx, view, err)
	}
	for _, unknown := range res.Returnval {
		t.tell(unknown, taskEnd{err: fmt.Errorf("task %s: %w", unknown.Value, ErrTaskForgotten)})
	}
	return nil
}

// lost lets go of a view whose call failed: it may have ended with its session, or
// be in a state that nobody knows.
func (t *taskWaits) lost(ctx context.Context, view *taskView, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.view == view {
		t.view = nil
		close(view.gone) // whoever waits with it is to wait with the next one
	}
	switch fault := faultOf(err).(type) {
	case *types.InvalidCollectorVersion:
		return errAskAgain
	case *types.ManagedObjectNotFound:
		if fault.Obj == view.collector || fault.Obj == view.list {
			return errAskAgain
		}
	}
	return t.again(ctx, err)
}

// again lets what vCenter answered with a fault be tried again, a few times. It is
// called with t.mu held.
func (t *taskWaits) again(ctx context.Context, err error) error {
	if faultOf(err) != nil && t.faults < maxFaults {
		t.faults++
		return errAskAgain
	}
	return withCause(ctx, typed(err))
}

// open gives the view, and makes it where there is none, with all tasks in it
// that are waited for.
func (t *taskWaits) open(ctx context.Context) (view *taskView, fresh bool, err error) {
	select {
	case t.opening <- struct{}{}:
		defer func() { <-t.opening }()
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
	ctx, cancel := context.WithTimeout(ctx, unanswered)
	defer cancel()
	if view, err = newTaskView(ctx, vim); err != nil {
		if _, gone := faultOf(err).(*types.ManagedObjectNotFound); gone {
			return nil, false, errAskAgain // the session ended meanwhile
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		return nil, false, t.again(ctx, err)
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

// attend waits for updates for as long as anybody waits for a task.
func (t *taskWaits) attend(ctx context.Context) {
	err := persist(ctx, func(answered func()) error {
		for t.wanted() {
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
	t.tellAll(err)
	t.stop, t.view = nil, nil
}

// tellAll tells whoever waits why nothing will be known. It is called with t.mu
// held.
func (t *taskWaits) tellAll(err error) {
	t.faults = 0
	for _, waiting := range t.waiting {
		for _, to := range waiting {
			to <- taskEnd{err: err}
		}
	}
	clear(t.waiting)
}

// wanted says whether anybody waits for a task. Where nobody does, the next one
// begins to attend anew.
func (t *taskWaits) wanted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.stop = nil
	}
	return len(t.waiting) > 0
}
