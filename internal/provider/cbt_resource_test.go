package provider_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

const webPath = "/DC0/vm/prod/web01"

func cbtConfig(lines string) string {
	return fmt.Sprintf("resource \"vma_cbt\" \"web\" {\n  vm_path = %q\n%s\n}\n", webPath, lines)
}

func attribute(name string, value knownvalue.Check) statecheck.StateCheck {
	return statecheck.ExpectKnownValue("vma_cbt.web", tfjsonpath.New(name), value)
}

func action(a plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction("vma_cbt.web", a)}}
}

func TestCBTDriftIsShownAndRepaired(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{}, {Kind: vspheretest.IndependentPersistent}}})
	config := e.provider() + cbtConfig("")
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{
				Config: config,
				ConfigStateChecks: []statecheck.StateCheck{
					attribute("enabled", knownvalue.Bool(true)),
					attribute("initialized", knownvalue.Bool(true)),
					attribute("vm_name", knownvalue.StringExact("web01")),
					attribute("vm_moid", knownvalue.StringExact(vm.Moid())),
					attribute("on_destroy", knownvalue.StringExact("keep")),
					attribute("disks", knownvalue.ListExact([]knownvalue.Check{
						knownvalue.ObjectPartial(map[string]knownvalue.Check{
							"key": knownvalue.Int64Exact(2000), "label": knownvalue.StringExact("Hard disk 1"),
							"tracked": knownvalue.Bool(true), "reason": knownvalue.Null(),
						}),
						knownvalue.ObjectPartial(map[string]knownvalue.Check{
							"key": knownvalue.Int64Exact(2001), "tracked": knownvalue.Bool(false),
							"reason": knownvalue.StringRegexp(regexp.MustCompile("independent_persistent")),
						}),
					})),
				},
			},
			{ // somebody switches tracking off
				PreConfig:        func() { vm.SetTracking(false) },
				Config:           config,
				ConfigPlanChecks: action(plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{
					attribute("enabled", knownvalue.Bool(true)),
				},
			},
			{ // somebody adds a disk, which no stun has initialised
				PreConfig: func() {
					_, err := vm.AddDisk(vspheretest.Disk{})
					must(t, err)
				},
				Config:           config,
				ConfigPlanChecks: action(plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{
					attribute("initialized", knownvalue.Bool(true)),
					attribute("disks", knownvalue.ListSizeExact(3)),
				},
			},
			{ // other tools' snapshots move change IDs and cause no diff
				PreConfig: func() { must(t, vm.AddSnapshot("nightly", ""), vm.RemoveSnapshots()) },
				Config:    config,
				PlanOnly:  true,
			},
			{ // the VM is renamed: the plan says where it is
				PreConfig:          func() { must(t, vm.Rename("web02")) },
				Config:             config,
				PlanOnly:           true,
				ExpectNonEmptyPlan: true,
			},
			{ // the new path in the configuration replaces nothing
				Config:            e.provider() + "resource \"vma_cbt\" \"web\" {\n vm_path = \"/DC0/vm/prod/web02\"\n}\n",
				ConfigPlanChecks:  action(plancheck.ResourceActionNoop),
				ConfigStateChecks: []statecheck.StateCheck{attribute("vm_name", knownvalue.StringExact("web02"))},
			},
		},
	})
	if enabled, _ := vm.Tracking(); !enabled {
		t.Error("a destroy with on_destroy = keep switched tracking off")
	}
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}
