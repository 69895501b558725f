package e2etest

import (
	"path/filepath"
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

// A second resource for a VM is noticed beside an existing one that has the same configuration, and a replacement is not taken for one.
func TestSecondResourceForOneVM(t *testing.T) {
	t.Parallel()
	vcenter, _ := startVCenter(t)
	one := "resource \"vma_cbt\" \"a\" {\n  vm_path = \"/DC0/vm/web01\"\n}\n"
	w := newWorkspace(t, one)
	w.use(vcenter)
	w.terraform(0, "apply", "-auto-approve")
	const text = "Several Resources for One Virtual Machine on /DC0/vm/web01"
	if output := words(w.terraform(0, "plan", "-replace", "vma_cbt.a")); strings.Contains(output, text) {
		t.Errorf("a replacement: %q in\n%s", text, output)
	}
	w.write(filepath.Join(w.dir, "second.tf"), strings.ReplaceAll(one, `"a"`, `"b"`))
	if output := words(w.terraform(0, "plan")); !strings.Contains(output, text) {
		t.Errorf("no %q in\n%s", text, output)
	}
}
