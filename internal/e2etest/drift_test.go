package e2etest

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestForeignSnapshotsAreNoDrift(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w, _ := replicated(t, vcenter, "")
	w.write(filepath.Join(w.dir, "cbt.tf"), "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n}\n")
	w.terraform(0, "apply", "-auto-approve")
	look := func(when string) {
		t.Helper()
		w.terraform(0, "plan", "-detailed-exitcode")
		w.terraform(0, "plan", "-refresh-only", "-detailed-exitcode")
		noSession(t, vcenter, "plans "+when)
	}
	look("after the apply")
	if err := errors.Join(vm.AddSnapshot("nightly", ""), vm.AddSnapshot("nightly", "")); err != nil {
		t.Fatal(err)
	}
	look("with snapshots of another tool")
	if err := vm.RemoveSnapshots(); err != nil {
		t.Fatal(err)
	}
	look("after they were removed")
}

func TestSavedPlanIsOvertaken(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w, _ := replicated(t, vcenter, "  triggers = { run = terraform_data.run.output }\n")
	run := func(n string) {
		w.write(filepath.Join(w.dir, "run.tf"), "resource \"terraform_data\" \"run\" {\n  input = \""+n+"\"\n}\n")
	}
	run("1")
	w.terraform(0, "apply", "-auto-approve")
	run("2")
	if output := w.terraform(0, "plan", "-out=saved"); !strings.Contains(output, `"full: no change ID yet" -> "incremental"`) {
		t.Errorf("plan:\n%s", output)
	}
	vm.ResetTracking()
	output := strings.Join(strings.Fields(w.terraform(0, "apply", "saved")), " ")
	if !strings.Contains(output, "was copied whole, and incrementally was planned") {
		t.Errorf("apply:\n%s", output)
	}
	w.terraform(0, "plan", "-detailed-exitcode")
}
