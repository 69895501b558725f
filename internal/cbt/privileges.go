package cbt

import (
	"context"
	"fmt"
)

// Blockers returns the reasons why CBT cannot be made to work on the VM, including missing privileges. It calls
// vCenter once, or not at all if CBT works already.
func (m *Manager) Blockers(ctx context.Context, status *Status, allowExistingSnapshots bool) []string {
	return m.AllBlockers(ctx, []*Status{status}, allowExistingSnapshots)[status.VM.Moid]
}

// AllBlockers returns the Blockers of many VMs by managed object ID, with at most one call to vCenter.
func (m *Manager) AllBlockers(ctx context.Context, statuses []*Status, allowExistingSnapshots bool) map[string][]string {
	needs := map[string]requirement{}
	for _, s := range statuses {
		if needed := privileges(s.steps()); len(needed) > 0 {
			needs[s.VM.Moid] = requirement{needed, s.Blockers(allowExistingSnapshots)}
		}
	}
	return m.unmetRequirements(ctx, needs)
}

// ResetBlockers returns the reasons why CBT cannot be reset, including missing privileges. It calls vCenter once.
func (m *Manager) ResetBlockers(ctx context.Context, status *Status) []string {
	if m.cycling(status.VM.Moid) {
		return nil // Reset waits for the cycle and checks again
	}
	return m.unmetRequirements(ctx, map[string]requirement{status.VM.Moid: {privileges(status.resetSteps()), status.resetBlockers()}})[status.VM.Moid]
}

// requirement lists the privileges that an operation needs on a VM, and what else blocks it.
type requirement struct{ privileges, blockers []string }

// unmetRequirements returns all blockers, including missing privileges, by managed object ID. It calls vCenter at most once.
func (m *Manager) unmetRequirements(ctx context.Context, needs map[string]requirement) map[string][]string {
	blockers, needed := map[string][]string{}, map[string][]string{}
	for moid, n := range needs {
		blockers[moid] = n.blockers
		if len(n.privileges) > 0 {
			needed[moid] = n.privileges
		}
	}
	if len(needed) == 0 {
		return blockers
	}
	missing, err := m.vcenter.MissingPrivileges(ctx, needed)
	if err != nil {
		// A standalone host cannot answer. A write then fails with a fault that names the privilege.
		m.log.WarnContext(ctx, "Unable to check privileges", "vms", len(needs), "error", err.Error())
	}
	for moid, lacks := range missing {
		for _, privilege := range lacks {
			blockers[moid] = append(blockers[moid],
				fmt.Sprintf("the account has no privilege %s on it: add the privilege to the account's role", privilege))
		}
	}
	return blockers
}
