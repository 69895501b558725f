package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// A program that ends well and says nothing has copied nothing.
func TestReplicationByAProgramThatDoesNothing(t *testing.T) {
	t.Parallel()
	e, _, config := oneDisk(t)
	silent := strings.ReplaceAll(config(""), e.migratekit, "/bin/true")
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: silent, ExpectError: words("its log has neither")},
			{Config: config(""), ConfigPlanChecks: replicaAction(plancheck.ResourceActionCreate)},
		},
	})
}

// Two resources on one VM take turns.
func TestReplicationsOfOneVM(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}, {Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}, "web01-1": {Size: gib}})
	config := e.provider() + cbtConfig("")
	for i := range 2 {
		config += fmt.Sprintf("resource \"vma_replication\" \"disk%d\" {\n  vm_path = %q\n  nbd = { exports = { \"200%d\" = %q } }\n}\n",
			i, webPath, i, server.URI(fmt.Sprintf("web01-%d", i)))
	}
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: e.factories(t), Steps: []resource.TestStep{{Config: config}}})
	if runs := e.runs(t); len(runs) != 2 {
		t.Errorf("migratekit ran %d times", len(runs))
	}
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}

// What is not known at plan is planned as unknown, and not as nothing.
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

// The source of a cutover is done with; another VM under its name is another
// resource.
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
    network_mappings = [{ mac = "m", network_id = "n", subnet_id = "s" }]
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

// A cutover that was refused before migratekit started has not happened, and
// can be taken out of the configuration again.
func TestReplicationCutoverRefused(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	config := func(more string) string {
		return e.provider() + replicationConfig(`openstack = {
    availability_zone = "nova"
    flavor_id = "f"
    network_mappings = [{ mac = "m", network_id = "n", subnet_id = "s" }]
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

// A temporary snapshot that could not be removed is named, shows as drift, and
// is removed by the next apply.
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
