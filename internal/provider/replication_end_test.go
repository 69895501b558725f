package provider_test

import (
	"fmt"
	"os"
	"path/filepath"
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

// A program that exits with 0 and logs nothing has copied nothing.
func TestReplicationByAProgramThatDoesNothing(t *testing.T) {
	t.Parallel()
	e, _, config := oneDisk(t)
	silent := strings.ReplaceAll(config(""), e.migratekit, "/bin/true")
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: silent, ExpectError: words("its log has neither")},
			{Config: config(""), ConfigPlanChecks: replicaAction(plancheck.ResourceActionDestroyBeforeCreate)},
		},
	})
}

// Cycles of one VM must not overlap.
func TestReplicationsOfOneVM(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}, {Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"a-0": {Size: gib}, "a-1": {Size: gib}, "b-0": {Size: gib}, "b-1": {Size: gib}})
	config := e.provider() + cbtConfig("")
	for _, name := range []string{"a", "b"} {
		config += fmt.Sprintf("resource \"vma_replication\" %q {\n  vm_path = %q\n  nbd = { exports = { \"2000\" = %q, \"2001\" = %q } }\n}\n",
			name, webPath, server.URI(name+"-0"), server.URI(name+"-1"))
	}
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: e.factories(t), Steps: []resource.TestStep{{Config: config}}})
	if runs := e.runs(t); len(runs) != 2 {
		t.Errorf("migratekit ran %d times", len(runs))
	}
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}

// Values that are unknown at plan stay unknown in the plan.
func TestReplicationUnknownTarget(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-2000": {Size: gib}})
	later := "resource \"terraform_data\" \"later\" {\n  input = \"x\"\n}\n"
	target := func(name, target string) resource.TestStep {
		return resource.TestStep{Config: e.provider() + later + cbtConfig("") +
			fmt.Sprintf("resource \"vma_replication\" %q {\n  vm_path = vma_cbt.web.vm_path\n  %s\n}\n", name, target)}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			target("a", fmt.Sprintf("nbd = { exports = { for d in vma_cbt.web.disks : d.key => \"%s${d.key}\" } }", server.URI("web01-"))),
			target("b", "openstack = { security_group_ids = [terraform_data.later.id] }"),
		},
	})
}

// After a cutover, another VM with the same name is another resource.
func TestReplicationAnotherVMAfterCutover(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath})
	e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/prod/web02"})
	config := func(path string) string {
		return e.provider() + fmt.Sprintf(`resource "vma_replication" "web" {
  vm_path = %q
  openstack = {
    availability_zone = "nova"
    flavor_id = "f"
    network_mappings = [{ mac = "00:50:56:a1:b2:c3", network_id = "n", subnet_id = "s" }]
  }
  cutover = true
}
`, path)
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config(webPath), ConfigStateChecks: []statecheck.StateCheck{replica("status", knownvalue.StringExact("cut_over"))}},
			{
				Config:            config("/DC0/vm/prod/web02"),
				ConfigPlanChecks:  replicaAction(plancheck.ResourceActionDestroyBeforeCreate),
				ConfigStateChecks: []statecheck.StateCheck{replica("vm_name", knownvalue.StringExact("web02"))},
			},
		},
	})
}

// migratekit was not started, so the cutover can be taken out of the configuration again.
func TestReplicationCutoverRefused(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	config := func(more string) string {
		return e.provider() + replicationConfig(`openstack = {
    availability_zone = "nova"
    flavor_id = "f"
    network_mappings = [{ mac = "00:50:56:a1:b2:c3", network_id = "n", subnet_id = "s" }]
  }
`+more)
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config("")},
			{
				PreConfig:   func() { must(t, vm.AddSnapshot("migratekit", "of an earlier run")) },
				Config:      config("cutover = true"),
				ExpectError: words("Leftover migratekit Snapshot"),
			},
			{PreConfig: func() { must(t, vm.RemoveSnapshots()) }, Config: config("")},
		},
	})
}

func TestCBTRemovesWhatItLeft(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	deny := func() { e.DenyTasks("RemoveSnapshot_Task", true) }
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: e.provider() + cbtConfig("")},
			{
				PreConfig:   func() { vm.SetTracking(false); deny() },
				Config:      e.provider() + cbtConfig(""),
				ExpectError: words("may still be on /DC0/vm/prod/web01"),
			},
			{
				PreConfig: func() {
					if left := vm.Snapshots(); len(left) != 1 {
						t.Errorf("snapshots: %v", left)
					}
					e.DenyTasks("RemoveSnapshot_Task", false)
				},
				Config:           e.provider() + cbtConfig(""),
				ConfigPlanChecks: action(plancheck.ResourceActionUpdate),
			},
		},
	})
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}

// A later cycle that fails before migratekit starts keeps the change IDs: the next cycle is incremental.
func TestReplicationMistypedExportKeepsTheChain(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}})
	config := func(export, run string) string {
		return e.provider() + replicationConfig(fmt.Sprintf("nbd = { exports = { \"2000\" = %q } }\ntriggers = { run = %q }", server.URI(export), run))
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config("web01-0", "1")},
			{Config: config("web01-O", "2"), ExpectError: words("the NBD server has no such export")},
			{
				Config: config("web01-0", "2"),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("last_cycle", lastCycle("incremental", 0, map[string]knownvalue.Check{"2000": disk("incremental", 0)})),
				},
			},
		},
	})
}

// A program that reports completion but creates no snapshot of this VM has copied nothing, or another VM.
func TestReplicationOpenStackWithoutACopy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		says, lines string
		want        string
	}{
		"a cycle":                     {"Migration completed", "", "created no snapshot of this virtual machine"},
		"a cutover that is a cycle":   {"Migration completed", "cutover = true", "migratekit failed on"},
		"a cutover that is a cutover": {"Cutover completed", "cutover = true", "created no snapshot of this virtual machine"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
			e.migratekit = filepath.Join(e.dir, "liar")
			must(t, os.WriteFile(e.migratekit, []byte("#!/bin/sh\necho 'level=info msg=\""+test.says+"\"' >&2\n"), 0o700))
			resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: e.factories(t), Steps: []resource.TestStep{{
				Config:      e.provider() + replicationConfig("openstack = {\n availability_zone = \"nova\"\n flavor_id = \"f\"\n network_mappings = [{ mac = \"00:50:56:aa:bb:cc\", network_id = \"n\", subnet_id = \"s\" }]\n}\n"+test.lines),
				ExpectError: words(test.want),
			}}})
		})
	}
}

func TestReplicationWithoutAPlaceForItsLog(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}})
	config := strings.ReplaceAll(e.provider(), filepath.Join(e.dir, "logs"), "/proc/nowhere") +
		replicationConfig(fmt.Sprintf("nbd = { exports = { \"2000\" = %q } }", server.URI("web01-0")))
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps:                    []resource.TestStep{{Config: config, ExpectError: words("There is no place for migratekit's log in \"/proc/nowhere\"")}},
	})
	e.untouched(t)
}

// A first cutover that fails is continued as a cutover. What was copied before it failed is not copied again.
func TestFailedFirstCutover(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}, {Size: gib}}})
	config := func(lines string) string {
		return e.provider() + replicationConfig(`openstack = {
    availability_zone = "nova"
    flavor_id = "f"
    network_mappings = [{ mac = "00:50:56:a1:b2:c3", network_id = "n", subnet_id = "s" }]
`+lines)
	}
	e.env[migratekittest.Fail] = "2001"
	failing := config("}\ncutover = true")
	delete(e.env, migratekittest.Fail)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: failing, ExpectError: words("the volumes in OpenStack have the change IDs")},
			{
				Config:            config("}\ncutover = true"),
				ConfigPlanChecks:  replicaAction(plancheck.ResourceActionDestroyBeforeCreate),
				ConfigStateChecks: []statecheck.StateCheck{replica("status", knownvalue.StringExact("cut_over")), replica("last_error", knownvalue.Null())},
			},
		},
	})
}

// The bytes of a cycle that is over before it is seen are known if the VM is off; otherwise an attribute says why not.
func TestChangedBytesOfShortCycles(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	config := func(run string) string {
		return e.provider() + replicationConfig("openstack = {}\ntriggers = { run = "+run+" }")
	}
	bytes := func(want knownvalue.Check, reason knownvalue.Check) statecheck.StateCheck {
		return replica("last_cycle", knownvalue.ObjectPartial(map[string]knownvalue.Check{
			"kind": knownvalue.StringExact("incremental"), "changed_bytes": want, "changed_bytes_reason": reason,
		}))
	}
	lost := func() { // vCenter answers only once migratekit has removed its snapshot
		e.Fail("QueryChangedDiskAreas", 0, 1)
		vm.Write(2000, 0, 4096)
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config("1")},
			{
				PreConfig: func() { must(t, vm.PowerOff()); lost() }, Config: config("2"),
				ConfigStateChecks: []statecheck.StateCheck{bytes(knownvalue.Int64Exact(4096), knownvalue.Null())},
			},
			{
				PreConfig: func() { must(t, vm.PowerOn()); lost() }, Config: config("3"),
				ConfigStateChecks: []statecheck.StateCheck{bytes(knownvalue.Null(), knownvalue.NotNull())},
			},
		},
	})
}
