package cbt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

const (
	// snapshotPrefix and snapshotMark tell our temporary snapshots from those
	// of others: names are not unique, so both must be there.
	snapshotPrefix = "vma-cbt-init-"
	snapshotMark   = "[terraform-provider-vma:cbt-init]"
	// cleanUpTimeout bounds the removal of a temporary snapshot after a failure,
	// whose own context may have ended.
	cleanUpTimeout = 2 * time.Minute
)

func isOurs(s vsphere.Snapshot) bool {
	return strings.HasPrefix(s.Name, snapshotPrefix) && strings.Contains(s.Description, snapshotMark)
}

// LeftSnapshotError says that a temporary snapshot may be on a VM: it could not be
// removed, or it is not known whether vCenter makes it yet. The next run removes
// it.
type LeftSnapshotError struct {
	// Name is the snapshot's name, VM the inventory path of its VM.
	Name, VM string
	Err      error
}

func (e *LeftSnapshotError) Error() string {
	return fmt.Sprintf("the temporary snapshot %q may still be on %s; "+
		"the next apply removes it, or remove it by hand: %v", e.Name, e.VM, e.Err)
}

func (e *LeftSnapshotError) Unwrap() error { return e.Err }

// stun makes a temporary snapshot and removes it, which makes tracking that was
// configured begin. Whatever happens once the snapshot was asked for, it is
// removed, with a context of its own, or the error is a LeftSnapshotError.
func (m *Manager) stun(ctx context.Context, vm *vsphere.VM) error {
	name := snapshotPrefix + strings.ToLower(rand.Text()[:10])
	description := "Temporary snapshot that makes changed block tracking begin; safe to remove. " + snapshotMark
	var created string
	err := m.patiently(ctx, vm, func() error {
		var err error
		created, err = m.vcenter.CreateSnapshot(ctx, vm, name, description)
		return err
	})
	if err == nil {
		if err = m.RemoveSnapshot(ctx, vm, created); err == nil {
			return nil
		}
	}
	var pending *vsphere.PendingSnapshotError
	if created == "" && !errors.As(err, &pending) {
		return err // nothing was asked for
	}
	if pending != nil && pending.Task == "" && refusedBefore(err) {
		return err // vCenter refused before it began
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	removed, left := m.RemoveSnapshots(own, vm, func(s vsphere.Snapshot) bool { return s.Name == name && isOurs(s) })
	if left == nil && removed == 0 && pending != nil && pending.Task == "" {
		left = errUnanswered
	}
	if left != nil {
		return errors.Join(err, &LeftSnapshotError{Name: name, VM: vm.Path, Err: left})
	}
	if (created != "" || removed > 0) && ctx.Err() == nil {
		return nil // it was made, whatever became of the answer, and is gone
	}
	return err
}

// errUnanswered says that it is not known whether vCenter will make a snapshot.
var errUnanswered = errors.New("vCenter gave no answer when it was asked to make the snapshot, which is not there now and may yet appear")

// refusedBefore says that no task began: vCenter answered the request with a fault
// of its own, or there was no session to send it in.
func refusedBefore(err error) bool {
	var (
		fault    *vsphere.FaultError
		denied   *vsphere.NoPermissionError
		busy     *vsphere.TaskInProgressError
		disabled *vsphere.MethodDisabledError
		connect  *vsphere.ConnectError
	)
	return errors.As(err, &fault) || errors.As(err, &denied) || errors.As(err, &busy) ||
		errors.As(err, &disabled) || errors.As(err, &connect) || errors.Is(err, vsphere.ErrNotFound)
}

// RemoveSnapshot removes one snapshot by its managed object ID, never its
// children, and waits for tasks that hold the VM. One that is gone is no error.
func (m *Manager) RemoveSnapshot(ctx context.Context, vm *vsphere.VM, snapshot string) error {
	return m.patiently(ctx, vm, func() error { return m.vcenter.RemoveSnapshot(ctx, vm, snapshot) })
}

// RemoveSnapshots removes the snapshots of a VM that match, after waiting for
// tasks that may still be making one, and says how many. A VM that is gone is no
// error.
func (m *Manager) RemoveSnapshots(ctx context.Context, vm *vsphere.VM, match func(vsphere.Snapshot) bool) (removed int, err error) {
	now, err := m.vcenter.Settled(ctx, vm.Moid)
	if errors.Is(err, vsphere.ErrNotFound) {
		return 0, nil // with the VM went its snapshots
	}
	if err != nil {
		return 0, err
	}
	for _, s := range now.Snapshots {
		if !match(s) {
			continue
		}
		if err := m.RemoveSnapshot(ctx, vm, s.Moid); err != nil {
			return removed, err
		}
		removed++
	}
	return removed, nil
}

// removeLeftovers removes what an earlier run of ours left on the VM, and gives
// the status without it.
func (m *Manager) removeLeftovers(ctx context.Context, status *Status) (*Status, error) {
	if !status.leftover() {
		return status, nil
	}
	vm := *status.VM
	for _, s := range vm.Snapshots {
		if !isOurs(s) {
			continue
		}
		m.log.InfoContext(ctx, "Removing a temporary snapshot of an earlier run", "vm_path", vm.Path, "snapshot", s.Name)
		if err := m.RemoveSnapshot(ctx, &vm, s.Moid); err != nil {
			return nil, &LeftSnapshotError{Name: s.Name, VM: vm.Path, Err: err}
		}
	}
	vm.Snapshots = slices.DeleteFunc(slices.Clone(vm.Snapshots), isOurs)
	return NewStatus(&vm), nil
}
