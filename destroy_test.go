package main_test

import (
	"strings"
	"testing"
)

const cbtOfWeb = "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n%s}\n"

func cbtOf(lines string) string { return strings.ReplaceAll(cbtOfWeb, "%s", lines) }

// Terraform plans before it destroys. A VM that is gone must not be in the way of
// either, with its configuration still there.
func TestDestroyForAVMThatIsGone(t *testing.T) {
	t.Parallel()
	for _, onDestroy := range []string{"keep", "disable", "restore"} {
		t.Run(onDestroy, func(t *testing.T) {
			t.Parallel()
			vcenter, vm := startVCenter(t)
			w, _ := replicated(t, vcenter, "")
			w.write(w.dir+"/cbt.tf", cbtOf("  on_destroy = \""+onDestroy+"\"\n"))
			w.terraform(0, "apply", "-auto-approve")
			if err := vm.Destroy(); err != nil {
				t.Fatal(err)
			}
			if output := w.terraform(2, "plan", "-detailed-exitcode"); !strings.Contains(output, "Virtual Machine Gone") {
				t.Errorf("plan:\n%s", output)
			}
			w.terraform(0, "destroy", "-auto-approve")
			if left := w.resources(); len(left) > 0 {
				t.Errorf("in state: %+v", left)
			}
		})
	}
}

// What a plan refuses of a resource that exists stops a destroy too; the refusal
// says how to go on.
func TestRefusalSaysHowToDestroy(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w := newWorkspace(t, cbtOf(""))
	w.use(vcenter)
	w.terraform(0, "apply", "-auto-approve")
	vm.SetTracking(false)
	if err := vm.AddSnapshot("nightly", ""); err != nil {
		t.Fatal(err)
	}
	if output := words(w.terraform(1, "destroy", "-auto-approve")); !strings.Contains(output, `"nightly" of `) || !strings.Contains(output, "terraform destroy -refresh=false") {
		t.Errorf("destroy:\n%s", output)
	}
	w.terraform(0, "destroy", "-auto-approve", "-refresh=false")
}

// An apply that was interrupted before tracking came on is not taken for one that
// did, by a plan that does not look, and by a destroy.
func TestInterruptedCreateIsNotTakenForDone(t *testing.T) {
	t.Parallel()
	for _, onDestroy := range []string{"keep", "disable"} {
		t.Run(onDestroy, func(t *testing.T) {
			t.Parallel()
			vcenter, vm := startVCenter(t)
			w := newWorkspace(t, cbtOf("  on_destroy = \""+onDestroy+"\"\n"))
			w.use(vcenter)
			if output := w.interruptAt("ReconfigVM_Task", vcenter, vm); !strings.Contains(output, "Change Tracking Interrupted") {
				t.Errorf("apply:\n%s", output)
			}
			w.terraform(2, "plan", "-refresh=false", "-detailed-exitcode")
			if onDestroy == "keep" {
				w.terraform(0, "apply", "-auto-approve", "-refresh=false")
				if enabled, ids := vm.Tracking(); !enabled || ids[2000] == "" {
					t.Errorf("flag %t, %v", enabled, ids)
				}
				w.terraform(0, "plan", "-detailed-exitcode")
				w.terraform(0, "plan", "-detailed-exitcode", "-refresh=false")
				return
			}
			w.terraform(0, "destroy", "-auto-approve")
			vm.Stun() // the flag that was written waits for one
			if enabled, _ := vm.Tracking(); enabled {
				t.Error("tracking came on after it was destroyed")
			}
		})
	}
}
