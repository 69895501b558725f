package provider_test

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// Two VMs with one export are refused at plan, also under another name of the host.
func TestTwoVMsWithOneExport(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	server := serveNBD(t, map[string]nbdtest.Export{"shared": {Size: gib}})
	config, first := e.provider(), ""
	for i, host := range []string{"127.0.0.1", "localhost"} {
		path := fmt.Sprintf("/DC0/vm/prod/vm%d", i)
		e.addVM(t, vspheretest.Spec{Path: path, Disks: []vspheretest.Disk{{Size: gib}}})
		config += fmt.Sprintf("resource \"vma_replication\" \"vm%d\" {\n  vm_path = %q\n  nbd = { exports = { \"2000\" = replace(%q, \"127.0.0.1\", %q) } }\n}\n",
			i, path, server.URI("shared"), host)
		if i == 0 {
			first = config
		}
	}
	e.refused(t, config, "one VM would overwrite the other")
	e.untouched(t)
	// The copy of the first one is complete, and nothing more is planned for it.
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps:                    []resource.TestStep{{Config: first}, {Config: config, ExpectError: words("one VM would overwrite the other")}},
	})
	if runs := e.runs(t); len(runs) != 1 {
		t.Errorf("migratekit ran %d times", len(runs))
	}
}

// The last object of a VM decides: the old one must not disable CBT that its replacement has verified.
func TestCreateBeforeDestroyKeepsCBT(t *testing.T) {
	t.Parallel()
	for _, onDestroy := range []string{"disable", "restore"} {
		t.Run(onDestroy, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			vm := e.addVM(t, vspheretest.Spec{Path: webPath})
			config := func(version string) string {
				return e.provider() + "resource \"terraform_data\" \"version\" {\n  input = \"" + version + "\"\n}\n" +
					cbtConfig("on_destroy = \""+onDestroy+"\"\nlifecycle {\n  create_before_destroy = true\n  replace_triggered_by = [terraform_data.version]\n}")
			}
			resource.UnitTest(t, resource.TestCase{
				ProtoV6ProviderFactories: e.factories(t),
				Steps: []resource.TestStep{
					{Config: config("1")},
					{
						Config:           config("2"),
						ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction("vma_cbt.web", plancheck.ResourceActionCreateBeforeDestroy)}},
						Check: func(*terraform.State) error {
							if enabled, ids := vm.Tracking(); !enabled || ids[2000] == "" {
								return fmt.Errorf("enabled %t, %v", enabled, ids)
							}
							return nil
						},
					},
					{Config: config("2"), ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}},
				},
			})
		})
	}
}

// A VM that was renamed is another one to migratekit for OpenStack: its next copy is full, and the plan says so.
func TestRenamedVMIsCopiedInFull(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	config := func(run string) string {
		return e.provider() + fmt.Sprintf("resource \"vma_replication\" \"web\" {\n  vm_moid = %q\n  openstack = { volume_type = \"ssd\" }\n  triggers = { run = %q }\n}\n", vm.Moid(), run)
	}
	kind := func(kind string) statecheck.StateCheck {
		return statecheck.ExpectKnownValue("vma_replication.web", tfjsonpath.New("last_cycle").AtMapKey("kind"), knownvalue.StringExact(kind))
	}
	planned := func(text string) resource.ConfigPlanChecks {
		return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
			plancheck.ExpectKnownValue("vma_replication.web", tfjsonpath.New("planned_cycle").AtMapKey("2000"), knownvalue.StringExact(text)),
		}}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config("1"), ConfigStateChecks: []statecheck.StateCheck{kind("full")}},
			{Config: config("2"), ConfigPlanChecks: planned("incremental"), ConfigStateChecks: []statecheck.StateCheck{kind("incremental")}},
			{
				PreConfig:         func() { must(t, vm.Rename("web02")) },
				Config:            config("3"),
				ConfigPlanChecks:  planned("full: volume not found, renamed or registered again since the last cycle"),
				ConfigStateChecks: []statecheck.StateCheck{kind("full")},
			},
			{Config: config("4"), ConfigPlanChecks: planned("incremental"), ConfigStateChecks: []statecheck.StateCheck{kind("incremental")}},
		},
	})
}

// vma_cbt removes migratekit's snapshot if it is allowed to and the snapshot blocks a repair; otherwise it is foreign.
func TestCBTRemovesALeftoverSnapshot(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	must(t, vm.AddSnapshot("migratekit", ""))
	must(t, vm.AddSnapshot("nightly", ""))
	remove := e.provider(`on_leftover_snapshot = "remove"`)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: e.provider() + cbtConfig(""), ExpectError: words("it has 2 snapshots")},
			{Config: remove + cbtConfig(""), ExpectError: words("it has 1 snapshot (\"nightly\"")},
			{PreConfig: func() { must(t, vm.RemoveSnapshots()); must(t, vm.AddSnapshot("migratekit", "")) }, Config: remove + cbtConfig("")},
		},
	})
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}

// The provider's on_leftover_snapshot is the default of its replications.
func TestLeftoverDefaultOfTheProvider(t *testing.T) {
	t.Parallel()
	e, vm, config := oneDisk(t)
	vm.SetTracking(true)
	vm.Stun()
	must(t, vm.AddSnapshot("migratekit", ""))
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config("on_leftover_snapshot = \"fail\""), ExpectError: words("Leftover migratekit Snapshot")},
			{Config: e.provider(`on_leftover_snapshot = "remove"`) + config("")[len(e.provider()):]},
		},
	})
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}
