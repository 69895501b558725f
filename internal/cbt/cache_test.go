package cbt_test

import (
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// An apply reuses what the plan read, unless this process has written to the VM or read it since.
func TestRecent(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	name := vsphere.Name{Path: "/DC0/vm/a"}
	reads := func() int { return vcenter.Calls()["RetrievePropertiesEx"] }
	recent := func(enabled bool, want int) {
		t.Helper()
		before := reads()
		status, err := manager.ReadCached(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := reads() - before; status.Enabled() != enabled || got != want {
			t.Errorf("enabled %t after %d reads, want %t after %d", status.Enabled(), got, enabled, want)
		}
	}
	recent(false, 1)
	recent(false, 0)
	before := reads()
	if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := reads() - before; got != 1 {
		t.Errorf("Ensure read %d times, want once, after its writes", got)
	}
	recent(true, 1)
	recent(true, 0)
	// The gate of a replication ignores the cache.
	vm.SetTracking(false)
	if _, err := manager.ReadUncached(t.Context(), vm.Moid()); err != nil {
		t.Fatal(err)
	}
	if status, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil || !status.Enabled() {
		t.Errorf("%v", err)
	}
	if enabled, _ := vm.Tracking(); !enabled {
		t.Error("Ensure used a stale status")
	}
}
