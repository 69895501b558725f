package e2etest

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// newFleetExample returns a workspace with the fleet example, whose VMs exist.
func newFleetExample(t *testing.T) (w *workspace, vms map[string]*vspheretest.Machine) {
	t.Helper()
	vcenter, _ := startVCenter(t)
	w, _ = replicated(t, vcenter, "")
	w.useOpenStack()
	if err := os.CopyFS(filepath.Join(w.dir, "fleet"), os.DirFS("examples/guides/fleet")); err != nil {
		t.Fatal(err)
	}
	w.dir = filepath.Join(w.dir, "fleet")
	rows, err := csv.NewReader(strings.NewReader(read(t, filepath.Join(w.dir, "vms.csv")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	vms = map[string]*vspheretest.Machine{}
	for _, row := range rows[1:] {
		vm, err := vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/" + row[0]})
		if err != nil {
			t.Fatal(err)
		}
		vm.SetUUID(row[1])
		vms[row[0]] = vm
	}
	vms["licence-dongle"].SetHardware("vmx-04")
	return w, vms
}

// The example as its pipeline runs it: nights of increments, drift checks that say 0, a wave that is cut over, and sources that are deleted.
func TestFleetExample(t *testing.T) {
	t.Parallel()
	w, vms := newFleetExample(t)
	vars := []string{}
	drift := func(want int) {
		t.Helper()
		last := strings.TrimSpace(w.terraform(0, "output", "-raw", "cycle"))
		w.terraform(want, append([]string{"plan", "-lock=false", "-detailed-exitcode", "-var", "cycle=" + last}, vars...)...)
	}
	night := func(cycle string) {
		t.Helper()
		w.terraform(0, append([]string{"apply", "-auto-approve", "-var", "cycle=" + cycle}, vars...)...)
		drift(0)
	}
	night("1")
	if err := vms["shop-web-2"].Rename("renamed"); err != nil { // its key is not its name
		t.Fatal(err)
	}
	night("2")
	excluded := w.terraform(0, "output", "-json", "excluded")
	if !strings.Contains(excluded, "licence-dongle") || strings.Contains(excluded, "shop") {
		t.Errorf("excluded: %s", excluded)
	}
	vms["shop-db-1"].SetTracking(false)
	drift(2)
	night("3")

	file := filepath.Join(w.dir, "vms.csv")
	w.write(file, strings.ReplaceAll(read(t, file), "a1:b2:01,", "a1:b2:01,2026-12-05"))
	drift(0) // only cutovers_until releases it
	vars = []string{"-var", "cutovers_until=2026-12-05"}
	night("4")
	if waves := words(w.terraform(0, "output", "-json", "waves")); waves != `{"1":{"cut_over":1,"replicated":1}}` {
		t.Errorf("waves: %s", waves)
	}
	if err := vms["shop-web-1"].Destroy(); err != nil {
		t.Fatal(err)
	}
	drift(0)
	night("5")
}

// The tests of the example need no vCenter.
func TestFleetExampleTests(t *testing.T) {
	t.Parallel()
	w, _ := newFleetExample(t)
	w.env["VSPHERE_SERVER"] = "192.0.2.1"
	if output := w.terraform(0, "test"); !strings.Contains(output, "3 passed, 0 failed") {
		t.Errorf("terraform test:\n%s", output)
	}
}

// With the action, a night changes no trigger: no diff, and no drift. A VM that is blocked holds up only itself.
func TestFleetExampleWithActions(t *testing.T) {
	t.Parallel()
	w, vms := newFleetExample(t)
	w.needs("1.14.0")
	w.write(filepath.Join(w.dir, "nightly.tf"), read(t, filepath.Join(w.dir, "actions", "nightly.tf")))
	w.terraform(0, "apply", "-auto-approve", "-var", "cycle=1")
	night := []string{"apply", "-auto-approve", "-parallelism=50", "-invoke=action.vma_replicate.vm", "-var", "cycle=1"}
	drift := func() {
		t.Helper()
		w.terraform(0, "plan", "-lock=false", "-detailed-exitcode", "-var", "cycle=1")
	}
	for range 2 {
		if output := w.terraform(0, night...); strings.Count(output, "was incremental") != 2 {
			t.Fatalf("night:\n%s", output)
		}
		drift()
	}
	if err := vms["shop-web-2"].AddSnapshot("backup", ""); err != nil {
		t.Fatal(err)
	}
	vms["shop-web-2"].SetTracking(false)
	if output := w.terraform(1, night...); !strings.Contains(output, "was incremental") || !strings.Contains(output, "CBT enablement check failed") {
		t.Errorf("a blocked VM held up the other one:\n%s", output)
	}
}
