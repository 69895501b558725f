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

	mu    sync.Mutex
	locks map[string]chan struct{}
}

// NewManager makes a manager that works through a session.
func NewManager(vcenter *vsphere.Client, log *slog.Logger) *Manager {
	return &Manager{vcenter: vcenter, log: log, locks: map[string]chan struct{}{}}
}

// Status reads a VM by its managed object ID.
func (m *Manager) Status(ctx context.Context, moid string) (*Status, error) {
	vm, err := m.vcenter.VM(ctx, moid)
	if err != nil {
		return nil, err
	}
	return NewStatus(vm), nil
}

// Find reads the VM of a name.
func (m *Manager) Find(ctx context.Context, name vsphere.Name) (*Status, error) {
	vm, err := m.vcenter.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	return NewStatus(vm), nil
}

// holds is the key under which a context says whose VM it holds already.
type holds struct{ moid string }

// Exclusive runs something while nobody else in this process writes to the VM,
// neither Ensure, Reset nor Disable; do may call these with the context that it
// is given.
func (m *Manager) Exclusive(ctx context.Context, moid string, do func(ctx context.Context) error) error {
	unlock, err := m.lock(ctx, moid)
	if err != nil {
		return err
	}
	defer unlock()
	return do(context.WithValue(ctx, holds{moid}, true))
}

// lock makes the caller the only one in this process that writes to a VM. The
// error is that of a context that ended before.
func (m *Manager) lock(ctx context.Context, moid string) (unlock func(), err error) {
	if ctx.Value(holds{moid}) != nil {
		return func() {}, nil
	}
	m.mu.Lock()
	token := m.locks[moid]
	if token == nil {
		token = make(chan struct{}, 1)
		m.locks[moid] = token
	}
	m.mu.Unlock()
	select {
	case token <- struct{}{}:
		return func() { <-token }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for another change of the same virtual machine: %w", ctx.Err())
	}
}

const (
	firstBackOff = 100 * time.Millisecond
	lastBackOff  = 10 * time.Second
)

// patiently repeats a write while another task holds the VM: it waits for the
// task that vCenter names, until the context ends.
func (m *Manager) patiently(ctx context.Context, vm *vsphere.VM, write func() error) error {
	last, pause := "", firstBackOff
	for {
		err := write()
		var busy *vsphere.TaskInProgressError
		if !errors.As(err, &busy) {
			return err
		}
		m.log.InfoContext(ctx, "Waiting for another task on the virtual machine", "vm_path", vm.Path, "task", busy.Task)
		if waited := m.vcenter.WaitTask(ctx, busy.Task); waited != nil {
			return fmt.Errorf("wait for task %s, which holds the virtual machine: %w", busy.Task, waited)
		}
		if busy.Task != last {
			last, pause = busy.Task, firstBackOff
			continue
		}
		// The same task again, although it has ended: give vCenter time.
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for task %s, which holds the virtual machine: %w", busy.Task, ctx.Err())
		case <-time.After(pause):
			pause = min(2*pause, lastBackOff)
		}
	}
}
