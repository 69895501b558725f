package cbt

import (
	"context"
	"slices"
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
			needs[s.VM.Moid] = requirement{privileges: needed, blockers: s.blockers(allowExistingSnapshots)}
		}
	}
	blockers := map[string][]string{}
	found, _ := m.unmetRequirements(ctx, needs)
	for moid, findings := range found {
		blockers[moid] = texts(findings)
	}
	return blockers
}

// CopyBlockers returns the reasons why a cycle cannot take its snapshot that Blockers does not return, including missing privileges. It calls vCenter
// once, or not at all if enabling CBT takes a snapshot too.
func (m *Manager) CopyBlockers(ctx context.Context, status *Status) []string {
	known := privileges(status.steps())
	needs := requirement{blockers: without(status.copyBlockers(), status.blockers(true))}
	for _, privilege := range privileges([]step{createSnapshot, removeSnapshot}) {
		if !slices.Contains(known, privilege) {
			needs.privileges = append(needs.privileges, privilege)
		}
	}
	found, _ := m.unmetRequirements(ctx, map[string]requirement{status.VM.Moid: needs})
	return texts(found[status.VM.Moid])
}

// ResetBlockers returns the reasons why CBT cannot be reset, including missing privileges. It calls vCenter once.
func (m *Manager) ResetBlockers(ctx context.Context, status *Status) []string {
	if m.cycling(status.VM.Moid) {
		return nil // Reset waits for the cycle and checks again
	}
	needs := requirement{privileges: privileges(status.resetSteps()), blockers: status.resetBlockers()}
	found, _ := m.unmetRequirements(ctx, map[string]requirement{status.VM.Moid: needs})
	return texts(found[status.VM.Moid])
}

// requirement lists the privileges that an operation needs on a VM, and what else blocks it.
type requirement struct {
	privileges []string
	blockers   []Finding
}

// unmetRequirements returns all blockers, including missing privileges, by managed object ID. It calls vCenter at most once. If privileges could not be
// checked, it returns the other blockers and an error: a standalone host cannot answer. A write then fails with a fault that names the privilege.
func (m *Manager) unmetRequirements(ctx context.Context, needs map[string]requirement) (map[string][]Finding, error) {
	blockers, needed := map[string][]Finding{}, map[string][]string{}
	for moid, n := range needs {
		blockers[moid] = n.blockers
		if len(n.privileges) > 0 {
			needed[moid] = n.privileges
		}
	}
	if len(needed) == 0 {
		return blockers, nil
	}
	missing, err := m.vcenter.MissingPrivileges(ctx, needed)
	if err != nil {
		m.log.WarnContext(ctx, "Unable to check privileges", "vms", len(needs), "error", err.Error())
	}
	for moid, lacks := range missing {
		for _, privilege := range lacks {
			f := missingPrivilege.found("the account has no privilege %s on it", privilege)
			switch privilege {
			case readDisks:
				f = readPrivilege.found("the account has no privilege %s on it, so only full copies work", privilege)
			case ReadEncrypted:
				f = encrypted.found("it is encrypted, and the account has no privilege %s on it, so migratekit cannot read its disks", privilege)
			}
			blockers[moid] = append(blockers[moid], f)
		}
	}
	return blockers, err
}
