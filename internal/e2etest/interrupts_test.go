package e2etest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
)

func TestInterruptedCreateGoesOn(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w := newWorkspace(t, "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n  on_destroy = \"restore\"\n}\n")
	w.use(vcenter)
	if output := w.interruptAt("ReconfigVM_Task", vcenter, vm); !strings.Contains(output, "Change Tracking Interrupted") ||
		strings.Contains(output, "inconsistent result") {
		t.Errorf("apply:\n%s", output)
	}
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
	noSession(t, vcenter, "an interrupted create")
	if output := w.terraform(0, "apply", "-auto-approve"); strings.Contains(output, "destroyed, ") || !strings.Contains(output, "0 destroyed") {
		t.Errorf("apply:\n%s", output)
	}
	if got := w.attribute("vma_cbt.web", "initialized"); got != true {
		t.Errorf("initialized: %v", got)
	}
	w.terraform(0, "destroy", "-auto-approve")
	if enabled, _ := vm.Tracking(); enabled {
		t.Error("tracking was off before, and is on now")
	}
}

// The next run finds its leftover snapshot by name and mark, and removes no other.
func TestKilledBetweenCreateAndRemove(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w := newWorkspace(t, "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n  allow_existing_snapshots = true\n}\n")
	w.use(vcenter)
	reached := make(chan struct{})
	hang := vcenter.Hang("RemoveSnapshot_Task", 0, 0)
	vcenter.Observe("RemoveSnapshot_Task", 0, 1, func() { close(reached) })
	apply := w.startGroup("apply", "-auto-approve")
	apply.until(reached)
	apply.signalGroup(syscall.SIGKILL)
	apply.wait()
	hang.Release()
	left := vm.Snapshots()
	if len(left) != 1 || !strings.HasPrefix(left[0], "vma-cbt-init-") {
		t.Fatalf("snapshots after the kill: %v", left)
	}
	others := []string{left[0], "mine"} // one matches by name only, one by mark only: not ours
	for i, description := range []string{"", "[terraform-provider-vma:cbt-init]"} {
		if err := vm.AddSnapshot(others[i], description); err != nil {
			t.Fatal(err)
		}
	}
	if output := w.terraform(0, "apply", "-auto-approve"); !strings.Contains(output, "1 added") {
		t.Errorf("apply:\n%s", output)
	}
	if got := vm.Snapshots(); !slices.Equal(got, others) {
		t.Errorf("snapshots now: %v, want %v", got, others)
	}
	w.terraform(0, "plan", "-detailed-exitcode")
}

func TestInterruptedReplication(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w, steer := replicated(t, vcenter, "")
	pause := filepath.Join(steer, "pause")
	w.write(pause, "")
	w.env[migratekittest.Pause] = pause
	copying := make(chan struct{})
	vcenter.Observe("CreateSnapshot_Task", 1, 1, func() { close(copying) }) // the first snapshot initializes CBT
	apply := w.start("apply", "-auto-approve")
	apply.until(copying)
	waitFor(t, pause+".waiting")
	apply.interrupt()
	if got := apply.wait(); got != 1 {
		t.Errorf("exit status %d:\n%s", got, apply.output.String())
	}
	if got := w.attribute("vma_replication.web", "status"); got != "interrupted" {
		t.Errorf("status %v", got)
	}
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
	noSession(t, vcenter, "an interrupted copy")
	delete(w.env, migratekittest.Pause)
	output := w.terraform(0, "apply", "-auto-approve")
	if !strings.Contains(output, "1 changed, 0 destroyed") {
		t.Errorf("the next apply did not go on in place:\n%s", output)
	}
	if got := w.attribute("vma_replication.web", "status"); got != "replicated" {
		t.Errorf("status %v", got)
	}
	w.terraform(0, "plan", "-detailed-exitcode")
}

// plan -refresh=false and destroy must not take the state of an interrupted create as applied.
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
			vm.Stun() // the written flag takes effect at the next stun
			if enabled, _ := vm.Tracking(); enabled {
				t.Error("tracking came on after it was destroyed")
			}
		})
	}
}

// Nothing was shut down, so the cutover can be taken out of the configuration again.
func TestCutoverInterruptedBeforeItBegan(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w, steer := replicated(t, vcenter, "")
	w.useOpenStack()
	configure := func(cutover bool) {
		w.write(filepath.Join(w.dir, "main.tf"), fmt.Sprintf(requiresVMA+`
resource "vma_replication" "web" {
  vm_path = "/DC0/vm/web01"
  cutover = %t
  openstack = {
    availability_zone = "nova"
    flavor_id         = "f"
    network_mappings  = [{ mac = "00:50:56:a1:b2:c3", network_id = "n", subnet_id = "s" }]
  }
}
`, cutover))
	}
	configure(true)
	w.interruptAt("ReconfigVM_Task", vcenter, vm)
	if runs, _ := migratekittest.Invocations(filepath.Join(steer, "runs")); len(runs) != 0 {
		t.Fatalf("%d runs of migratekit", len(runs))
	}
	configure(false)
	w.terraform(0, "plan")
}
