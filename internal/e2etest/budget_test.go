package e2etest

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// The calls stay in the budget however busy the machine is. Without batching, all budgets are exceeded by far.
func TestCallsStayWithinTheirBudget(t *testing.T) { //nolint:paralleltest // the reads of a process that hardly runs do not meet
	vcenter, err := vspheretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	const vms = 100
	for i := range vms {
		if _, err := vcenter.AddVM(vspheretest.Spec{Path: fmt.Sprintf("/DC0/vm/estate/vm%03d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	const byPath = `
  count   = 100
  vm_path = format("/DC0/vm/estate/vm%03d", count.index)
}
`
	for _, run := range []struct {
		name, configuration string
		args                []string
		budget              int
	}{
		// Per VM: three writes and their waits (seven calls), and a share of the reads.
		{"ensure", `resource "vma_cbt" "x" {` + byPath, []string{"apply", "-auto-approve"}, 8 * vms},
		{"refresh", `resource "vma_cbt" "x" {` + byPath, []string{"plan", "-detailed-exitcode"}, vms * 3 / 10},
		{"by path", `data "vma_cbt_status" "x" {` + byPath, []string{"plan"}, vms * 4 / 10},
		{"estate", `data "vma_cbt_statuses" "x" {}`, []string{"plan"}, 9},
	} {
		w := newWorkspace(t, run.configuration)
		w.use(vcenter)
		if run.name == "refresh" {
			w.terraform(0, "apply", "-auto-approve")
		}
		vcenter.ResetCalls()
		w.terraform(0, run.args...)
		total := 0
		for _, n := range vcenter.Calls() {
			total += n
		}
		t.Logf("%s: %d calls", run.name, total)
		if total > run.budget {
			t.Errorf("%s: %d calls, and %d are allowed: %v", run.name, total, run.budget, vcenter.Calls())
		}
		processes := 1 // an apply plans in a process of its own first
		if run.name == "ensure" {
			processes = 2
		}
		if calls, left := vcenter.Calls(), vcenter.Sessions(); calls["Login"] != processes || calls["Logout"] != processes || left > 0 {
			t.Errorf("%s: %d logins, %d logouts, %d sessions left", run.name, calls["Login"], calls["Logout"], left)
		}
	}
}

// A cycle costs the same few calls however long it takes: nothing polls vCenter. The numbers include those of migratekit, about ten.
func TestCallsPerCycle(t *testing.T) {
	t.Parallel()
	const n = 10
	f := newFleet(t, n)
	for run, budget := range []int{48, 42} { // the first cycle also enables CBT
		f.configure("", strconv.Itoa(run), "", nil)
		f.vcenter.ResetCalls()
		f.terraform(0, "apply", "-auto-approve")
		total := 0
		for _, calls := range f.vcenter.Calls() {
			total += calls
		}
		t.Logf("cycle %d: %d calls", run, total)
		if total > budget*n {
			t.Errorf("cycle %d: %d calls, and %d are allowed: %v", run, total, budget*n, f.vcenter.Calls())
		}
	}
}
