package cbt

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Stage is the step of Ensure or Reset that failed.
type Stage string

// The stages, in order.
const (
	StageRead       Stage = "read"
	StageRefuse     Stage = "refuse"
	StageTidy       Stage = "tidy"
	StageEnable     Stage = "enable"
	StageInitialize Stage = "initialize"
)

// StageError reports the stage in which an error happened.
type StageError struct {
	Stage Stage
	Err   error
}

func (e *StageError) Error() string { return e.Err.Error() }
func (e *StageError) Unwrap() error { return e.Err }

// BlockedError reports every reason why CBT cannot be enabled or reset on a VM.
type BlockedError struct {
	VM      string // inventory path
	Reasons []string
	Reset   bool // true if a reset was blocked
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

// UninitializedError reports trackable disks that have no change ID although CBT was enabled and the VM was stunned.
type UninitializedError struct {
	VM      string // inventory path
	Enabled bool   // the flag as read back
	Disks   []DiskStatus
}

func (e *UninitializedError) Error() string {
	if !e.Enabled {
		return fmt.Sprintf("the flag changeTrackingEnabled of %s still reads false after it was set and a snapshot was created and removed", e.VM)
	}
	var disks []string
	for _, d := range e.Disks {
		disks = append(disks, d.String())
	}
	return fmt.Sprintf("CBT is enabled on %s, but vCenter gave no change ID to %s after a snapshot was created and removed; apply again, and if that does not help, "+
		"check the events of the virtual machine and the free space of its datastore",
		e.VM, strings.Join(disks, ", "))
}

// Options are the options of Ensure.
type Options struct {
	// AllowExistingSnapshots allows enabling CBT while other tools' snapshots exist.
	AllowExistingSnapshots bool
	// Leftover reports whether another tool's snapshot was left behind, and is to be removed first if it blocks enabling CBT. It is nil
	// for none.
	Leftover func(vsphere.Snapshot) bool
}

// Ensure enables CBT and initializes it: every trackable disk gets a change ID. It writes only what is missing, and
// returns the status read back at the end. Errors are StageErrors.
func (m *Manager) Ensure(ctx context.Context, moid string, options Options) (*Status, error) {
	unlock, err := m.lock(ctx, moid)
	if err != nil {
		return nil, &StageError{StageRead, err}
	}
	defer unlock()
	status, err := m.readForWrite(ctx, moid)
	if err != nil {
		return nil, &StageError{StageRead, err}
	}
	if reasons := m.Without(status, options.Leftover).Blockers(options.AllowExistingSnapshots); len(reasons) > 0 {
		return nil, &StageError{StageRefuse, &BlockedError{VM: status.VM.Path, Reasons: reasons}}
	}
	if status, err = m.removeLeft(ctx, status, options.Leftover); err != nil {
		return nil, &StageError{StageTidy, err}
	}
	if status, err = m.removeLeftovers(ctx, status); err != nil {
		return nil, &StageError{StageTidy, err}
	}
	return m.ensure(ctx, status)
}

func (m *Manager) ensure(ctx context.Context, status *Status) (*Status, error) {
	vm := status.VM
	switch {
	case status.Tracked():
		return status, nil
	case !status.Enabled():
		if err := m.setFlag(ctx, vm, true); err != nil {
			return nil, &StageError{StageEnable, err}
		}
		if status.needsStun() {
			break // it needs the stun, whatever the flag reads now
		}
		after, err := m.ReadUncached(ctx, vm.Moid)
		if err != nil {
			return nil, &StageError{StageEnable, err}
		}
		if after.Tracked() {
			if after, err = m.removeLeftovers(ctx, after); err != nil {
				return nil, &StageError{StageTidy, err}
			}
			m.logChangeIDs(ctx, after)
			return after, nil
		}
	}
	if err := m.cycleSnapshot(ctx, vm); err != nil {
		return nil, &StageError{StageInitialize, err}
	}
	after, err := m.ReadUncached(ctx, vm.Moid)
	if err != nil {
		return nil, &StageError{StageInitialize, err}
	}
	// The first read may have missed a leftover that vCenter was still creating.
	if after, err = m.removeLeftovers(ctx, after); err != nil {
		return nil, &StageError{StageTidy, err}
	}
	if !after.Tracked() {
		return nil, &StageError{StageInitialize, &UninitializedError{
			VM: vm.Path, Enabled: after.Enabled(), Disks: after.Uninitialized(),
		}}
	}
	m.logChangeIDs(ctx, after)
	return after, nil
}

func (m *Manager) logChangeIDs(ctx context.Context, status *Status) {
	for _, disk := range status.trackable() {
		m.log.InfoContext(ctx, "Change tracking works", "vm_path", status.VM.Path, "disk", disk.Key, "change_id", disk.ChangeID)
	}
}

const (
	poweredOn  = "poweredOn"
	poweredOff = "poweredOff"
)

// needsStun reports whether a flag change waits for a stun: the VM is running or suspended.
func (s *Status) needsStun() bool { return s.VM.PowerState != poweredOff }

func (m *Manager) setFlag(ctx context.Context, vm *vsphere.VM, enabled bool) error {
	m.log.InfoContext(ctx, "Writing changeTrackingEnabled", "vm_path", vm.Path, "enabled", enabled)
	err := m.retryWhileBusy(ctx, vm, func() error { return m.vcenter.SetChangeTracking(ctx, vm, enabled) })
	if errors.Is(err, vsphere.ErrTaskForgotten) {
		return nil // callers read the flag back
	}
	return err
}
