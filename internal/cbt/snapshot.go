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
	// A snapshot is ours only if both its name and its description match: names are not unique.
	snapshotPrefix = "vma-cbt-init-"
	snapshotMark   = "[terraform-provider-vma:cbt-init]"
	// cleanUpTimeout bounds the cleanup after a failure, when the caller's context may have ended.
	cleanUpTimeout = 2 * time.Minute
)

func isOurs(s vsphere.Snapshot) bool {
	return strings.HasPrefix(s.Name, snapshotPrefix) && strings.Contains(s.Description, snapshotMark)
}

// LeftSnapshotError reports that a temporary snapshot may be on a VM: its removal failed, or vCenter may still create
// it. The next run removes it.
type LeftSnapshotError struct {
	Name, VM string // VM is the inventory path
	Err      error
}

func (e *LeftSnapshotError) Error() string {
	return fmt.Sprintf("the temporary snapshot %q may still be on %s; "+
		"the next apply removes it, or remove it by hand: %v", e.Name, e.VM, e.Err)
}

func (e *LeftSnapshotError) Unwrap() error { return e.Err }

// cycleSnapshot stuns a VM: it creates and removes a temporary snapshot, so that a pending flag takes effect. After a failure it cleans up in
// its own context; if the snapshot may still exist, the error is a LeftSnapshotError.
func (m *Manager) cycleSnapshot(ctx context.Context, vm *vsphere.VM) error {
	name := snapshotPrefix + strings.ToLower(rand.Text()[:10])
	description := "Temporary snapshot that starts changed block tracking; safe to remove. " + snapshotMark
	var created string
	err := m.retryWhileBusy(ctx, vm, func() error {
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
		return err // no snapshot was requested
	}
	if pending != nil && pending.Task == "" && refusedBefore(err) {
		return err // vCenter refused the request
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	removed, left := m.RemoveSnapshots(own, vm, func(s vsphere.Snapshot) bool { return s.Name == name && isOurs(s) })
	if left == nil && removed == 0 && pending != nil && pending.Task == "" {
		left = ErrUnanswered
	}
	if left != nil {
		return errors.Join(err, &LeftSnapshotError{Name: name, VM: vm.Path, Err: left})
	}
	if (created != "" || removed > 0) && ctx.Err() == nil {
		return nil // created and removed, only an answer was lost
	}
	return err
}

// ErrUnanswered is the cause of a LeftSnapshotError if it is unknown whether the snapshot will be created.
var ErrUnanswered = errors.New("vCenter did not answer the request to create the snapshot; it does not exist now but may yet appear")

// refusedBefore reports whether no task started: vCenter answered with a fault, or there was no session.
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

// RemoveSnapshot removes a snapshot by its managed object ID, but not its children. It waits for tasks that hold the
// VM. A missing snapshot is not an error.
func (m *Manager) RemoveSnapshot(ctx context.Context, vm *vsphere.VM, snapshot string) error {
	return m.retryWhileBusy(ctx, vm, func() error { return m.vcenter.RemoveSnapshot(ctx, vm, snapshot) })
}

// RemoveSnapshots removes the matching snapshots of a VM and returns their number. It first waits for tasks that may
// still create one. A missing VM is not an error.
func (m *Manager) RemoveSnapshots(ctx context.Context, vm *vsphere.VM, match func(vsphere.Snapshot) bool) (removed int, err error) {
	now, err := m.vcenter.WaitForSnapshotTasks(ctx, vm.Moid)
	if errors.Is(err, vsphere.ErrNotFound) {
		return 0, nil // its snapshots are gone too
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

// removeLeftovers removes snapshots left by an earlier run and returns the status without them.
func (m *Manager) removeLeftovers(ctx context.Context, status *Status) (*Status, error) {
	if !status.leftover() {
		return status, nil
	}
	vm := *status.VM
	for _, s := range vm.Snapshots {
		if !isOurs(s) {
			continue
		}
		m.log.InfoContext(ctx, "Removing a temporary snapshot left by an earlier run", "vm_path", vm.Path, "snapshot", s.Name)
		if err := m.RemoveSnapshot(ctx, &vm, s.Moid); err != nil {
			return nil, &LeftSnapshotError{Name: s.Name, VM: vm.Path, Err: err}
		}
	}
	vm.Snapshots = slices.DeleteFunc(slices.Clone(vm.Snapshots), isOurs)
	return NewStatus(&vm), nil
}

// Without returns the status as it will be without snapshots that were left behind. They stay if CBT works already, or while a cycle of this
// process runs on the VM, which may own them.
func (m *Manager) Without(status *Status, left func(vsphere.Snapshot) bool) *Status {
	if left == nil || status.Tracked() || m.cycling(status.VM.Moid) {
		return status
	}
	vm := *status.VM
	vm.Snapshots = slices.DeleteFunc(slices.Clone(vm.Snapshots), left)
	return NewStatus(&vm)
}

// removeLeft removes what Without leaves out.
func (m *Manager) removeLeft(ctx context.Context, status *Status, left func(vsphere.Snapshot) bool) (*Status, error) {
	without := m.Without(status, left)
	for _, s := range status.VM.Snapshots {
		if slices.ContainsFunc(without.VM.Snapshots, func(kept vsphere.Snapshot) bool { return kept.Moid == s.Moid }) {
			continue
		}
		m.log.InfoContext(ctx, "Removing a snapshot that was left behind", "vm_path", status.VM.Path, "snapshot", s.Name, "snapshot_moid", s.Moid)
		if err := m.RemoveSnapshot(ctx, status.VM, s.Moid); err != nil {
			return nil, fmt.Errorf("remove the snapshot %q that was left on %s: %w", s.Name, status.VM.Path, err)
		}
	}
	return without, nil
}
