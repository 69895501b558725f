package provider_test

import (
	"regexp"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
	"github.com/vmware/govmomi/simulator"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

func TestAssessment(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{
		Path: webPath, Disks: []vspheretest.Disk{{Size: 2 * gib}, {Size: gib, Kind: vspheretest.PhysicalRDM}}, MACs: []string{"00:50:56:AA:BB:CC"}, EFI: true,
	})
	vm.SetUsed(2000, gib)
	vm.Change(func(vm *simulator.VirtualMachine) {
		vm.Config.GuestId, vm.Config.GuestFullName = "rhel9_64Guest", "Red Hat Enterprise Linux 9 (64-bit)"
	})
	e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/prod/vCLS (1)"})
	e.addVM(t, vspheretest.Spec{Path: "/DC0/vm/other/web02"})
	is := func(name string, value knownvalue.Check) statecheck.StateCheck {
		return statecheck.ExpectKnownValue("data.vma_assessment.prod", tfjsonpath.New(name), value)
	}
	text, number, flag := knownvalue.StringExact, knownvalue.Int64Exact, knownvalue.Bool
	object := func(attributes map[string]knownvalue.Check) knownvalue.Check {
		return knownvalue.ObjectExact(attributes)
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{{
			Config: e.provider() + "data \"vma_assessment\" \"prod\" {\n  folder = \"/DC0/vm/prod\"\n}\n",
			ConfigStateChecks: []statecheck.StateCheck{
				is("vms", knownvalue.ListExact([]knownvalue.Check{object(map[string]knownvalue.Check{
					"id": knownvalue.StringRegexp(regexp.MustCompile("^[0-9a-f-]{36}$")), "vm_uuid": knownvalue.NotNull(), "vm_moid": text(vm.Moid()),
					"vm_name": text("web01"), "vm_path": text(webPath), "power_state": text("poweredOn"), "connection_state": text("connected"), "ready": flag(false),
					"findings": knownvalue.ListExact([]knownvalue.Check{
						object(map[string]knownvalue.Check{
							"severity": text("error"), "code": text("disk_physical_rdm"),
							"text": knownvalue.StringRegexp(regexp.MustCompile("Hard disk 2.*physical mode")), "cure": knownvalue.StringRegexp(regexp.MustCompile("virtual mode")),
						}),
						knownvalue.ObjectPartial(map[string]knownvalue.Check{"severity": text("info"), "code": text("cbt_disabled"), "text": text("CBT is disabled")}),
					}),
					"guest_id": text("rhel9_64Guest"), "guest_name": text("Red Hat Enterprise Linux 9 (64-bit)"), "firmware": text("efi"), "secure_boot": flag(false), "vtpm": flag(false), "encrypted": flag(false),
					"cpus": number(1), "memory_bytes": number(32 << 20), "tools_running": flag(true), "host": text("DC0_C0_H0"),
					"datastores": knownvalue.ListExact([]knownvalue.Check{text("LocalDS_0")}),
					"nics": knownvalue.ListExact([]knownvalue.Check{object(map[string]knownvalue.Check{
						"key": knownvalue.NotNull(), "label": knownvalue.NotNull(), "mac": text("00:50:56:aa:bb:cc"), "network": text("VM Network"), "connected": flag(true),
					})}),
					"disks": knownvalue.ListExact([]knownvalue.Check{
						object(map[string]knownvalue.Check{
							"key": number(2000), "label": text("Hard disk 1"), "file": text("[LocalDS_0] web01/disk-0.vmdk"), "capacity_bytes": number(2 * gib),
							"used_bytes": number(gib), "trackable": flag(true), "reason": knownvalue.Null(),
						}),
						knownvalue.ObjectPartial(map[string]knownvalue.Check{
							"key": number(2001), "used_bytes": knownvalue.Null(), "trackable": flag(false), "reason": text("a raw device mapping in physical mode cannot be tracked"),
						}),
					}),
				})})),
				is("summary", object(map[string]knownvalue.Check{
					"total": number(1), "ready": number(0), "left_out": number(1), "capacity_bytes": number(3 * gib), "used_bytes": number(gib),
					"findings": knownvalue.MapExact(map[string]knownvalue.Check{"disk_physical_rdm": number(1), "cbt_disabled": number(1)}),
				})),
				is("markdown", knownvalue.StringRegexp(regexp.MustCompile(`\*\*0 of 1 virtual machine can be migrated`))),
				is("html", knownvalue.StringRegexp(regexp.MustCompile(`^<!doctype html>`))),
			},
		}, {
			Config:      e.provider() + "data \"vma_assessment\" \"none\" {\n  folder = \"/DC0/vm/none\"\n}\n",
			ExpectError: regexp.MustCompile("Folder Not Found"),
		}},
	})
}
