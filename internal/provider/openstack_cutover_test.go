package provider_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
)

func cutOver(more ...statecheck.StateCheck) []statecheck.StateCheck {
	return append(more, replica("status", knownvalue.StringExact("cut_over")), replica("last_error", knownvalue.Null()),
		replica("server", knownvalue.ObjectPartial(map[string]knownvalue.Check{"name": knownvalue.StringExact("web01"), "id": knownvalue.NotNull()})))
}

// The server is an output. One that is stopped or gone later is only warned about.
func TestServerAfterACutover(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.run(t,
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{Config: l.cutover(), ConfigStateChecks: cutOver(replica("server", knownvalue.ObjectPartial(map[string]knownvalue.Check{
			"addresses": knownvalue.ListExact([]knownvalue.Check{knownvalue.StringExact("10.1.0.2")}),
		})))},
		resource.TestStep{Config: l.cutover(), PlanOnly: true},
		resource.TestStep{PreConfig: func() { l.cloud.ChangeServers(func(s *openstacktest.Server) { s.Status = "SHUTOFF" }) }, Config: l.cutover(), PlanOnly: true},
		resource.TestStep{PreConfig: func() { l.cloud.ChangeServers(func(s *openstacktest.Server) { s.ID = "" }) }, Config: l.cutover(), PlanOnly: true},
		resource.TestStep{Config: l.cycle(2), ExpectError: words("A cutover cannot be undone")},
	)
	if runs := l.runs(t); len(runs) != 2 {
		t.Errorf("migratekit ran %d times, want 2", len(runs))
	}
}

// If the server cannot be created, the error says that the source is off, and the two ways on. Both work.
func TestCutoverWithoutAServer(t *testing.T) {
	t.Parallel()
	refused := words("The source is powered off")
	t.Run("again", func(t *testing.T) {
		t.Parallel()
		l := newLanding(t)
		l.cloud.RefuseTimes(http.MethodPost, "/compute/v2.1/servers", http.StatusForbidden, 1)
		l.run(t,
			resource.TestStep{Config: l.cycle(1)},
			resource.TestStep{Config: l.cutover(), ExpectError: refused},
			resource.TestStep{
				Config: l.cutover(), ConfigPlanChecks: before(plannedCopy("2000", "full: volume has no change ID"), plannedCopy("2001", "incremental")),
				ConfigStateChecks: cutOver(),
			},
		)
	})
	t.Run("back", func(t *testing.T) {
		t.Parallel()
		l := newLanding(t)
		l.cloud.RefuseTimes(http.MethodPost, "/compute/v2.1/servers", http.StatusForbidden, 1)
		l.run(t,
			resource.TestStep{Config: l.cycle(1)},
			resource.TestStep{Config: l.cutover(), ExpectError: refused},
			resource.TestStep{
				PreConfig: func() { must(t, l.vm.PowerOn()) }, Config: l.cycle(2),
				ConfigPlanChecks:  before(plannedCopy("2000", "full: volume has no change ID"), plannedCopy("2001", "incremental")),
				ConfigStateChecks: []statecheck.StateCheck{kind("mixed"), replica("status", knownvalue.StringExact("replicated"))},
			},
			resource.TestStep{PreConfig: func() { // somebody boots the volumes for a test, and switches the source off: that is no cutover
				must(t, l.vm.PowerOff())
				boot(l, map[string]string{})
			}, Config: l.cycle(3), ExpectError: words("is attached to the server test")},
		)
	})
}

// boot attaches the volumes to a server.
func boot(l *landing, marks map[string]string) {
	l.cloud.AddServer(openstacktest.Server{ID: "test", Name: "web01", Status: "ACTIVE", Addresses: []string{"10.1.0.9"}})
	l.cloud.ChangeVolumes(func(v *openstacktest.Volume) {
		v.Status, v.Servers, v.Root = "in-use", []string{"test"}, v.Metadata["disk"] == "2000"
		maps.Copy(v.Metadata, marks)
	})
}

// A process that was killed after the cutover and before it saved the state does not cut over again: neither after a refresh nor without one.
func TestCutoverWhoseEndWasNotSeen(t *testing.T) {
	t.Parallel()
	ended := func(l *landing) func() {
		return func() {
			must(t, l.vm.PowerOff())
			boot(l, map[string]string{"vma_cutover_started_at": "2026-11-26T01:02:03Z", "vma_cycle_started_at": "2026-11-26T01:02:03Z", "vma_cycle_server": openstacktest.Helper})
		}
	}
	t.Run("refresh", func(t *testing.T) {
		t.Parallel()
		l := newLanding(t)
		l.run(t,
			resource.TestStep{Config: l.cycle(1)},
			resource.TestStep{PreConfig: ended(l), Config: l.cutover(), ConfigPlanChecks: before(plancheck.ExpectResourceAction("vma_replication.web", plancheck.ResourceActionUpdate)), ConfigStateChecks: cutOver()},
			resource.TestStep{Config: l.cutover(), PlanOnly: true},
		)
		if runs := l.runs(t); len(runs) != 1 {
			t.Errorf("migratekit ran %d times, want 1", len(runs))
		}
	})
	t.Run("create", func(t *testing.T) {
		t.Parallel()
		l := newLanding(t)
		l.run(t, resource.TestStep{Config: l.cycle(1)})
		ended(l)()
		l.run(t, resource.TestStep{Config: l.cutover(), ConfigStateChecks: cutOver()}, resource.TestStep{Config: l.cutover(), PlanOnly: true})
		if runs := l.runs(t); len(runs) != 1 {
			t.Errorf("migratekit ran %d times, want 1", len(runs))
		}
	})
	t.Run("not set", func(t *testing.T) {
		t.Parallel()
		l := newLanding(t)
		l.run(t, resource.TestStep{Config: l.cycle(1)})
		ended(l)()
		l.run(t, resource.TestStep{Config: l.cycle(1), ExpectError: words("has been cut over to the server test")})
	})
}

// A guest that does not shut down ends the cutover, or is powered off.
func TestGuestThatDoesNotShutDown(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.vm.IgnoreShutdown(true)
	const soon = `shutdown_timeout = "1s"`
	l.run(t,
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{Config: l.cutover(soon), ExpectError: words("may still shut down")},
		resource.TestStep{
			PreConfig: func() {
				for _, v := range l.cloud.Volumes() {
					if v.Status != "available" || len(l.vm.Snapshots()) > 0 {
						t.Errorf("%s is %s, and there are the snapshots %v", v.Name, v.Status, l.vm.Snapshots())
					}
				}
			},
			Config: l.cutover(soon, `on_shutdown_timeout = "power_off"`), ConfigStateChecks: cutOver(),
		},
	)
}

// A cutover outside its limits is refused at plan. Cycles that ran outside Terraform count.
func TestCutoverLimits(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	const limits = `cutover_limits = { max_age = "2h", max_changed_bytes = 10 }`
	mark := func(ended, bytes string) func() {
		return func() {
			l.cloud.ChangeVolumes(func(v *openstacktest.Volume) {
				v.Metadata["vma_cycle_ended_at"], v.Metadata["vma_cycle_bytes"] = ended, bytes
			})
		}
	}
	l.run(t,
		resource.TestStep{Config: l.cutover(limits), ExpectError: words("Cutover Outside Its Limits")},
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{Config: l.cutover(limits), ExpectError: words("copied 2147483648 bytes, more than max_changed_bytes")},
		resource.TestStep{PreConfig: mark("2999-01-01T00:00:00Z", ""), Config: l.cutover(limits), ExpectError: words("is not known")},
		resource.TestStep{PreConfig: mark("2999-01-01T00:00:00Z", "5"), Config: l.cutover(limits), ConfigStateChecks: cutOver()},
	)
	if commands := len(l.runs(t)); commands != 2 {
		t.Errorf("migratekit ran %d times, want 2", commands)
	}
}

// A cutover without a cycle before it is known too, if the state that it ended with is lost.
func TestFirstCutoverIsKnown(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.run(t, resource.TestStep{Config: l.cutover(), ConfigStateChecks: cutOver()})
	l.run(t, resource.TestStep{Config: l.cutover(), ConfigStateChecks: cutOver()}, resource.TestStep{Config: l.cutover(), PlanOnly: true})
	if runs := l.runs(t); len(runs) != 1 {
		t.Errorf("migratekit ran %d times, want 1", len(runs))
	}
}

// If migratekit fails once the server was booted, the error does not say to power the source on.
func TestServerBootedButNotSeen(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.cloud.RefuseTimes(http.MethodGet, "/compute/v2.1/servers/00000004-0000-4000-8000-000000000000", http.StatusForbidden, 1)
	l.run(t,
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{Config: l.cutover(), ExpectError: words("was booted, and has the volumes. Do not power the source on")},
		resource.TestStep{Config: l.cutover(), ConfigStateChecks: cutOver()},
	)
	if runs := l.runs(t); len(runs) != 2 {
		t.Errorf("migratekit ran %d times, want 2", len(runs))
	}
}

// After a cutover that is known to have failed, a server that somebody boots for a test is no cutover.
func TestTestBootAfterAFailedCutover(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.cloud.RefuseTimes(http.MethodPost, "/compute/v2.1/servers", http.StatusForbidden, 1)
	l.run(t,
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{Config: l.cutover(), ExpectError: words("The source is powered off")},
		resource.TestStep{PreConfig: func() { boot(l, nil) }, Config: l.cutover(), ExpectError: words("is attached to the server test")},
	)
}

// A suspended guest cannot be shut down.
func TestCutoverOfASuspendedSource(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	must(t, l.vm.Suspend())
	l.run(t, resource.TestStep{Config: l.cutover(), ExpectError: words("is suspended, and migratekit can shut down only a guest that runs")})
	l.untouched(t)
}

// An outage at the end of a cutover costs nothing but the server's name, which a later refresh finds.
func TestServerIsFoundLater(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.cloud.RefuseTimes(http.MethodGet, "/compute/v2.1/servers/00000004-0000-4000-8000-000000000000", http.StatusServiceUnavailable, 0)
	l.run(t,
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{PreConfig: func() {
			must(t, l.vm.PowerOff())
			boot(l, map[string]string{"vma_cutover_started_at": "2026-11-26T01:02:03Z"})
			l.cloud.RefuseTimes(http.MethodGet, "/compute/v2.1/servers/test", http.StatusServiceUnavailable, 4)
		}, Config: l.cutover(), ConfigStateChecks: []statecheck.StateCheck{replica("status", knownvalue.StringExact("cut_over"))}},
		resource.TestStep{RefreshState: true},
		resource.TestStep{RefreshState: true},
		resource.TestStep{Config: l.cutover(), ConfigStateChecks: cutOver()},
	)
}

// Who goes back to the source copies everything again: the server has written to the volumes.
func TestGoingBackIsAFullCopy(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.run(t,
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{Config: l.cutover(), ConfigStateChecks: cutOver()},
	)
	l.cloud.DeleteServer("web01")
	for _, volume := range l.cloud.Volumes() {
		if id := volume.Metadata["change_id"]; id != "" {
			t.Errorf("the volume %s still has the change ID %s", volume.Name, id)
		}
	}
	must(t, l.vm.PowerOn())
	l.run(t, resource.TestStep{Config: l.cycle(2), ConfigStateChecks: []statecheck.StateCheck{
		replica("status", knownvalue.StringExact("replicated")),
		replica("last_cycle", knownvalue.ObjectPartial(map[string]knownvalue.Check{"kind": knownvalue.StringExact("full")})),
	}}, resource.TestStep{Config: l.cutover(), ConfigStateChecks: cutOver()})
}

// The privilege to shut the source down is only needed for the cutover, and its lack is known before anything is copied.
func TestCutoverWithoutThePrivilegeToShutDown(t *testing.T) {
	t.Parallel()
	l := newLanding(t)
	l.Revoke("VirtualMachine.Interact.PowerOff")
	l.run(t,
		resource.TestStep{Config: l.cycle(1)},
		resource.TestStep{Config: l.cutover(), ExpectError: words("no privilege VirtualMachine.Interact.PowerOff on /DC0/vm/prod/web01, so migratekit cannot shut it down")},
	)
	if runs := l.runs(t); len(runs) != 1 {
		t.Errorf("migratekit ran %d times, want 1", len(runs))
	}
}
