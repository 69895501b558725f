package cbt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Manager applies the rules to VMs of one vCenter. Writes to one VM are made
// one after another. All methods may be called from any goroutine.
type Manager struct {
	vcenter *vsphere.Client
	log     *slog.Logger
	recent  *recent

	mu    sync.Mutex
	locks map[string]chan struct{}
}

// NewManager makes a manager that works through a session.
func NewManager(vcenter *vsphere.Client, log *slog.Logger) *Manager {
	return &Manager{vcenter: vcenter, log: log, recent: newRecent(), locks: map[string]chan struct{}{}}
}

// Status reads a VM by its managed object ID, now.
func (m *Manager) Status(ctx context.Context, moid string) (*Status, error) {
	m.recent.forget(moid)
	vm, err := m.vcenter.VM(ctx, moid)
	if err != nil {
		return nil, err
	}
	return NewStatus(vm), nil
}

// Find reads the VM of a name, now.
func (m *Manager) Find(ctx context.Context, name vsphere.Name) (*Status, error) {
	vm, err := m.vcenter.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	return NewStatus(vm), nil
}

// Folder reads every VM in a folder and below it, sorted by path.
func (m *Manager) Folder(ctx context.Context, folder string) (statuses []*Status, unreadable []error, err error) {
	vms, unreadable, err := m.vcenter.FolderVMs(ctx, folder)
	if err != nil {
		return nil, nil, err
	}
	for _, vm := range vms {
		statuses = append(statuses, NewStatus(vm))
	}
	return statuses, unreadable, nil
}

// Exclusive runs a cycle on a VM: meanwhile nobody else in this process runs
// one, or switches its tracking off. Ensure goes on, inside and outside of it.
func (m *Manager) Exclusive(ctx context.Context, moid string, do func() error) error {
	unlock, err := m.lock(ctx, cycleOf(moid))
	if err != nil {
		return err
	}
	defer unlock()
	defer m.recent.forget(moid) // what was read while it ran shows its snapshot
	return do()
}

// cycling says whether a cycle runs on a VM now, in this process.
func (m *Manager) cycling(moid string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.locks[cycleOf(moid)]) > 0
}

// cycleOf names the lock that a cycle holds; the VM's own ID names that of
// whoever writes to it.
func cycleOf(moid string) string { return "cycle of " + moid }

// lockAll takes both locks of a VM, for what must not happen during a cycle.
func (m *Manager) lockAll(ctx context.Context, moid string) (unlock func(), err error) {
	cycle, err := m.lock(ctx, cycleOf(moid))
	if err != nil {
		return nil, err
	}
	write, err := m.lock(ctx, moid)
	if err != nil {
		cycle()
		return nil, err
	}
	return func() { write(); cycle() }, nil
}

// lock makes the caller the only one in this process that has the lock of that
// name. The error is that of a context that ended before.
func (m *Manager) lock(ctx context.Context, name string) (unlock func(), err error) {
	m.mu.Lock()
	token := m.locks[name]
	if token == nil {
		token = make(chan struct{}, 1)
		m.locks[name] = token
	}
	m.mu.Unlock()
	select {
	case token <- struct{}{}:
		return func() { <-token }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another resource of this apply that holds the same virtual machine: %w", ctx.Err())
	}
}

const (
	firstBackOff = 100 * time.Millisecond
	lastBackOff  = 10 * time.Second
)

// patiently repeats a write while another task holds the VM: it waits for the
// task that vCenter names, until the context ends.
func (m *Manager) patiently(ctx context.Context, vm *vsphere.VM, write func() error) error {
	m.recent.forget(vm.Moid)
	defer m.recent.forget(vm.Moid)
	waited, pause := map[string]bool{}, firstBackOff
	for {
		err := write()
		var busy *vsphere.TaskInProgressError
		if !errors.As(err, &busy) {
			return err
		}
		if !waited[busy.Task] {
			what, _ := m.vcenter.DescribeTask(ctx, busy.Task) // one that has ended meanwhile has no text
			m.log.InfoContext(ctx, "Waiting for another task on the virtual machine", "vm_path", vm.Path, "task", busy.Task, "operation", what)
		}
		if err := m.vcenter.WaitTask(ctx, busy.Task); err != nil {
			return fmt.Errorf("wait for task %s, which holds the virtual machine: %w", busy.Task, err)
		}
		if !waited[busy.Task] {
			waited[busy.Task], pause = true, firstBackOff
			continue
		}
		// A task again that has ended: give vCenter time.
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for task %s, which holds the virtual machine: %w", busy.Task, ctx.Err())
		case <-time.After(pause):
			pause = min(2*pause, lastBackOff)
		}
	}
}
