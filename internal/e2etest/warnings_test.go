package e2etest

import (
	"strings"
	"testing"
)

func TestConsolidationNeededIsAWarning(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	vm.SetConsolidationNeeded(true)
	w := newWorkspace(t, "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n}\n")
	w.use(vcenter)
	warned := func(args ...string) {
		t.Helper()
		if output := w.terraform(0, args...); !strings.Contains(output, "Warning: Consolidation Needed") {
			t.Errorf("%s:\n%s", args[0], output)
		}
	}
	warned("plan")
	vm.SetConsolidationNeeded(false)
	vcenter.Observe("RemoveSnapshot_Task", 0, 1, func() { vm.SetConsolidationNeeded(true) }) // as after a failed merge
	warned("apply", "-auto-approve")
}

func TestMissingNbdkitIsAWarning(t *testing.T) {
	t.Parallel()
	vcenter, _ := startVCenter(t)
	w, steer := replicated(t, vcenter, "")
	for path, missing := range map[string]bool{t.TempDir(): true, steer: false} { // the stand-in includes nbdkit
		w.env["PATH"] = path
		if output := w.terraform(0, "plan"); strings.Contains(output, "Missing nbdkit") != missing {
			t.Errorf("a plan with PATH=%s:\n%s", path, output)
		}
	}
}
