package cbt

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Stage is the part of making tracking work in which an error happened.
type Stage string

// The stages, in their order.
const (
	StageRead       Stage = "read"
	StageRefuse     Stage = "refuse"
	StageTidy       Stage = "tidy"
	StageEnable     Stage = "enable"
	StageInitialize Stage = "initialize"
)

// StageError is an error with the stage that it happened in.
type StageError struct {
	Stage Stage
	Err   error
}

func (e *StageError) Error() string { return e.Err.Error() }
func (e *StageError) Unwrap() error { return e.Err }

// BlockedError says why tracking cannot be made to work on a VM, or cannot be
// reset, every reason at once.
type BlockedError struct {
	// VM is the inventory path.
	VM      string
	Reasons []string
	// Reset says that it was to be reset.
	Reset bool
}

func (e *BlockedError) Error() string {
	what := "work"
	if e.Reset {
		what = "be reset"
	}
	if len(e.Reasons) == 1 {
		return fmt.Sprintf("change tracking cannot %s on %s: %s", what, e.VM, e.Reasons[0])
	}
	return fmt.Sprintf("change tracking cannot %s on %s:\n  - %s", what, e.VM, strings.Join(e.Reasons, "\n  - "))
}

// UninitializedError says that vCenter gave no change ID to disks that can be
// tracked, although tracking was switched on and a snapshot was made.
type UninitializedError struct {
	// VM is the inventory path.
	VM string
	// Enabled is the flag as it reads now.
	Enabled bool
	Disks   []DiskStatus
}

func (e *UninitializedError) Error() string {
	if !e.Enabled {
		return fmt.Sprintf("the flag changeTrackingEnabled of %s still reads false after it was written and a snapshot was made and removed", e.VM)
	}
	var disks []string
	for _, d := range e.Disks {
		disks = append(disks, d.String())
	}
	return fmt.Sprintf("change tracking of %s is switched on, but vCenter gave no change ID to %s after a snapshot was made and removed; apply again, and where it stays so, "+
		"look at the events of the virtual machine and at the free space of its datastore",
		e.VM, strings.Join(disks, ", "))
}

// Options change how Ensure works.
type Options struct {
	// AllowExistingSnapshots lets tracking start over snapshots of others.
	AllowExistingSnapshots bool
}

// Ensure makes tracking work on a VM: switched on, and a change ID on every
// disk that can be tracked. It does as little as is needed, nothing where it
// works already, and gives the status that it read back at the end. Errors are
// StageErrors.
func (m *Manager) Ensure(ctx context.Context, moid string, options Options) (*Status, error) {
	unlock, err := m.lock(ctx, moid)
	if err != nil {
		return nil, &StageError{StageRead, err}
	}
	defer unlock()
	status, err := m.begin(ctx, moid)
	if err != nil {
		return nil, &StageError{StageRead, err}
	}
	if reasons := status.Blockers(options.AllowExistingSnapshots); len(reasons) > 0 {
		return nil, &StageError{StageRefuse, &BlockedError{VM: status.VM.Path, Reasons: reasons}}
	}
	if status, err = m.removeLeftovers(ctx, status); err != nil {
		return nil, &StageError{StageTidy, err}
	}
	return m.ensure(ctx, status)
}

func (m *Manager) ensure(ctx context.Context, status *Status) (*Status, error) {
	vm := status.VM
	switch {
	case status.Initialized():
		return status, nil
	case !status.Enabled():
		if err := m.setFlag(ctx, vm, true); err != nil {
			return nil, &StageError{StageEnable, err}
		}
		if status.needsStun() {
			break // whatever it says now
		}
		after, err := m.Status(ctx, vm.Moid)
		if err != nil {
			return nil, &StageError{StageEnable, err}
		}
		if after.Initialized() {
			if after, err = m.removeLeftovers(ctx, after); err != nil {
				return nil, &StageError{StageTidy, err}
			}
			m.tell(ctx, after)
			return after, nil
		}
	}
	if err := m.stun(ctx, vm); err != nil {
		return nil, &StageError{StageInitialize, err}
	}
	after, err := m.Status(ctx, vm.Moid)
	if err != nil {
		return nil, &StageError{StageInitialize, err}
	}
	// One that was still being made when the VM was read first.
	if after, err = m.removeLeftovers(ctx, after); err != nil {
		return nil, &StageError{StageTidy, err}
	}
	if !after.Initialized() {
		return nil, &StageError{StageInitialize, &UninitializedError{
			VM: vm.Path, Enabled: after.Enabled(), Disks: after.Uninitialized(),
		}}
	}
	m.tell(ctx, after)
	return after, nil
}

// tell logs that tracking works, disk by disk.
func (m *Manager) tell(ctx context.Context, status *Status) {
	for _, disk := range status.trackable() {
		m.log.InfoContext(ctx, "Change tracking works", "vm_path", status.VM.Path, "disk", disk.Key, "change_id", disk.ChangeID)
	}
}

const poweredOff = "poweredOff"

// needsStun says that a change of the flag takes effect with the next stun only:
// of a VM that runs or is suspended.
func (s *Status) needsStun() bool { return s.VM.PowerState != poweredOff }

func (m *Manager) setFlag(ctx context.Context, vm *vsphere.VM, enabled bool) error {
	m.log.InfoContext(ctx, "Writing changeTrackingEnabled", "vm_path", vm.Path, "enabled", enabled)
	err := m.patiently(ctx, vm, func() error { return m.vcenter.SetChangeTracking(ctx, vm, enabled) })
	if errors.Is(err, vsphere.ErrTaskForgotten) {
		return nil // whoever writes it reads it back
	}
	return err
}
