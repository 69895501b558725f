package cbt

import (
	"context"
	"fmt"
)

// Blockers are the reasons why tracking cannot be made to work on the VM now:
// those that its properties show, and the privileges that the account has not,
// which is one call to vCenter; none, and no call, where it works already.
func (m *Manager) Blockers(ctx context.Context, status *Status, allowExistingSnapshots bool) []string {
	return m.AllBlockers(ctx, []*Status{status}, allowExistingSnapshots)[status.VM.Moid]
}

// AllBlockers are the Blockers of many VMs, by managed object ID, for one call
// in all.
func (m *Manager) AllBlockers(ctx context.Context, statuses []*Status, allowExistingSnapshots bool) map[string][]string {
	needs := map[string]need{}
	for _, s := range statuses {
		if needed := privileges(s.steps()); len(needed) > 0 {
			needs[s.VM.Moid] = need{needed, s.Blockers(allowExistingSnapshots)}
		}
	}
	return m.unmet(ctx, needs)
}

// ResetBlockers are the reasons why tracking cannot be reset now, privileges
// that the account has not among them, which is one call to vCenter.
func (m *Manager) ResetBlockers(ctx context.Context, status *Status) []string {
	if m.cycling(status.VM.Moid) {
		return nil // the reset waits for its end, and looks anew
	}
	return m.unmet(ctx, map[string]need{status.VM.Moid: {privileges(status.resetSteps()), status.resetBlockers()}})[status.VM.Moid]
}

// need is what something asks of a VM: privileges on it, and that nothing else
// blocks it.
type need struct{ privileges, blockers []string }

// unmet are the blockers of each VM, by managed object ID, with the privileges
// that the account has not, which is one call to vCenter where anything is
// needed at all.
func (m *Manager) unmet(ctx context.Context, needs map[string]need) map[string][]string {
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
		// A host without vCenter cannot tell. Whoever goes on is told by the
		// fault that names the privilege.
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
