package provider_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

const cardMAC = "00:50:56:a1:b2:c3"

// landing is a VM that is replicated to OpenStack.
type landing struct {
	*estate
	vm *vspheretest.Machine
}

func newLanding(t *testing.T) *landing {
	t.Helper()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}, {Size: gib}}, MACs: []string{cardMAC}})
	return &landing{e, vm}
}

func (l *landing) cycle(run int, lines ...string) string {
	return l.provider() + replicationConfig(fmt.Sprintf("openstack = { availability_zone = \"nova\" }\ntriggers = { run = %d }\n%s", run, strings.Join(lines, "\n")))
}

func (l *landing) cutover(lines ...string) string {
	return l.provider() + replicationConfig(fmt.Sprintf(`openstack = {
    availability_zone = "nova"
    flavor_id         = "f"
    network_mappings  = [{ mac = %q, network_id = "n", subnet_id = "s" }]
  }
  triggers = { run = 1 }
  cutover  = true
  %s`, cardMAC, strings.Join(lines, "\n")))
}

func (l *landing) run(t *testing.T, steps ...resource.TestStep) {
	t.Helper()
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: l.factories(t), Steps: steps})
}

func kind(kind string) statecheck.StateCheck {
	return statecheck.ExpectKnownValue("vma_replication.web", tfjsonpath.New("last_cycle").AtMapKey("kind"), knownvalue.StringExact(kind))
}

func plannedCopy(key, text string) plancheck.PlanCheck {
	return plancheck.ExpectKnownValue("vma_replication.web", tfjsonpath.New("planned_cycle").AtMapKey(key), knownvalue.StringRegexp(regexp.MustCompile("^"+regexp.QuoteMeta(text))))
}

func before(checks ...plancheck.PlanCheck) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: checks}
}

// After a cycle every volume is available and marked with the end and the bytes of the cycle, and no longer as being written to.
func TestVolumesAfterACycle(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	check := func(bytes int64) func() {
		return func() {
			volumes := l.cloud.Volumes()
			if len(volumes) != 2 {
				t.Fatalf("%d volumes", len(volumes))
			}
			_, ids := l.vm.Tracking()
			for _, v := range volumes {
				key, _ := strconv.Atoi(v.Metadata["disk"])
				if v.Status != "available" || len(v.Servers) > 0 || v.Metadata["vma_cycle_ended_at"] == "" || v.Metadata["vma_cycle_started_at"] != "" || v.Metadata["vma_cycle_server"] != "" {
					t.Errorf("%+v", v)
				}
				if got := v.Metadata["vma_cycle_bytes"]; key == 2000 && got != strconv.FormatInt(bytes, 10) && got != "" {
					t.Errorf("bytes of the cycle: %q", got)
				}
				if epoch, _, _ := strings.Cut(ids[int32(key)], "/"); !strings.HasPrefix(v.Metadata["change_id"], epoch) {
					t.Errorf("change ID %q of a disk with %q", v.Metadata["change_id"], ids[int32(key)])
				}
			}
		}
	}
	l.run(t,
		resource.TestStep{Config: l.cycle(1), ConfigStateChecks: []statecheck.StateCheck{
			kind("full"), replica("target_intact", knownvalue.Bool(true)), replica("server", knownvalue.Null()),
			statecheck.ExpectKnownValue("vma_replication.web", tfjsonpath.New("volumes").AtMapKey("2000"), knownvalue.ObjectPartial(map[string]knownvalue.Check{
				"name": knownvalue.StringExact("web01-2000"), "size_gib": knownvalue.Int64Exact(1), "zone": knownvalue.StringExact("nova"),
			})),
		}},
		resource.TestStep{PreConfig: check(gib), Config: l.cycle(1), PlanOnly: true},
		resource.TestStep{Config: l.cycle(2), ConfigStateChecks: []statecheck.StateCheck{kind("incremental")}},
		resource.TestStep{PreConfig: check(0), Config: l.cycle(2), PlanOnly: true},
	)
}

// A cycle that ran outside Terraform is no diff, and the next one is planned from what the volumes have.
func TestCycleOutsideTerraform(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	copied := func() { // another run copied what there is now
		_, ids := l.vm.Tracking()
		l.cloud.ChangeVolumes(func(v *openstacktest.Volume) {
			key, _ := strconv.Atoi(v.Metadata["disk"])
			v.Metadata["change_id"] = ids[int32(key)]
		})
	}
	l.run(t,
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{PreConfig: func() { l.vm.Stun(); copied() }, Config: l.cycle(1), PlanOnly: true},
		resource.TestStep{Config: l.cycle(2), ConfigPlanChecks: before(plannedCopy("2000", "incremental")), ConfigStateChecks: []statecheck.StateCheck{kind("incremental")}},
		// Tracking started anew, and the other run has copied everything since.
		resource.TestStep{PreConfig: func() { l.vm.ResetTracking(); copied() }, Config: l.cycle(2), PlanOnly: true},
		resource.TestStep{Config: l.cycle(3), ConfigPlanChecks: before(plannedCopy("2001", "incremental")), ConfigStateChecks: []statecheck.StateCheck{kind("incremental")}},
		// It started anew, and nobody has copied since.
		resource.TestStep{PreConfig: func() { l.vm.ResetTracking() }, Config: l.cycle(3), ConfigPlanChecks: before(plannedCopy("2001", "full: epoch changed")), ConfigStateChecks: []statecheck.StateCheck{kind("full")}},
	)
}

// What OpenStack has lost is a diff, and full again.
func TestTargetLost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		lose func(l *landing)
		want string
	}{
		"a volume is gone": {func(l *landing) { l.cloud.DeleteVolumes("") }, "full: volume not found"},
		"a change ID is gone": {func(l *landing) {
			l.cloud.ChangeVolumes(func(v *openstacktest.Volume) { delete(v.Metadata, "change_id") })
		}, "full: volume has no change ID"},
		"the volumes were renamed":  {func(l *landing) { l.cloud.ChangeVolumes(func(v *openstacktest.Volume) { v.Name = "backup" }) }, "full: volume not found"},
		"the volumes are another's": {func(l *landing) { l.cloud.ChangeVolumes(func(v *openstacktest.Volume) { v.Metadata["vm"] = "vm-0" }) }, "full: volume not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLanding(t)
			l.run(t,
				resource.TestStep{Config: l.cycle(1)},
				resource.TestStep{PreConfig: func() { test.lose(l) }, Config: l.cycle(1, `on_target_lost = "fail"`), ExpectError: words("Copies Lost in OpenStack")},
				resource.TestStep{
					Config: l.cycle(1), ConfigPlanChecks: before(plannedCopy("2000", test.want)),
					ConfigStateChecks: []statecheck.StateCheck{kind("full"), replica("target_intact", knownvalue.Bool(true)), replica("cycles", knownvalue.Int64Exact(2))},
				},
			)
		})
	}
}

// A volume that is attached elsewhere, or by an unknown run, is not written to. Where our record shows our run, migratekit goes on.
func TestAttachedVolume(t *testing.T) {
	t.Parallel()
	attach := func(l *landing, server string, marks map[string]string) func() {
		return func() {
			l.cloud.ChangeVolumes(func(v *openstacktest.Volume) {
				v.Status, v.Servers = "in-use", []string{server}
				maps.Copy(v.Metadata, marks)
			})
		}
	}
	const detach = `on_attached_volume = "detach"`
	l := newLanding(t)
	elsewhere := words("is attached to the server other")
	l.run(t,
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{PreConfig: attach(l, "other", nil), Config: l.cycle(2), ExpectError: elsewhere},
		resource.TestStep{Config: l.cycle(2, detach), ExpectError: elsewhere},
		resource.TestStep{PreConfig: attach(l, openstacktest.Helper, nil), Config: l.cycle(2), ExpectError: words("Invalid on_attached_volume")},
		resource.TestStep{Config: l.cycle(2, detach), ConfigStateChecks: []statecheck.StateCheck{kind("incremental")}},
		resource.TestStep{
			PreConfig: attach(l, openstacktest.Helper, map[string]string{"vma_cycle_started_at": "2026-11-26T00:00:00Z", "vma_cycle_server": openstacktest.Helper}),
			Config:    l.cycle(3), ConfigStateChecks: []statecheck.StateCheck{kind("incremental")},
		},
		resource.TestStep{PreConfig: func() { l.cloud.ChangeVolumes(func(v *openstacktest.Volume) { v.Status = "error" }) }, Config: l.cycle(4), ExpectError: words(`which is "error"`)},
		resource.TestStep{PreConfig: func() { l.cloud.ChangeVolumes(func(v *openstacktest.Volume) { v.Status, v.SizeGiB = "available", 0 }) }, Config: l.cycle(4), ExpectError: words("openstack volume set --size 1")},
		resource.TestStep{PreConfig: func() { l.cloud.ChangeVolumes(func(v *openstacktest.Volume) { v.SizeGiB, v.Bootable = 1, false }) }, Config: l.cycle(4), ExpectError: words("openstack volume set --bootable")},
		resource.TestStep{PreConfig: func() { l.cloud.ChangeVolumes(func(v *openstacktest.Volume) { v.Bootable = true }) }, Config: l.cycle(4)},
	)
}

// A token that expires while a full copy runs costs no second full copy: the provider records the change ID, and detaches the volume.
func TestTokenExpiresDuringACopy(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.env[migratekittest.Expire] = "1"
	expires := l.cycle(1)
	delete(l.env, migratekittest.Expire)
	recorded := func() {
		for _, v := range l.cloud.Volumes() {
			if v.Status != "available" || v.Metadata["change_id"] == "" || v.Metadata["vma_cycle_started_at"] != "" {
				t.Errorf("%+v", v)
			}
		}
		if len(l.vm.Snapshots()) > 0 {
			t.Errorf("snapshots: %v", l.vm.Snapshots())
		}
	}
	l.run(t,
		resource.TestStep{Config: expires, ExpectError: words("migratekit ended with exit status 2")},
		resource.TestStep{
			PreConfig: recorded, Config: l.cycle(1),
			ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownValue("vma_replication.web", tfjsonpath.New("last_cycle").AtMapKey("disks").AtMapKey("2000").AtMapKey("kind"), knownvalue.StringExact("incremental"))},
		},
	)
}

// A run that is interrupted may leave its volume attached. It is detached, or the next run goes on with it.
func TestVolumeThatARunLeftAttached(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.env[migratekittest.Fail], l.env[migratekittest.KeepAttached] = "2001", "1"
	failing := l.cycle(1)
	delete(l.env, migratekittest.Fail)
	l.run(t,
		resource.TestStep{Config: failing, ExpectError: words("Unable to Replicate Virtual Machine")},
		resource.TestStep{
			PreConfig: func() {
				for _, v := range l.cloud.Volumes() {
					if v.Status != "available" {
						t.Errorf("%s is %s", v.Name, v.Status)
					}
				}
			},
			Config: l.cycle(1), ConfigStateChecks: []statecheck.StateCheck{kind("mixed")},
		},
	)
}

// An import finds the volumes, and the first plan adopts the configuration without a cycle. Without volumes, the first cycle is to come.
func TestImportReplication(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	imported := func(config, id string) resource.TestStep {
		return resource.TestStep{Config: config, ResourceName: "vma_replication.web", ImportState: true, ImportStatePersist: true, ImportStateId: id}
	}
	l.run(t,
		imported(l.cycle(1), webPath),
		resource.TestStep{
			Config: l.cycle(1), ConfigPlanChecks: before(plancheck.ExpectResourceAction("vma_replication.web", plancheck.ResourceActionUpdate), plannedCopy("2000", "full: no change ID yet")),
			ConfigStateChecks: []statecheck.StateCheck{kind("full")},
		},
	)
	l.run(t,
		imported(l.cycle(7), l.vm.Moid()),
		resource.TestStep{
			Config: l.cycle(7), ConfigStateChecks: []statecheck.StateCheck{
				replica("status", knownvalue.StringExact("replicated")), replica("last_cycle", knownvalue.Null()), replica("cycles", knownvalue.Int64Exact(0)),
				replica("volumes", knownvalue.MapSizeExact(2)), replica("change_ids", knownvalue.MapSizeExact(2)),
			},
		},
		resource.TestStep{Config: l.cycle(7), PlanOnly: true},
		resource.TestStep{Config: l.cycle(8), ConfigPlanChecks: before(plannedCopy("2000", "incremental")), ConfigStateChecks: []statecheck.StateCheck{kind("incremental")}},
	)
	if runs := l.runs(t); len(runs) != 2 {
		t.Errorf("migratekit ran %d times, want 2", len(runs))
	}
}

// A mistake in openstack is found when it is made, also without a cycle.
func TestMistakeWithoutACycle(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.run(t,
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{Config: strings.Replace(l.cycle(1), "openstack = {", "openstack = { volume_type = \"ssd\", ", 1), ConfigPlanChecks: before(plancheck.ExpectResourceAction("vma_replication.web", plancheck.ResourceActionUpdate))},
		resource.TestStep{PreConfig: func() { l.cloud.DeleteVolumes("") }, Config: strings.Replace(l.cycle(1), "\"nova\"", "\"mars\"", 1), ExpectError: words("no availability zone of Cinder")},
	)
	if runs := l.runs(t); len(runs) != 1 {
		t.Errorf("migratekit ran %d times, want 1", len(runs))
	}
}

// A create finds volumes with copies: what it will copy is not known before, and a warning says so.
func TestCreateFindsVolumes(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.run(t, resource.TestStep{Config: l.cycle(1)})
	l.run(t, resource.TestStep{
		Config: l.cycle(1), ConfigPlanChecks: before(plancheck.ExpectUnknownValue("vma_replication.web", tfjsonpath.New("planned_cycle"))),
		ConfigStateChecks: []statecheck.StateCheck{kind("incremental"), replica("planned_cycle", knownvalue.MapExact(map[string]knownvalue.Check{
			"2000": knownvalue.StringExact("incremental"), "2001": knownvalue.StringExact("incremental"),
		}))},
	})
}

// Volumes without a complete copy are no copies: the import says so, and the first plan completes them.
func TestImportOfIncompleteCopies(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.run(t, resource.TestStep{Config: l.cycle(1)})
	l.cloud.ChangeVolumes(func(v *openstacktest.Volume) {
		if v.Metadata["disk"] == "2001" {
			delete(v.Metadata, "change_id")
		}
	})
	l.run(t,
		resource.TestStep{Config: l.cycle(1), ResourceName: "vma_replication.web", ImportState: true, ImportStatePersist: true, ImportStateId: webPath},
		resource.TestStep{
			Config: l.cycle(1), ConfigPlanChecks: before(plannedCopy("2000", "incremental"), plannedCopy("2001", "full: volume has no change ID")),
			ConfigStateChecks: []statecheck.StateCheck{kind("mixed"), replica("cycles", knownvalue.Int64Exact(1))},
		},
	)
}

// What a list of OpenStack does not tell is not checked. The volumes are still looked after.
func TestOutageOfOneList(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.cloud.Refuse(http.MethodGet, "/os-quota-sets/", http.StatusServiceUnavailable)
	l.env[migratekittest.Fail], l.env[migratekittest.KeepAttached] = "2001", "1"
	failing := l.cycle(1)
	delete(l.env, migratekittest.Fail)
	l.run(t,
		resource.TestStep{Config: failing, ExpectError: words("Unable to Replicate Virtual Machine")},
		resource.TestStep{
			PreConfig: func() {
				for _, v := range l.cloud.Volumes() {
					if v.Status != "available" || v.Metadata["vma_cycle_server"] != "" {
						t.Errorf("%+v", v)
					}
				}
			},
			Config: l.cycle(1), ConfigStateChecks: []statecheck.StateCheck{replica("volumes", knownvalue.MapSizeExact(2))},
		},
	)
}

// A run that cannot be prepared leaves no marks: an unknown run must not be taken for it later.
func TestPrepareFails(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.run(t,
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{
			PreConfig: func() {
				second := l.cloud.Volumes()[1].ID
				l.cloud.RefuseTimes(http.MethodPut, "/volumes/"+second, http.StatusServiceUnavailable, 9)
			},
			Config: l.cycle(2), ExpectError: words("Unable to Connect to OpenStack"),
		},
		resource.TestStep{
			PreConfig: func() {
				for _, v := range l.cloud.Volumes() {
					if v.Metadata["vma_cycle_server"] != "" {
						t.Errorf("%+v", v)
					}
				}
				l.cloud.Refuse(http.MethodPut, "/volumes/"+l.cloud.Volumes()[1].ID, 0)
			},
			Config: l.cycle(2), ConfigStateChecks: []statecheck.StateCheck{kind("incremental")},
		},
	)
}

// A first cycle to OpenStack that failed leaves nothing to a replication to NBD exports.
func TestFailedAttemptAtAnotherTarget(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	server := serveNBD(t, map[string]nbdtest.Export{"a": {Size: gib}, "b": {Size: gib}})
	l.env[migratekittest.Fail] = "2001"
	failing := l.cycle(1)
	delete(l.env, migratekittest.Fail)
	l.run(t,
		resource.TestStep{Config: failing, ExpectError: words("Unable to Replicate Virtual Machine")},
		resource.TestStep{
			Config:            l.provider() + replicationConfig(fmt.Sprintf("nbd = { exports = { \"2000\" = %q, \"2001\" = %q } }", server.URI("a"), server.URI("b"))),
			ConfigStateChecks: []statecheck.StateCheck{replica("volumes", knownvalue.Null()), replica("server", knownvalue.Null()), replica("target_intact", knownvalue.Bool(true))},
		},
	)
}
