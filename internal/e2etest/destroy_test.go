package e2etest

import (
	"strings"
	"testing"
)

const cbtOfWeb = "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n%s}\n"

func cbtOf(lines string) string { return strings.ReplaceAll(cbtOfWeb, "%s", lines) }

// Terraform plans before it destroys, so the plan must not fail on a deleted VM either.
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

// A plan error also blocks a destroy, so its text must name the way out.
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
