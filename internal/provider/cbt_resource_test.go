package provider_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/terraform"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
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
			{ // somebody disables CBT
				PreConfig:        func() { vm.SetTracking(false) },
				Config:           config,
				ConfigPlanChecks: action(plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{
					attribute("enabled", knownvalue.Bool(true)),
				},
			},
			{ // somebody adds a disk that no stun has initialized
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
			{ // other tools' snapshots cause no diff
				PreConfig: func() { must(t, vm.AddSnapshot("nightly", ""), vm.RemoveSnapshots()) },
				Config:    config,
				PlanOnly:  true,
			},
			{ // the VM is renamed: the plan shows the new path
				PreConfig:          func() { must(t, vm.Rename("web02")) },
				Config:             config,
				PlanOnly:           true,
				ExpectNonEmptyPlan: true,
			},
			{ // the new path causes no replacement
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

// A plan reports all blockers and changes nothing. A blocker that appears after the plan fails the apply.
func TestCBTRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spec vspheretest.Spec
		make func(t *testing.T, e *estate, vm *vspheretest.Machine)
		want []string
	}{
		"old hardware and a template": {vspheretest.Spec{Off: true}, func(_ *testing.T, _ *estate, vm *vspheretest.Machine) {
			vm.SetHardware("vmx-04")
			vm.SetTemplate(true)
		}, []string{"it is a template", "its virtual hardware is version 4, and change tracking needs 7 or newer"}},
		"existing snapshots": {vspheretest.Spec{}, func(t *testing.T, _ *estate, vm *vspheretest.Machine) {
			t.Helper()
			must(t, vm.AddSnapshot("before upgrade", ""))
		}, []string{"it has 1 snapshot (\"before upgrade\" of ", "set allow_existing_snapshots"}},
		"no disk that can be tracked": {
			vspheretest.Spec{Disks: []vspheretest.Disk{{Kind: vspheretest.PhysicalRDM}, {Kind: vspheretest.MultiWriter}}},
			func(*testing.T, *estate, *vspheretest.Machine) {},
			[]string{"none of its disks can be tracked: Hard disk 1 (a raw device mapping in physical mode", "Hard disk 2 (a disk shared with other virtual machines"},
		},
		"a method that is disabled": {vspheretest.Spec{}, func(_ *testing.T, _ *estate, vm *vspheretest.Machine) {
			vm.DisableMethod("CreateSnapshot_Task", "com.example.backup")
		}, []string{"the operation CreateSnapshot_Task is disabled on it"}},
		"a missing privilege": {vspheretest.Spec{}, func(_ *testing.T, e *estate, _ *vspheretest.Machine) {
			e.Revoke("VirtualMachine.State.CreateSnapshot", "VirtualMachine.Config.ChangeTracking")
		}, []string{"no privilege VirtualMachine.Config.ChangeTracking", "no privilege VirtualMachine.State.CreateSnapshot"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			test.spec.Path = webPath
			vm := e.addVM(t, test.spec)
			test.make(t, e, vm)
			before := vm.Snapshots()
			e.ResetCalls()
			for _, want := range test.want {
				e.refused(t, e.provider()+cbtConfig(""), want)
			}
			e.untouched(t)
			if got := vm.Snapshots(); !slices.Equal(got, before) {
				t.Errorf("snapshots now: %v", got)
			}
			// The data source reports the same blockers.
			var checks []resource.TestCheckFunc
			for _, want := range test.want {
				checks = append(checks, resource.TestMatchOutput("blockers", regexp.MustCompile(regexp.QuoteMeta(want))))
			}
			resource.UnitTest(t, resource.TestCase{
				ProtoV6ProviderFactories: e.factories(t),
				Steps: []resource.TestStep{{
					Config: e.provider() + "data \"vma_cbt_status\" \"web\" {\n  vm_path = \"" + webPath + "\"\n}\n" +
						"output \"blockers\" {\n  value = join(\"\\n\", data.vma_cbt_status.web.blockers)\n}\n",
					Check: resource.ComposeAggregateTestCheckFunc(checks...),
				}},
			})
		})
	}
}

func TestCBTAllowsExistingSnapshots(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	must(t, vm.AddSnapshot("keep me", ""))
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{{
			Config:            e.provider() + cbtConfig("allow_existing_snapshots = true"),
			ConfigStateChecks: []statecheck.StateCheck{attribute("initialized", knownvalue.Bool(true))},
		}},
	})
	if got := vm.Snapshots(); !slices.Equal(got, []string{"keep me"}) {
		t.Errorf("snapshots now: %v", got)
	}
}

func TestCBTNamesDisksThatGotNoChangeID(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{}, {}}})
	vm.LeaveUninitialized(2001, true)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: e.provider() + cbtConfig(""), ExpectError: words("gave no change ID to Hard disk 2 (device key 2001)")},
			{PreConfig: func() { vm.LeaveUninitialized(2001, false) }, Config: e.provider() + cbtConfig("")},
		},
	})
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}

func TestCBTReset(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	var before map[int32]string
	config := func(when string) string {
		return e.provider() + cbtConfig("reset_triggers = { when = \""+when+"\" }")
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config("1")},
			{
				PreConfig:        func() { _, before = vm.Tracking() },
				Config:           config("2"),
				ConfigPlanChecks: action(plancheck.ResourceActionUpdate),
			},
			{PreConfig: func() { must(t, vm.AddSnapshot("nightly", "")) }, Config: config("3"), ExpectError: words("it has 1 snapshot (\"nightly\"")},
			{PreConfig: func() { must(t, vm.RemoveSnapshots()) }, Config: config("2")},
		},
	})
	if _, after := vm.Tracking(); cbt.Epoch(after[2000]) == cbt.Epoch(before[2000]) || after[2000] == "" {
		t.Errorf("change ID %s before, %s after", before[2000], after[2000])
	}
}

func TestCBTOnDestroy(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		onDestroy   string
		before, now bool
	}{
		"keep":                  {"keep", false, true},
		"disable":               {"disable", true, false},
		"restore, was off":      {"restore", false, false},
		"restore, was on":       {"restore", true, true},
		"disable, a VM is gone": {"gone", false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			vm := e.addVM(t, vspheretest.Spec{Path: webPath})
			if test.before {
				vm.SetTracking(true)
			}
			gone := test.onDestroy == "gone"
			if gone {
				test.onDestroy = "disable"
			}
			steps := []resource.TestStep{{Config: e.provider() + cbtConfig("on_destroy = \""+test.onDestroy+"\"")}}
			if gone {
				steps = append(steps, resource.TestStep{
					PreConfig: func() { must(t, vm.Destroy()) },
					Config:    e.provider(),
				})
			}
			resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: e.factories(t), Steps: steps})
			if gone {
				return
			}
			if enabled, ids := vm.Tracking(); enabled != test.now || (ids[2000] != "") != test.now {
				t.Errorf("flag %t, change IDs %v", enabled, ids)
			}
			if left := vm.Snapshots(); len(left) > 0 {
				t.Errorf("snapshots left: %v", left)
			}
		})
	}
}

func TestCBTVMGone(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: e.provider() + cbtConfig("")},
			{PreConfig: func() { must(t, vm.Destroy()) }, Config: e.provider() + cbtConfig(""), ExpectError: words("Virtual Machine Not Found")},
		},
	})
}

// A VM that was registered again has a new managed object ID.
func TestCBTReregistered(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: e.provider() + cbtConfig("")},
			{PreConfig: func() { must(t, vm.Reregister()) }, RefreshState: true},
			{Config: e.provider() + cbtConfig(""), ConfigPlanChecks: action(plancheck.ResourceActionNoop)},
		},
	})
}

func TestCBTAnotherVM(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: e.provider() + cbtConfig("")},
			{
				PreConfig: func() {
					must(t, vm.Rename("web01-old"))
					e.addVM(t, vspheretest.Spec{Path: webPath})
				},
				Config:           e.provider() + cbtConfig(""),
				ConfigPlanChecks: action(plancheck.ResourceActionDestroyBeforeCreate),
			},
		},
	})
}

func TestCBTSettingsOnly(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: e.provider() + cbtConfig("")},
			{
				PreConfig:        e.ResetCalls,
				Config:           e.provider() + cbtConfig("allow_existing_snapshots = true\n timeouts = { update = \"1h\" }"),
				ConfigPlanChecks: action(plancheck.ResourceActionUpdate),
			},
		},
	})
	for method := range e.Calls() {
		if strings.HasSuffix(method, "_Task") {
			t.Errorf("%s was called", method)
		}
	}
}

func TestCBTImport(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath})
	var step resource.TestStep
	id := func(attribute string) resource.ImportStateIdFunc {
		return func(s *terraform.State) (string, error) {
			return s.RootModule().Resources["vma_cbt.web"].Primary.Attributes[attribute], nil
		}
	}
	steps := []resource.TestStep{{Config: e.provider() + cbtConfig("")}}
	for _, attribute := range []string{"id", "vm_path", "vm_uuid", "vm_moid"} {
		step = resource.TestStep{ResourceName: "vma_cbt.web", ImportState: true, ImportStateVerify: true, ImportStateIdFunc: id(attribute)}
		steps = append(steps, step)
	}
	steps = append(
		steps,
		resource.TestStep{ // an import block plans no change
			ResourceName: "vma_cbt.web", ImportState: true, ImportStateKind: resource.ImportBlockWithID, ImportStateIdFunc: id("vm_path"),
			Config: e.provider() + cbtConfig(""),
		},
		resource.TestStep{
			ResourceName: "vma_cbt.web", ImportState: true, ImportStateId: "/DC0/vm/none",
			ExpectError: words("\"/DC0/vm/none\" names no virtual machine, or several"),
		},
		resource.TestStep{
			ResourceName: "vma_cbt.web", ImportState: true, ImportStateId: "prod/web01",
			ExpectError: words("\"prod/web01\" names no virtual machine. Import by its inventory path, from the datacenter on"),
		},
	)
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: e.factories(t), Steps: steps})
}

// A mistyped name is an error. The old name of a renamed VM is a warning.
func TestCBTMistypedName(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	config := func(path string) string {
		return e.provider() + fmt.Sprintf("resource \"vma_cbt\" \"web\" {\n  vm_path = %q\n}\n", path)
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config(webPath)},
			{Config: config(webPath + "b"), ExpectError: words("There is no virtual machine \"/DC0/vm/prod/web01b\"")},
			{PreConfig: func() { must(t, vm.Rename("web09")) }, Config: config(webPath), PlanOnly: true, ExpectNonEmptyPlan: true},
			{Config: config("/DC0/vm/prod/web09"), ConfigPlanChecks: action(plancheck.ResourceActionNoop)},
		},
	})
}

// "restore" restores the state before the first attempt, even if that attempt failed.
func TestCBTRestoresAfterAFailure(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{}, {}}})
	vm.LeaveUninitialized(2001, true)
	config := e.provider() + cbtConfig("on_destroy = \"restore\"")
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config, ExpectError: words("gave no change ID to Hard disk 2 (device key 2001)")},
			{
				PreConfig: func() {
					if enabled, _ := vm.Tracking(); enabled {
						t.Error("the failed create left tracking on")
					}
					vm.LeaveUninitialized(2001, false)
				},
				Config: config,
			},
		},
	})
	if enabled, _ := vm.Tracking(); enabled {
		t.Error("the destroy left tracking on")
	}
}

func TestCBTDestroyRemovesALeftover(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: e.provider() + cbtConfig("")},
			{
				PreConfig: func() { must(t, vm.AddSnapshot("vma-cbt-init-left", "[terraform-provider-vma:cbt-init]")) },
				Config:    e.provider() + cbtConfig(""), Destroy: true,
			},
		},
	})
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}

// A name known only during the apply may be another VM's: that is an error, and the next apply replaces.
func TestCBTNameKnownTooLate(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/prod/web01"})
	e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/prod/web02"})
	config := func(name string) string {
		return e.provider() + fmt.Sprintf("resource \"terraform_data\" \"vm\" {\n  input = %q\n}\nresource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/prod/${terraform_data.vm.output}\"\n}\n", name)
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config("web01")},
			{Config: config("web02"), ExpectError: words("Plan and apply again: the resource is replaced then")},
			{Config: config("web02"), ConfigPlanChecks: action(plancheck.ResourceActionDestroyBeforeCreate)},
		},
	})
}

// With a replacement, the plan does not check whether a reset would work.
func TestCBTReplacementResetsNothing(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/prod/web01"})
	other := e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/prod/web02"})
	config := func(name string) string {
		return e.provider() + fmt.Sprintf("resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/prod/%s\"\n  reset_triggers = { vm = %q }\n  allow_existing_snapshots = true\n}\n", name, name)
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config("web01")},
			{
				PreConfig:        func() { must(t, other.AddSnapshot("nightly", "")) },
				Config:           config("web02"),
				ConfigPlanChecks: action(plancheck.ResourceActionDestroyBeforeCreate),
			},
		},
	})
}
