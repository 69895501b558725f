package cbt

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Tidy removes temporary snapshots left by an earlier run. It does not change the CBT setting.
func (m *Manager) Tidy(ctx context.Context, moid string) error {
	unlock, err := m.lock(ctx, moid)
	if err != nil {
		return err
	}
	defer unlock()
	status, err := m.readForWrite(ctx, moid)
	if err != nil {
		return err
	}
	_, err = m.removeLeftovers(ctx, status)
	return err
}

// Disable disables CBT at once: if a running VM still shows change IDs afterwards, it is stunned by a temporary
// snapshot. It also cancels an enable that waits for a stun, and removes snapshots left by an earlier run.
func (m *Manager) Disable(ctx context.Context, moid string) error {
	unlock, err := m.lockAll(ctx, moid)
	if err != nil {
		return err
	}
	defer unlock()
	status, err := m.readForWrite(ctx, moid)
	if err != nil {
		return err
	}
	if status, err = m.removeLeftovers(ctx, status); err != nil {
		return err
	}
	if !status.Enabled() && status.needsStun() {
		// An enable that waits for a stun may read false, so write the flag anyway. If vCenter refuses this
		// write, it refused the enable too, and nothing is pending.
		if err := m.setFlag(ctx, status.VM, false); err != nil && !refusedBefore(err) {
			return err
		}
	}
	after, err := m.disable(ctx, status)
	if err == nil && after.Enabled() {
		err = fmt.Errorf("the flag changeTrackingEnabled of %s still reads true after CBT was disabled", status.VM.Path)
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
	after, err := m.ReadUncached(ctx, vm.Moid)
	if err != nil {
		return nil, err
	}
	if !status.needsStun() || (!after.Enabled() && len(after.ChangeIDs()) == 0) {
		return after, nil
	}
	if err := m.cycleSnapshot(ctx, vm); err != nil {
		return nil, err
	}
	return m.ReadUncached(ctx, vm.Moid)
}

// Reset disables CBT and enables it again, as VMware recommends to repair it. Every trackable disk gets a new epoch,
// so the next copy is full. It refuses if other tools' snapshots exist. Errors are StageErrors.
func (m *Manager) Reset(ctx context.Context, moid string) (*Status, error) {
	unlock, err := m.lockAll(ctx, moid)
	if err != nil {
		return nil, &StageError{StageRead, err}
	}
	defer unlock()
	before, err := m.readForWrite(ctx, moid)
	if err != nil {
		return nil, &StageError{StageRead, err}
	}
	if reasons := before.resetBlockers(); len(reasons) > 0 {
		return nil, &StageError{StageRefuse, &BlockedError{VM: before.VM.Path, Reasons: texts(reasons), Reset: true}}
	}
	if before, err = m.removeLeftovers(ctx, before); err != nil {
		return nil, &StageError{StageTidy, err}
	}
	off, err := m.disable(ctx, before)
	if err != nil {
		return nil, m.reenable(ctx, before, &StageError{StageEnable, err})
	}
	after, err := m.ensure(ctx, off)
	if err != nil {
		return nil, m.reenable(ctx, before, err)
	}
	if kept := sameEpochs(before, after); len(kept) > 0 {
		return nil, &StageError{StageInitialize, fmt.Errorf(
			"CBT of %s was disabled and enabled again, but these disks kept their epoch: %s", before.VM.Path, strings.Join(kept, ", "))}
	}
	return after, nil
}

// reenable sets the flag again after a failed reset; CBT then starts at the next stun. It joins its own failure to failed.
func (m *Manager) reenable(ctx context.Context, before *Status, failed error) error {
	if !before.Enabled() {
		return failed
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	if err := m.setFlag(own, before.VM, true); err != nil && !errors.Is(err, vsphere.ErrNotFound) {
		return errors.Join(failed, fmt.Errorf("tracking of %s is switched off now, and could not be switched on again: %w", before.VM.Path, err))
	}
	return failed
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
