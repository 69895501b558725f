package e2etest

import (
	"testing"
)

func TestNoSessionIsLeft(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w := newWorkspace(t, "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n}\n")
	w.use(vcenter)
	w.terraform(2, "plan", "-detailed-exitcode")
	noSession(t, vcenter, "plan")
	vcenter.ResetCalls()
	w.terraform(0, "apply", "-auto-approve")
	noSession(t, vcenter, "apply")
	// Plan and apply are two processes. Each finds, reads and checks the VM once; the apply reads it back.
	if calls := vcenter.Calls(); calls["FindByInventoryPath"] != 2 || calls["RetrievePropertiesEx"] != 3 || calls["HasUserPrivilegeOnEntities"] != 2 {
		t.Errorf("an apply made these calls: %v", calls)
	}
	vcenter.ResetCalls()
	w.terraform(0, "plan", "-detailed-exitcode")
	noSession(t, vcenter, "a plan without changes")
	if calls := vcenter.Calls(); calls["Login"] != 1 || calls["Logout"] != 1 || calls["RetrievePropertiesEx"] != 1 {
		t.Errorf("a plan without changes made these calls: %v", calls)
	}
	w.terraform(0, "validate")
	noSession(t, vcenter, "validate")

	vm.SetTracking(false)
	reached := make(chan struct{})
	release := vm.HoldTasks("CreateSnapshot_Task")
	vcenter.Observe("CreateSnapshot_Task", 0, 1, func() { close(reached) })
	apply := w.start("apply", "-auto-approve")
	apply.until(reached)
	apply.interrupt()
	release()
	if got := apply.wait(); got != 1 {
		t.Errorf("an interrupted apply exited with %d:\n%s", got, apply.output.String())
	}
	noSession(t, vcenter, "Ctrl-C")
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left after Ctrl-C: %v", left)
	}
	w.terraform(0, "apply", "-auto-approve")
	if enabled, _ := vm.Tracking(); !enabled {
		t.Error("the apply after Ctrl-C did not switch tracking on")
	}
}
