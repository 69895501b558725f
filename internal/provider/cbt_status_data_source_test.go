package provider_test

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

func TestCBTStatus(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}, {Size: 2 * gib, Kind: vspheretest.IndependentPersistent}}})
	vm.SetTracking(true)
	must(t, vm.AddSnapshot("nightly", ""))
	vm.SetConsolidationNeeded(true)
	_, ids := vm.Tracking()
	config := e.provider() + "data \"vma_cbt_status\" \"web\" {\n  vm_path = \"" + webPath + "\"\n}\n"
	is := func(name string, value knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue("data.vma_cbt_status.web", tfjsonpath.New(name), value)
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{{
			Config: config,
			ConfigStateChecks: []statecheck.StateCheck{
				is("vm_name", knownvalue.StringExact("web01")),
				is("vm_path", knownvalue.StringExact(webPath)),
				is("vm_moid", knownvalue.StringExact(vm.Moid())),
				is("vm_uuid", knownvalue.StringRegexp(regexp.MustCompile("^[0-9a-f-]{36}$"))),
				is("id", knownvalue.StringRegexp(regexp.MustCompile("^[0-9a-f-]{36}$"))),
				is("enabled", knownvalue.Bool(true)),
				is("initialized", knownvalue.Bool(true)),
				is("supported", knownvalue.Bool(true)),
				is("template", knownvalue.Bool(false)),
				is("power_state", knownvalue.StringExact("poweredOn")),
				is("consolidation_needed", knownvalue.Bool(true)),
				is("snapshots", knownvalue.ListExact([]knownvalue.Check{knownvalue.StringExact("nightly")})),
				is("blockers", knownvalue.ListSizeExact(0)),
				is("disks", knownvalue.ListExact([]knownvalue.Check{
					knownvalue.ObjectPartial(map[string]knownvalue.Check{
						"key": knownvalue.Int64Exact(2000), "label": knownvalue.StringExact("Hard disk 1"), "capacity_bytes": knownvalue.Int64Exact(gib),
						"mode": knownvalue.StringExact("persistent"), "trackable": knownvalue.Bool(true), "tracked": knownvalue.Bool(true),
						"change_id": knownvalue.StringExact(ids[2000]), "reason": knownvalue.Null(),
						"file": knownvalue.StringExact("[LocalDS_0] web01/disk-0.vmdk"),
					}),
					knownvalue.ObjectPartial(map[string]knownvalue.Check{
						"key": knownvalue.Int64Exact(2001), "mode": knownvalue.StringExact("independent_persistent"),
						"trackable": knownvalue.Bool(false), "tracked": knownvalue.Bool(false),
						"change_id": knownvalue.Null(), "epoch": knownvalue.Null(), "reason": knownvalue.NotNull(),
					}),
				})),
			},
		}},
	})
}

// The number of calls must not grow with the number of VMs.
func TestCBTStatuses(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	for i := range 12 {
		e.addVM(t, vspheretest.Spec{Path: fmt.Sprintf("/DC0/vm/prod/web/web%02d", i), Off: true})
	}
	e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/prod/db01"}).SetTracking(true)
	must(t, e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/prod/db02"}).AddSnapshot("s", ""))
	e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/test/web01", Off: true})
	data := func(name, lines string) string {
		return fmt.Sprintf("data \"vma_cbt_statuses\" %q {\n%s\n}\noutput %q {\n  value = join(\" \", data.vma_cbt_statuses.%s.vms[*].vm_path)\n}\n", name, lines, name, name)
	}
	count := func(name string, n int) statecheck.StateCheck {
		return statecheck.ExpectKnownValue("data.vma_cbt_statuses."+name, tfjsonpath.New("vms"), knownvalue.ListSizeExact(n))
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{
				Config: e.provider() + data("all", "") + data("prod", "folder = \"/DC0/vm/prod\"") + data("on", "enabled = true") +
					data("off", "folder = \"/DC0/vm/prod\"\nenabled = false\nname = \"db*\"") + data("none", "name = \"x*\"") +
					data("named", "name = \"web01\"") +
					"output \"blockers\" {\n  value = join(\" \", data.vma_cbt_statuses.off.vms[0].blockers)\n}\n",
				ConfigStateChecks: []statecheck.StateCheck{
					count("all", 15), count("prod", 14), count("on", 1), count("off", 1), count("none", 0), count("named", 2),
				},
				Check: resource.ComposeAggregateTestCheckFunc(
					resource.TestCheckOutput("on", "/DC0/vm/prod/db01"),
					resource.TestCheckOutput("off", "/DC0/vm/prod/db02"),
					resource.TestCheckOutput("named", "/DC0/vm/prod/web/web01 /DC0/vm/test/web01"), // sorted by path
					resource.TestMatchOutput("blockers", regexp.MustCompile(`it has 1 snapshot \("s" of`)),
				),
			},
		},
	})
	for lines, want := range map[string]string{
		"folder = \"/DC0/vm/none\"":      "Folder Not Found",
		"folder = \"/DC0/vm/prod/db01\"": "is a VirtualMachine, not a folder or datacenter",
		"folder = \"DC0/vm/prod\"":       "is not absolute",
		"name = \"web[0\"":               "is not a pattern",
	} {
		e.refused(t, e.provider()+data("x", lines), want)
	}
}
