package e2etest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

func TestPlanWarnsOfWhatACycleWalksInto(t *testing.T) {
	t.Parallel()
	vcenter, _ := startVCenter(t)
	_, err := vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/win01", Disks: []vspheretest.Disk{{}, {Kind: vspheretest.SeSparse}}})
	if err != nil {
		t.Fatal(err)
	}
	const openstack = `
  openstack = {
    availability_zone = "nova"
    flavor_id         = "f"
    network_mappings  = [{ mac = "00:50:56:a1:b2:c3", network_id = "n", subnet_id = "s" }]
  }
  cutover = %s
`
	cutover := []string{"Source Will Be Shut Down", "migratekit runs virt-v2v for the first one only", "No cycle is known to have run before it"}
	for name, test := range map[string]struct {
		lines    string
		exit     int
		says, no []string
	}{
		"a disk without an export": {
			`  nbd = { exports = { "2000" = "nbd://127.0.0.1:10808/a" } }`, 1,
			[]string{"Invalid nbd.exports", "migratekit copies every disk: 2001 (Hard disk 2); add an export for each"},
			cutover,
		},
		"SeSparse": {
			`  nbd = { exports = { "2000" = "nbd://127.0.0.1:10808/a", "2001" = "nbd://127.0.0.1:10808/b" } }`, 0,
			[]string{"Disks That migratekit May Not Read", "Hard disk 2 (device key 2001)"},
			append(cutover, "Disks Not Copied"),
		},
		"a cycle to OpenStack": {fmt.Sprintf(openstack, "false"), 0, []string{"Disks That migratekit May Not Read"}, cutover},
		"a cutover":            {fmt.Sprintf(openstack, "true"), 0, cutover, []string{"Disks Not Copied"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := replicated(t, vcenter, "")
			w.useOpenStack()
			w.write(filepath.Join(w.dir, "main.tf"), requiresVMA+"resource \"vma_replication\" \"web\" {\n  vm_path = \"/DC0/vm/win01\"\n"+test.lines+"\n}\n")
			output := words(w.terraform(test.exit, "plan"))
			for _, text := range test.says {
				if !strings.Contains(output, text) {
					t.Errorf("it does not say %q:\n%s", text, output)
				}
			}
			for _, text := range test.no {
				if strings.Contains(output, text) {
					t.Errorf("it says %q:\n%s", text, output)
				}
			}
		})
	}
}

// A leftover snapshot that the cycle will remove does not block the plan.
func TestPlanLeavesOutWhatTheCycleRemoves(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	if err := vm.AddSnapshot("migratekit", ""); err != nil {
		t.Fatal(err)
	}
	w, _ := replicated(t, vcenter, "  on_leftover_snapshot = \"remove\"\n")
	if output := w.terraform(0, "plan"); strings.Contains(output, "Snapshots in the Way") {
		t.Errorf("plan:\n%s", output)
	}
	w.terraform(0, "apply", "-auto-approve")
}

func TestTrackingResetAfterThePlan(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w, steer := replicated(t, vcenter, "  on_tracking_reset = \"fail\"\n  triggers = { run = terraform_data.run.output }\n")
	run := func(n string) {
		w.write(filepath.Join(w.dir, "run.tf"), "resource \"terraform_data\" \"run\" {\n  input = \""+n+"\"\n}\n")
	}
	run("1")
	w.terraform(0, "apply", "-auto-approve")
	run("2")
	w.terraform(0, "plan", "-out=saved")
	vm.ResetTracking()
	if output := words(w.terraform(1, "apply", "saved")); !strings.Contains(output, "Change Tracking Was Reset") {
		t.Errorf("apply:\n%s", output)
	}
	if runs, err := migratekittest.Invocations(filepath.Join(steer, "runs")); err != nil || len(runs) != 1 {
		t.Errorf("%d runs of migratekit, %v", len(runs), err)
	}
	// The next plan fails too, and names the way to destroy.
	if output := words(w.terraform(1, "plan")); !strings.Contains(output, "terraform destroy -refresh=false") {
		t.Errorf("plan:\n%s", output)
	}
}
