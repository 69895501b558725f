package cbt

import (
	"context"
	"fmt"
)

// Blockers are the reasons why tracking cannot be made to work on the VM now:
// those that its properties show, and the privileges that the account has not,
// which is one call to vCenter; none, and no call, where it works already.
func (m *Manager) Blockers(ctx context.Context, status *Status, allowExistingSnapshots bool) []string {
	needed := status.privileges()
	if len(needed) == 0 {
		return nil
	}
	reasons := status.Blockers(allowExistingSnapshots)
	missing, err := m.vcenter.MissingPrivileges(ctx, status.VM.Moid, needed)
	if err != nil {
		// A host without vCenter cannot tell. Whoever goes on is told by the
		// fault that names the privilege.
		m.log.WarnContext(ctx, "Unable to check privileges", "vm_path", status.VM.Path, "error", err.Error())
	}
	for _, privilege := range missing {
		reasons = append(reasons, fmt.Sprintf("the account has no privilege %s on it: add the privilege to the account's role", privilege))
	}
	return reasons
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
