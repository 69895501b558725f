package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
	"github.com/vmware/govmomi/simulator"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// With "warn", an apply fails for the blocked VM only. The resource's setting wins over the provider's.
func TestOnBlockedOfCBT(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath})
	blocked := e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/prod/web02"})
	must(t, blocked.AddSnapshot("nightly", ""))
	other := func(more string) string {
		return fmt.Sprintf("resource \"vma_cbt\" \"other\" {\n  vm_path = \"/DC0/vm/prod/web02\"\n%s\n}\n", more)
	}
	warns, fails := e.provider(`on_blocked = "warn"`), e.provider(`on_blocked = "fail"`)
	enabled := statecheck.ExpectKnownValue("vma_cbt.web", tfjsonpath.New("enabled"), knownvalue.Bool(true))
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: warns + other(`on_blocked = "fail"`), PlanOnly: true, ExpectError: words("it has 1 snapshot")},
			{Config: warns + cbtConfig("") + other(""), ExpectError: words("Unable to Enable Change Tracking")},
			{Config: warns + cbtConfig(""), PlanOnly: true}, // the other one was created
			{
				PreConfig:         func() { must(t, blocked.RemoveSnapshots()) },
				Config:            fails + cbtConfig("") + other(`on_blocked = "warn"`),
				ConfigStateChecks: []statecheck.StateCheck{enabled},
			},
			{
				Config: fails + cbtConfig("") + other(""),
				ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{
					plancheck.ExpectResourceAction("vma_cbt.other", plancheck.ResourceActionUpdate),
				}},
			},
			// A VM that does not exist, and a name that is wrong.
			{Config: warns + cbtConfig("") + strings.ReplaceAll(other(""), "web02", "web03"), ExpectError: words("Virtual Machine Not Found")},
			{Config: warns + cbtConfig("") + other(""), PlanOnly: true},
		},
	})
}

// A refresh keeps the state of a VM that cannot be read.
func TestOnBlockedOfARefresh(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	warns := e.provider(`on_blocked = "warn"`)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: warns + cbtConfig("")},
			{
				PreConfig: func() { vm.Change(func(vm *simulator.VirtualMachine) { vm.Config = nil }) },
				Config:    e.provider() + cbtConfig(""), PlanOnly: true, ExpectError: words("Unable to Read Change Tracking"),
			},
			{Config: warns + cbtConfig(""), PlanOnly: true},
		},
	})
}

// Errors that are not about one VM stay errors.
func TestOnBlockedLeavesOtherErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(e *estate) string
		config string
		want   string
	}{
		"program":     {func(e *estate) string { e.migratekit = "/nowhere/migratekit"; return "" }, "openstack = {}", "Invalid migratekit_path"},
		"credentials": {func(e *estate) string { delete(e.env, "OS_PASSWORD"); return "" }, "openstack = {}", "Missing OpenStack Environment"},
		"login":       {func(e *estate) string { e.RefuseLogins(true); return "" }, "openstack = {}", "Unable to Log In to vCenter"},
		"schema":      {func(*estate) string { return "" }, "openstack = {}\nstop_grace = \"soon\"", "Invalid stop_grace"},
		"one export for two VMs": {func(e *estate) string {
			return "resource \"vma_replication\" \"other\" {\n  vm_path = \"/DC0/vm/prod/web02\"\n  nbd = { exports = { \"2000\" = \"nbd://127.0.0.1:10809/shared\" } }\n}\n"
		}, "nbd = { exports = { \"2000\" = \"nbd://127.0.0.1:10809/shared\" } }", "one VM would overwrite the other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
			e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/prod/web02", Disks: []vspheretest.Disk{{Size: gib}}})
			more := test.change(e)
			resource.UnitTest(t, resource.TestCase{
				ProtoV6ProviderFactories: e.factories(t),
				Steps: []resource.TestStep{
					{Config: e.provider(`on_blocked = "warn"`) + replicationConfig(test.config) + more, PlanOnly: true, ExpectError: words(test.want)},
				},
			})
		})
	}
}
