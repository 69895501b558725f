package cbt

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Tidy removes the temporary snapshots that an earlier run left, and does
// nothing else.
func (m *Manager) Tidy(ctx context.Context, moid string) error {
	unlock, err := m.lock(ctx, moid)
	if err != nil {
		return err
	}
	defer unlock()
	status, err := m.begin(ctx, moid)
	if err != nil {
		return err
	}
	_, err = m.removeLeftovers(ctx, status)
	return err
}

// Disable switches tracking off and makes that true now: a running VM gets a
// temporary snapshot where it still shows change IDs, and a flag that waits for
// its next stun is taken back. Temporary snapshots of an
// earlier run go too.
func (m *Manager) Disable(ctx context.Context, moid string) error {
	unlock, err := m.lockAll(ctx, moid)
	if err != nil {
		return err
	}
	defer unlock()
	status, err := m.begin(ctx, moid)
	if err != nil {
		return err
	}
	if status, err = m.removeLeftovers(ctx, status); err != nil {
		return err
	}
	if !status.Enabled() && status.needsStun() {
		// A flag that was written just now may read false until the next stun, and
		// then be true: it is written in any case. Where that is refused it was so
		// before too, and there is nothing to take back.
		if err := m.setFlag(ctx, status.VM, false); err != nil && !refusedBefore(err) {
			return err
		}
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
	if !status.needsStun() || (!after.Enabled() && len(after.ChangeIDs()) == 0) {
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
	before, err := m.begin(ctx, moid)
	if err != nil {
		return nil, &StageError{StageRead, err}
	}
	if reasons := before.resetBlockers(); len(reasons) > 0 {
		return nil, &StageError{StageRefuse, &BlockedError{VM: before.VM.Path, Reasons: reasons, Reset: true}}
	}
	if before, err = m.removeLeftovers(ctx, before); err != nil {
		return nil, &StageError{StageTidy, err}
	}
	off, err := m.disable(ctx, before)
	if err != nil {
		return nil, m.backOn(ctx, before, &StageError{StageEnable, err})
	}
	after, err := m.ensure(ctx, off)
	if err != nil {
		return nil, m.backOn(ctx, before, err)
	}
	if kept := sameEpochs(before, after); len(kept) > 0 {
		return nil, &StageError{StageInitialize, fmt.Errorf(
			"tracking of %s was switched off and on, but kept its epoch on %s", before.VM.Path, strings.Join(kept, ", "))}
	}
	return after, nil
}

// backOn writes the flag again where a reset failed half way, so that tracking
// is not left off: it begins with the next stun. Where even that fails the error
// says so.
func (m *Manager) backOn(ctx context.Context, before *Status, failed error) error {
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
