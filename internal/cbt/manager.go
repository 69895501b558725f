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

// Manager applies the CBT rules to VMs of one vCenter. It serializes writes to each VM. It is safe for concurrent use.
type Manager struct {
	vcenter *vsphere.Client
	log     *slog.Logger
	cache   *statusCache

	mu    sync.Mutex
	locks map[string]chan struct{}
}

// NewManager returns a Manager that uses a vCenter session.
func NewManager(vcenter *vsphere.Client, log *slog.Logger) *Manager {
	return &Manager{vcenter: vcenter, log: log, cache: newStatusCache(), locks: map[string]chan struct{}{}}
}

// Exclusive calls do while it holds the cycle lock of a VM. Within this process, other cycles, Disable and Reset of that VM
// wait; Ensure does not.
func (m *Manager) Exclusive(ctx context.Context, moid string, do func() error) error {
	unlock, err := m.lock(ctx, cycleOf(moid))
	if err != nil {
		return err
	}
	defer unlock()
	defer m.cache.invalidate(moid) // a status cached during the cycle shows its snapshot
	return do()
}

// cycling reports whether this process runs a cycle on the VM.
func (m *Manager) cycling(moid string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.locks[cycleOf(moid)]) > 0
}

// cycleOf returns the name of a VM's cycle lock. Its write lock is named after the managed object ID alone.
func cycleOf(moid string) string { return "cycle of " + moid }

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

// lock takes a named lock within this process. It fails only if ctx ends first.
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
		return nil, fmt.Errorf("wait for another resource in this apply that is using the same virtual machine: %w", ctx.Err())
	}
}

const (
	firstBackOff = 100 * time.Millisecond
	lastBackOff  = 10 * time.Second
)

// retryWhileBusy repeats a write while another task holds the VM. It waits for that task until ctx ends.
func (m *Manager) retryWhileBusy(ctx context.Context, vm *vsphere.VM, write func() error) error {
	m.cache.invalidate(vm.Moid)
	defer m.cache.invalidate(vm.Moid)
	waited, pause := map[string]bool{}, firstBackOff
	for {
		err := write()
		var busy *vsphere.TaskInProgressError
		if !errors.As(err, &busy) {
			return err
		}
		if !waited[busy.Task] {
			what, _ := m.vcenter.DescribeTask(ctx, busy.Task) // empty if the task has ended
			m.log.InfoContext(ctx, "Waiting for another task on the virtual machine", "vm_path", vm.Path, "task", busy.Task, "operation", what)
		}
		if err := m.vcenter.WaitTask(ctx, busy.Task); err != nil {
			return fmt.Errorf("wait for task %s, which holds the virtual machine: %w", busy.Task, err)
		}
		if !waited[busy.Task] {
			waited[busy.Task], pause = true, firstBackOff
			continue
		}
		// vCenter still names a task that has ended: pause before the next try.
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for task %s, which holds the virtual machine: %w", busy.Task, ctx.Err())
		case <-time.After(pause):
			pause = min(2*pause, lastBackOff)
		}
	}
}
