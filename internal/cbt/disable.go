package cbt

import (
	"context"
	"fmt"
	"strings"
)

// Disable switches tracking off and makes that true now: a running VM gets a
// temporary snapshot where it still shows change IDs. Nothing is done where
// tracking is off.
func (m *Manager) Disable(ctx context.Context, moid string) error {
	unlock, err := m.lockAll(ctx, moid)
	if err != nil {
		return err
	}
	defer unlock()
	status, err := m.Status(ctx, moid)
	if err != nil {
		return err
	}
	if err := m.removeLeftovers(ctx, status.VM); err != nil {
		return err
	}
	after, err := m.disable(ctx, status)
	if err == nil && after.Enabled() {
		err = fmt.Errorf("the flag changeTrackingEnabled of %s still reads true after it was switched off", status.VM.Path)
	}
	return err
}

func (m *Manager) disable(ctx context.Context, status *Status) (*Status, error) {
	if !status.Enabled() && len(status.ChangeIDs()) == 0 {
		return status, nil
	}
	vm := status.VM
	if err := m.setFlag(ctx, vm, false); err != nil {
		return nil, err
	}
	after, err := m.Status(ctx, vm.Moid)
	if err != nil {
		return nil, err
	}
	if vm.PowerState != poweredOn || (!after.Enabled() && len(after.ChangeIDs()) == 0) {
		return after, nil
	}
	if err := m.stun(ctx, vm); err != nil {
		return nil, err
	}
	return m.Status(ctx, vm.Moid)
}

// Reset switches tracking off and on again, which is the vendor's way to repair
// it: every disk that can be tracked gets a new epoch, so that the next copy is
// full. It is refused with snapshots of others present. Errors are StageErrors.
func (m *Manager) Reset(ctx context.Context, moid string) (*Status, error) {
	unlock, err := m.lockAll(ctx, moid)
	if err != nil {
		return nil, &StageError{StageRead, err}
	}
	defer unlock()
	before, err := m.Status(ctx, moid)
	if err != nil {
		return nil, &StageError{StageRead, err}
	}
	if reasons := before.ResetBlockers(); len(reasons) > 0 {
		return nil, &StageError{StageRefuse, &BlockedError{VM: before.VM.Path, Reasons: reasons}}
	}
	if err := m.removeLeftovers(ctx, before.VM); err != nil {
		return nil, &StageError{StageTidy, err}
	}
	off, err := m.disable(ctx, before)
	if err != nil {
		return nil, &StageError{StageEnable, err}
	}
	after, err := m.ensure(ctx, off)
	if err != nil {
		return nil, err
	}
	if kept := sameEpochs(before, after); len(kept) > 0 {
		return nil, &StageError{StageInitialize, fmt.Errorf(
			"tracking of %s was switched off and on, but kept its epoch on %s", before.VM.Path, strings.Join(kept, ", "))}
	}
	return after, nil
}

// ResetBlockers are the reasons why tracking cannot be reset now.
func (s *Status) ResetBlockers() []string {
	off := *s.VM
	off.ChangeTracking = false // a reset starts from there
	return NewStatus(&off).Blockers(false)
}

func sameEpochs(before, after *Status) []string {
	var kept []string
	for _, d := range after.Disks {
		was := before.Disk(d.Key)
		if d.ChangeID != "" && was != nil && Epoch(was.ChangeID) == Epoch(d.ChangeID) {
			kept = append(kept, d.Label)
		}
	}
	return kept
}
