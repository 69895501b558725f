package provider_test

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// A VM that is being cloned has no UUID. It is refused, because it could not be told from another one later.
func TestVMWithoutIdentity(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	clone := e.addVM(t, vspheretest.Spec{Path: webPath})
	other := e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/prod/web02"})
	clone.SetIdentity("", "")
	config := e.provider() + cbtConfig(`on_destroy = "disable"`)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config, ExpectError: words("has no UUID yet")},
			{PreConfig: func() {
				clone.SetIdentity("52d810fe-8cab-4e2e-8c4b-cb4a0bd1c0de", "42d810fe-8cab-4e2e-8c4b-cb4a0bd1c0de")
			}, Config: config},
			{
				// The VM is gone, and another one has no identity: it is not taken for the first.
				PreConfig: func() {
					other.SetTracking(true)
					other.Stun()
					other.SetIdentity("", "")
					must(t, clone.Destroy())
				},
				Config: e.provider(), ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
		},
	})
	if enabled, _ := other.Tracking(); !enabled {
		t.Error("CBT of another VM was disabled")
	}
}

// A managed VM whose host disconnects is not drift. It is refused only if something must be written.
func TestDisconnectedVM(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}})
	config := e.provider() + cbtConfig("")
	replication := e.provider() + cbtConfig("") + replicationConfig("nbd = { exports = { \"2000\" = \""+server.URI("web01-0")+"\" } }")
	status := `data "vma_cbt_status" "web" {
  vm_path = "/DC0/vm/prod/web01"
}
`
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{PreConfig: func() { vm.SetConnectionState(types.VirtualMachineConnectionStateDisconnected) }, Config: config, ExpectError: words("its host is disconnected")},
			{PreConfig: func() { vm.SetConnectionState(types.VirtualMachineConnectionStateConnected) }, Config: config},
			{
				PreConfig:        func() { vm.SetConnectionState(types.VirtualMachineConnectionStateDisconnected) },
				Config:           config + status,
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction("vma_cbt.web", plancheck.ResourceActionNoop)}},
				ConfigStateChecks: []statecheck.StateCheck{
					statecheck.ExpectKnownValue("data.vma_cbt_status.web", tfjsonpath.New("connection_state"), knownvalue.StringExact("disconnected")),
					statecheck.ExpectKnownValue("data.vma_cbt_status.web", tfjsonpath.New("blockers"), knownvalue.ListSizeExact(1)),
				},
			},
			{Config: replication, ExpectError: words("cannot be copied: its host is disconnected")},
		},
	})
}

// Two spellings of one name are one name.
func TestSpellingOfAPath(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	must(t, e.addVM(t, vspheretest.Spec{Path: webPath}).Rename("a%2fb"))
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: e.provider() + "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/prod/a%2Fb\"\n}\n"},
			{
				Config:           e.provider() + "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/prod/a%2Fb\"\n}\n",
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			},
		},
	})
}
