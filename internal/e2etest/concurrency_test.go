package e2etest

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// The provider is built with the race detector, and a race ends it.
func TestReplicationsTogether(t *testing.T) {
	t.Parallel()
	const n = 20
	vcenter, _ := startVCenter(t)
	exports := map[string]nbdtest.Export{}
	for i := range n {
		if _, err := vcenter.AddVM(vspheretest.Spec{Path: fmt.Sprintf("/DC0/vm/many/vm%d", i)}); err != nil {
			t.Fatal(err)
		}
		exports[fmt.Sprintf("vm%d", i)] = nbdtest.Export{Size: 1 << 30}
	}
	server, err := nbdtest.Start(nbdtest.Newstyle, exports)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	w, steer := replicated(t, vcenter, "")
	w.provider(t, buildProvider(t, "-race"))
	w.env["GORACE"] = "halt_on_error=1"
	configure := func(run int) {
		w.write(filepath.Join(w.dir, "main.tf"), fmt.Sprintf(`
terraform {
  required_providers {
    vma = { source = "vma-project/vma" }
  }
}
resource "vma_replication" "all" {
  count    = %d
  vm_path  = "/DC0/vm/many/vm${count.index}"
  nbd      = { exports = { "2000" = "%s${count.index}" } }
  triggers = { run = "%d" }
}
`, n, server.URI("vm"), run))
	}
	configure(1)
	w.terraform(0, "apply", "-auto-approve", "-parallelism=20")
	configure(2)
	w.terraform(0, "apply", "-auto-approve", "-parallelism=20")
	ids, logs := map[any]bool{}, map[any]bool{}
	for _, resource := range w.resources() {
		cycle, _ := resource.Values["last_cycle"].(map[string]any)
		changeIDs, _ := resource.Values["change_ids"].(map[string]any)
		if resource.Values["status"] != "replicated" || cycle["kind"] != "incremental" {
			t.Errorf("%s: %v, %v", resource.Address, resource.Values["status"], cycle)
		}
		ids[changeIDs["2000"]], logs[cycle["log_file"]] = true, true
	}
	if len(ids) != n || len(logs) != n {
		t.Errorf("%d change IDs and %d logs for %d replications", len(ids), len(logs), n)
	}
	if runs, err := migratekittest.Invocations(filepath.Join(steer, "runs")); err != nil || len(runs) != 2*n {
		t.Errorf("%d runs of migratekit, %v", len(runs), err)
	}
	noSession(t, vcenter, "twenty replications")
	w.terraform(0, "plan", "-detailed-exitcode")
}
