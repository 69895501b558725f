package cbt

import (
	"context"
	"fmt"
	"slices"
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
	blockers := map[string][]string{}
	var moids, privileges []string
	for _, s := range statuses {
		if needed := s.privileges(); len(needed) > 0 {
			moids, privileges = append(moids, s.VM.Moid), append(privileges, needed...)
			blockers[s.VM.Moid] = s.Blockers(allowExistingSnapshots)
		}
	}
	if len(moids) == 0 {
		return blockers
	}
	slices.Sort(privileges)
	missing, err := m.vcenter.MissingPrivileges(ctx, moids, slices.Compact(privileges))
	if err != nil {
		// A host without vCenter cannot tell. Whoever goes on is told by the
		// fault that names the privilege.
		m.log.WarnContext(ctx, "Unable to check privileges", "vms", len(moids), "error", err.Error())
	}
	for _, s := range statuses {
		for _, privilege := range missing[s.VM.Moid] {
			if slices.Contains(s.privileges(), privilege) {
				blockers[s.VM.Moid] = append(blockers[s.VM.Moid],
					fmt.Sprintf("the account has no privilege %s on it: add the privilege to the account's role", privilege))
			}
		}
	}
	return blockers
}

// Folder reads every VM in a folder and below it, sorted by path.
func (m *Manager) Folder(ctx context.Context, folder string) (statuses []*Status, unreadable []error, err error) {
	vms, unreadable, err := m.vcenter.FolderVMs(ctx, folder)
	if err != nil {
		return nil, nil, err
	}
	for _, vm := range vms {
		statuses = append(statuses, NewStatus(vm))
	}
	return statuses, unreadable, nil
}

// privileges are those that making tracking work needs, none where it works.
func (s *Status) privileges() []string {
	var needed []string
	if s.Enabled() && s.Initialized() {
		return nil
	}
	if !s.Enabled() {
		needed = append(needed, "VirtualMachine.Config.ChangeTracking")
	}
	if s.Enabled() || s.VM.PowerState == poweredOn {
		needed = append(needed, "VirtualMachine.State.CreateSnapshot", "VirtualMachine.State.RemoveSnapshot")
	}
	return needed
}
