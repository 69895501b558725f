package provider_test

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

func oneDisk(t *testing.T) (e *estate, vm *vspheretest.Machine, config func(lines string) string) {
	t.Helper()
	e = newEstate(t)
	vm = e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}})
	return e, vm, func(lines string) string {
		return e.provider() + replicationConfig(fmt.Sprintf("nbd = { exports = { \"2000\" = %q } }\n%s", server.URI("web01-0"), lines))
	}
}

// Without CBT the apply fails with the texts that users search for, and migratekit is not started.
func TestReplicationGate(t *testing.T) {
	t.Parallel()
	const enable = "MIGRATION FAILURE: Could not enable CBT on VM web01 (/DC0/vm/prod/web01):"
	const initialize = "MIGRATION FAILURE: CBT initialization failed for VM web01 (/DC0/vm/prod/web01):"
	tests := map[string]struct {
		make func(t *testing.T, e *estate, vm *vspheretest.Machine)
		want string
	}{
		"a template": {func(t *testing.T, _ *estate, vm *vspheretest.Machine) {
			t.Helper()
			must(t, vm.PowerOff())
			vm.SetTemplate(true)
		}, enable},
		"existing snapshots": {func(t *testing.T, _ *estate, vm *vspheretest.Machine) {
			t.Helper()
			must(t, vm.AddSnapshot("nightly", ""))
		}, enable + " change tracking cannot work on /DC0/vm/prod/web01: it has 1 snapshot (\"nightly\""},
		"a missing privilege": {func(_ *testing.T, e *estate, _ *vspheretest.Machine) {
			e.Revoke("VirtualMachine.Config.ChangeTracking")
		}, enable},
		"a disk without a change ID": {func(_ *testing.T, _ *estate, vm *vspheretest.Machine) {
			vm.LeaveUninitialized(2000, true)
		}, initialize},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, vm, config := oneDisk(t)
			test.make(t, e, vm)
			before := vm.Snapshots()
			resource.UnitTest(t, resource.TestCase{
				ProtoV6ProviderFactories: e.factories(t),
				Steps: []resource.TestStep{
					{Config: config(""), ExpectError: regexp.MustCompile("CBT enablement check failed - migration cannot proceed")},
					{Config: config(""), ExpectError: words(test.want)},
				},
			})
			if runs := e.runs(t); len(runs) > 0 {
				t.Errorf("migratekit was started: %q", runs[0].Args)
			}
			if got := vm.Snapshots(); !slices.Equal(got, before) {
				t.Errorf("snapshots now: %v", got)
			}
		})
	}
}

// Without the gate there is a warning. migratekit for OpenStack then refuses a VM without CBT.
func TestReplicationWithoutGate(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	config := e.provider("auto_cbt = false") + replicationConfig("openstack = { volume_type = \"ssd\" }")
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config, ExpectError: words("change tracking is not enabled on the virtual machine")},
			{PreConfig: func() { vm.SetTracking(true) }, Config: config},
			{ // the resource overrides the provider; disabled CBT is not drift of a replication
				PreConfig: func() { vm.SetTracking(false) },
				Config:    e.provider("auto_cbt = false") + replicationConfig("openstack = { volume_type = \"ssd\" }\nauto_cbt = true"),
			},
		},
	})
	if runs := e.runs(t); len(runs) != 3 {
		t.Errorf("migratekit ran %d times", len(runs))
	}
	if enabled, _ := vm.Tracking(); !enabled {
		t.Error("auto_cbt = true did not switch tracking on")
	}
}

// A failed first cycle leaves nothing in state. A failed later cycle keeps what is still valid.
func TestReplicationFails(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}, {Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}, "web01-1": {Size: gib}})
	config := func(run string) string {
		return e.provider() + replicationConfig(fmt.Sprintf("nbd = { exports = { \"2000\" = %q, \"2001\" = %q } }\ntriggers = { run = %q }",
			server.URI("web01-0"), server.URI("web01-1"), run))
	}
	fail := func(key string) func() { return func() { e.env[migratekittest.Fail] = key } }
	first := config("1")
	fail("2001")()
	failing := config("1")
	failingLater := config("2")
	delete(e.env, migratekittest.Fail)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: failing, ExpectError: words("Nothing that was copied is lost")},
			{
				Config: first, ConfigPlanChecks: replicaAction(plancheck.ResourceActionDestroyBeforeCreate),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("last_cycle", lastCycle("mixed", gib, map[string]knownvalue.Check{"2000": disk("incremental", 0), "2001": disk("full", gib)})),
				},
			},
			{Config: failingLater, ExpectError: words("The last lines of its output:")},
			{
				PreConfig:    func() { vm.Write(2001, 0, 4096) },
				RefreshState: true, ExpectNonEmptyPlan: true,
			},
			{
				Config:           config("2"),
				ConfigPlanChecks: replicaAction(plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("status", knownvalue.StringExact("replicated")),
					replica("cycles", knownvalue.Int64Exact(2)),
					replica("last_cycle", lastCycle("incremental", 4096, map[string]knownvalue.Check{"2000": disk("incremental", 0), "2001": disk("incremental", 4096)})),
				},
			},
		},
	})
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}

// A snapshot left by this run is removed. One left by an earlier run is an error, or removed if configured.
func TestReplicationLeftovers(t *testing.T) {
	t.Parallel()
	e, vm, config := oneDisk(t)
	vm.SetTracking(true)
	e.env[migratekittest.Fail], e.env[migratekittest.KeepSnapshot] = "2000", "1"
	failing := config("")
	delete(e.env, migratekittest.Fail)
	delete(e.env, migratekittest.KeepSnapshot)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: failing, ExpectError: words("migratekit failed on")},
			{
				PreConfig: func() {
					if left := vm.Snapshots(); len(left) > 0 {
						t.Errorf("the snapshot of the run is left: %v", left)
					}
					must(t, vm.AddSnapshot("migratekit", "of a run long ago"), vm.AddSnapshot("child", ""))
				},
				Config:      config(""),
				ExpectError: words("has a snapshot that an earlier run of migratekit left: \"migratekit\" of"),
			},
			{Config: config("on_leftover_snapshot = \"remove\"")},
		},
	})
	if got := vm.Snapshots(); !slices.Equal(got, []string{"child"}) {
		t.Errorf("snapshots now: %v", got)
	}
}

func TestReplicationTrackingReset(t *testing.T) {
	t.Parallel()
	e, vm, config := oneDisk(t)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config("on_tracking_reset = \"fail\"")},
			{
				PreConfig:   func() { vm.ResetTracking() },
				Config:      config("on_tracking_reset = \"fail\""),
				PlanOnly:    true,
				ExpectError: words("Change Tracking Was Reset"),
			},
			{Config: config("")},
		},
	})
	if runs := e.runs(t); len(runs) != 2 {
		t.Errorf("migratekit ran %d times", len(runs))
	}
}

// Exports are checked before the VM is changed.
func TestReplicationExports(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"small": {Size: gib - 1}, "frozen": {Size: gib, ReadOnly: true}})
	for export, want := range map[string]string{
		"small":  "the export has 1073741823 bytes and the disk has 1073741824",
		"frozen": "the NBD server exports it read-only",
		"none":   "the NBD server has no such export",
	} {
		resource.UnitTest(t, resource.TestCase{
			ProtoV6ProviderFactories: e.factories(t),
			Steps: []resource.TestStep{{
				Config:      e.provider() + replicationConfig(fmt.Sprintf("nbd = { exports = { \"2000\" = %q } }", server.URI(export))),
				ExpectError: words(want),
			}},
		})
	}
	if enabled, _ := vm.Tracking(); enabled || len(e.runs(t)) > 0 {
		t.Errorf("flag %t, runs %d", enabled, len(e.runs(t)))
	}
	if server.Asked("none") < 2 {
		t.Error("an export that may still come up was asked for once only")
	}
}

// migratekit has no TLS: an export that offers TLS is verified with TLS and copied without. An export that
// requires TLS is refused.
func TestReplicationTLSExports(t *testing.T) {
	t.Parallel()
	for manner, want := range map[nbdtest.Manner]*regexp.Regexp{
		nbdtest.OffersTLS: nil,
		nbdtest.WantsTLS:  words("the NBD server wants TLS, which migratekit leaves to a tunnel on this machine"),
		nbdtest.Newstyle:  words("the NBD server does not offer TLS"),
	} {
		t.Run(fmt.Sprint(manner), func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
			server, err := nbdtest.Start(manner, map[string]nbdtest.Export{"web01-0": {Size: gib}})
			must(t, err, server.Certificates(e.dir))
			t.Cleanup(func() { _ = server.Close() })
			secure := strings.Replace(server.URI("web01-0"), "nbd://", "nbds://", 1) + "?tls-certificates=" + url.QueryEscape(e.dir)
			resource.UnitTest(t, resource.TestCase{
				ProtoV6ProviderFactories: e.factories(t),
				Steps: []resource.TestStep{{
					Config:      e.provider() + replicationConfig(fmt.Sprintf("nbd = { exports = { \"2000\" = %q } }", secure)),
					ExpectError: want,
				}},
			})
			if want != nil {
				e.untouched(t)
			} else if runs := e.runs(t); len(runs) != 1 {
				t.Errorf("migratekit ran %d times", len(runs))
			}
		})
	}
}

// A removed disk, or one that outgrew its export, is an error before anything is done.
func TestReplicationDiskGoneOrGrown(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}, {Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}, "web01-1": {Size: gib}, "wide": {Size: 2 * gib}})
	config := func(exports, run string) string {
		return e.provider() + replicationConfig("nbd = { exports = { "+exports+" } }\ntriggers = { run = \""+run+"\" }")
	}
	first, second := fmt.Sprintf("\"2000\" = %q", server.URI("web01-0")), fmt.Sprintf("\"2001\" = %q", server.URI("web01-1"))
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config(first+", "+second, "1")},
			{ // a removed disk is not drift until a cycle is due
				PreConfig: func() { must(t, vm.RemoveDisk(2001)) },
				Config:    config(first+", "+second, "1"), PlanOnly: true,
			},
			{Config: config(first+", "+second, "2"), ExpectError: words("has no disk with the device key 2001; its disks are 2000 (Hard disk 1)")},
			{
				Config: config(first, "2"),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("change_ids", knownvalue.MapSizeExact(1)),
					replica("last_cycle", lastCycle("incremental", 0, map[string]knownvalue.Check{"2000": disk("incremental", 0)})),
				},
			},
			{
				PreConfig: func() { must(t, vm.GrowDisk(2000, 2*gib)) },
				Config:    config(first, "3"), ExpectError: words("the export has 1073741824 bytes and the disk has 2147483648"),
			},
			{ // another export needs a full copy
				Config: config(fmt.Sprintf("\"2000\" = %q", server.URI("wide")), "3"),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("last_cycle", lastCycle("full", 2*gib, map[string]knownvalue.Check{"2000": disk("full", 2*gib)})),
				},
			},
		},
	})
	if runs := e.runs(t); len(runs) != 3 {
		t.Errorf("migratekit ran %d times", len(runs))
	}
}

// A disk with another export needs a full copy.
func TestReplicationExportMoves(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"old": {Size: gib}, "new": {Size: gib}})
	config := func(export string) string {
		return e.provider() + replicationConfig(fmt.Sprintf("nbd = { exports = { \"2000\" = %q } }", server.URI(export)))
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config("old")},
			{
				Config:           config("new"),
				ConfigPlanChecks: replicaAction(plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("last_cycle", lastCycle("full", gib, map[string]knownvalue.Check{"2000": disk("full", gib)})),
				},
			},
		},
	})
}

// An added disk is copied in full, the others incrementally.
func TestReplicationDiskAdded(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}, "web01-1": {Size: gib}})
	one := e.provider() + replicationConfig(fmt.Sprintf("nbd = { exports = { \"2000\" = %q } }", server.URI("web01-0")))
	two := e.provider() + replicationConfig(fmt.Sprintf("nbd = { exports = { \"2000\" = %q, \"2001\" = %q } }", server.URI("web01-0"), server.URI("web01-1")))
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: one},
			{
				PreConfig: func() {
					_, err := vm.AddDisk(vspheretest.Disk{Size: gib})
					must(t, err)
				},
				Config: two,
				ConfigStateChecks: []statecheck.StateCheck{
					replica("planned_cycle", knownvalue.MapExact(map[string]knownvalue.Check{
						"2000": knownvalue.StringExact("incremental"), "2001": knownvalue.StringExact("full: disk added since the last cycle"),
					})),
					replica("last_cycle", lastCycle("mixed", gib, map[string]knownvalue.Check{"2000": disk("incremental", 0), "2001": disk("full", gib)})),
				},
			},
		},
	})
}

// Where CBT works already, migratekit still needs a snapshot: what prevents it is found before migratekit is started.
func TestReplicationWithoutASnapshot(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	vm.SetTracking(true)
	vm.DisableMethod("CreateSnapshot_Task", "backup")
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}})
	config := e.provider() + replicationConfig(fmt.Sprintf("nbd = { exports = { \"2000\" = %q } }", server.URI("web01-0")))
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config, PlanOnly: true, ExpectError: words("migratekit cannot take its snapshot: the operation CreateSnapshot_Task is disabled")},
		},
	})
	e.untouched(t)
}
