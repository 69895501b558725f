package replication

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/process"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

func TestWarningsAboutTheVM(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cycle  *Cycle
		disks  int
		change func(*vsphere.VM)
		want   []string // a part of each
	}{
		"none":                       {&Cycle{Target: openStack(false), Sizes: map[int32]int64{2000: size}}, 2, nil, nil},
		"SeSparse":                   {&Cycle{Target: exports(2000, 2001)}, 2, func(vm *vsphere.VM) { vm.Disks[1].Backing = vsphere.BackingSeSparse }, []string{"SeSparse"}},
		"SeSparse, not copied":       {&Cycle{Target: exports(2000)}, 2, func(vm *vsphere.VM) { vm.Disks[1].Backing = vsphere.BackingSeSparse }, nil},
		"an ESXi with a defect":      {&Cycle{Target: exports(2000)}, 1, func(vm *vsphere.VM) { vm.HostProduct = vsphere.Product{Version: "6.0.0", Build: "3073146"} }, []string{"KB 2136854"}},
		"a disk that grew, exported": {&Cycle{Target: exports(2000), Sizes: map[int32]int64{2000: size - 1}}, 1, nil, []string{"from 1073741823 to 1073741824 bytes"}},
		"a disk that grew":           {&Cycle{Target: openStack(false), Sizes: map[int32]int64{2000: size - 1}}, 1, nil, []string{"from 1073741823 to 1073741824 bytes"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := machine([]string{"A/1", "B/1"}[:test.disks]...).VM
			if test.change != nil {
				test.change(vm)
			}
			status := cbt.NewStatus(vm)
			got := preflight(t.Context(), test.cycle, status, place(nil), nil).Warnings
			got = slices.DeleteFunc(got, func(w Warning) bool { return w.Subject != SubjectVM })
			if len(got) != len(test.want) {
				t.Fatalf("got %+v", got)
			}
			for i, want := range test.want {
				if !strings.Contains(got[i].Detail, want) || !strings.Contains(got[i].Detail, vm.Path) {
					t.Errorf("%q has no %q", got[i].Detail, want)
				}
			}
		})
	}
}

// A cutover has one warning, which says everything. It needs VMware Tools in a guest that runs.
func TestCutoverIsGuarded(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	ago := func(d time.Duration, bytes int64) LastCycle {
		return LastCycle{EndedAt: time.Now().Add(-d), ChangedBytes: bytes}
	}
	limits := CutoverLimits{Set: true, MaxAge: time.Hour, MaxChangedBytes: 100}
	for name, test := range map[string]struct {
		change          func(*vsphere.VM, *OpenStack)
		refused         string
		warns, warnsNot string
	}{
		"a recent cycle": {nil, "", "It cannot be undone.", "No cycle"},
		"no cycle":       {func(_ *vsphere.VM, t *OpenStack) { t.Last = LastCycle{} }, "", "copies all 2147483648 bytes", ""},
		"an old cycle":   {func(_ *vsphere.VM, t *OpenStack) { t.Last = ago(2*day, 1) }, "", "more than a day ago", ""},
		"what the last one cost": {func(_ *vsphere.VM, t *OpenStack) {
			t.Last = ago(6*time.Hour, 3_100_000_000)
			t.Last.BytesPerSecond, t.Last.Took, t.Last.Kind = 13_000_000, 4*time.Minute, cbt.Incremental
		}, "", "The last increment took 4 min for 3.1 GB, 6 h ago (13 MB/s).", ""},
		"what the volumes tell of it": {func(_ *vsphere.VM, t *OpenStack) { t.Last = ago(30*time.Second, 3_100_000_000) }, "", "The last cycle copied 3.1 GB, 30 s ago.", ""},
		"a first copy": {func(_ *vsphere.VM, t *OpenStack) {
			t.Last = ago(90*time.Minute, 0)
			t.Last.Took, t.Last.Kind = 90*time.Second, cbt.Full
		}, "", "The last full copy took 90 s for 0.0 GB, 90 min ago.", ""},
		"several disks":       {nil, "", "the first one only", ""},
		"converted by hand":   {func(_ *vsphere.VM, t *OpenStack) { t.RunV2V = new(false) }, "", "", "the first one only"},
		"no tools":            {func(vm *vsphere.VM, _ *OpenStack) { vm.ToolsRunning = false }, "VMware Tools do not run in /DC0/vm/web01", "", ""},
		"no tools, but off":   {func(vm *vsphere.VM, _ *OpenStack) { vm.ToolsRunning, vm.PowerState = false, poweredOff }, "", "is off already", ""},
		"within the limits":   {func(_ *vsphere.VM, t *OpenStack) { t.Limits, t.Last = limits, ago(time.Minute, 100) }, "", "It cannot be undone.", ""},
		"too old":             {func(_ *vsphere.VM, t *OpenStack) { t.Limits, t.Last = limits, ago(2*time.Hour, 1) }, "max_age", "", ""},
		"too much":            {func(_ *vsphere.VM, t *OpenStack) { t.Limits, t.Last = limits, ago(time.Minute, 101) }, "copied 101 bytes", "", ""},
		"an unknown amount":   {func(_ *vsphere.VM, t *OpenStack) { t.Limits, t.Last = limits, ago(time.Minute, -1) }, "is not known", "", ""},
		"limits and no cycle": {func(_ *vsphere.VM, t *OpenStack) { t.Limits, t.Last = limits, LastCycle{} }, "No cycle", "", ""},
	} {
		vm := machine("A/1", "B/1").VM
		vm.PowerState, vm.ToolsRunning = poweredOn, true
		target := openStack(true)
		target.Last = ago(time.Hour, 1)
		if test.change != nil {
			test.change(vm, target)
		}
		var found Findings
		target.checkCutover(Source{Status: cbt.NewStatus(vm)}, &found)
		refused := fmt.Sprint(errors.Join(found.Errors...))
		if (test.refused == "") != (len(found.Errors) == 0) || !strings.Contains(refused, test.refused) {
			t.Errorf("%s: %s", name, refused)
		}
		if len(found.Warnings) != 1 {
			t.Errorf("%s: %d warnings", name, len(found.Warnings))
			continue
		}
		detail := found.Warnings[0].Detail
		if !strings.Contains(detail, test.warns) || (test.warnsNot != "" && strings.Contains(detail, test.warnsNot)) {
			t.Errorf("%s: %s", name, detail)
		}
	}
}

func summaries(warnings []Warning) []string {
	var all []string
	for _, warning := range warnings {
		all = append(all, warning.Summary)
	}
	return all
}

func TestPreflightReportsWhatTheMachineLacks(t *testing.T) {
	t.Parallel()
	status := machine("A/1")
	found := preflight(t.Context(), &Cycle{Target: exports(2000)}, status, place(nil), []error{process.ErrNotInstalled})
	if len(found.Errors) != 1 || !errors.Is(found.Errors[0], process.ErrNotInstalled) || len(found.Warnings) > 0 {
		t.Errorf("%+v", found)
	}
}

// The practitioner's variables win over those that the job inherits.
func TestPreflightChecksTheEnvironmentOfTheJob(t *testing.T) {
	t.Parallel()
	status := machine("A/1")
	inherited := map[string]string{"OS_AUTH_URL": "u", "OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_PROJECT_ID": "p", "OS_DOMAIN_NAME": "d"}
	for name, test := range map[string]struct {
		inherited, added map[string]string
		want             []string
	}{
		"inherited":        {inherited, nil, nil},
		"added":            {nil, inherited, nil},
		"missing":          {nil, nil, []string{"OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_ID or OS_PROJECT_NAME"}},
		"emptied by added": {inherited, map[string]string{"OS_PASSWORD": ""}, []string{"OS_PASSWORD"}},
	} {
		cycle := &Cycle{Target: openStack(false), Environment: test.added}
		starts := place(test.inherited)
		starts.Dial = (&net.Dialer{}).DialContext
		found := preflight(t.Context(), cycle, status, starts, nil)
		var missing []string
		if err, ok := errors.AsType[*EnvironmentError](errors.Join(found.Errors...)); ok {
			missing = err.Missing
		}
		if !slices.Equal(missing, test.want) {
			t.Errorf("%s: missing %v, want %v", name, missing, test.want)
		}
	}
}

func TestPreflightReportsLostIncrements(t *testing.T) {
	t.Parallel()
	status := machine("B/9")
	for _, test := range []struct {
		previous string
		fail     bool
		want     string
	}{
		{"B/1", true, ""},
		{"", true, ""},
		{"A/1", true, "error"},
		{"A/1", false, "warning"},
	} {
		cycle := &Cycle{Target: exports(2000), Previous: map[int32]string{2000: test.previous}, FailOnReset: test.fail}
		if test.previous == "" {
			cycle.Previous = nil
		}
		var found Findings
		found.checkLost(cycle, status.VM.Path, status.Tracking())
		got := ""
		if _, ok := errors.AsType[*TrackingResetError](errors.Join(found.Errors...)); ok {
			got = "error"
		} else if slices.Contains(summaries(found.Warnings), "Full Copy Where Increments Were Running") {
			got = "warning"
		}
		if got != test.want {
			t.Errorf("previous %q, fail %t: %q, want %q", test.previous, test.fail, got, test.want)
		}
	}
}

// Blockers are errors. Snapshots are a warning, because a vma_cbt may allow them, and none if the cycle removes them.
func TestPreflightChecksCBT(t *testing.T) {
	t.Parallel()
	off := func(snapshots ...string) *cbt.Status {
		vm := machine("").VM
		vm.ChangeTracking, vm.ChangeTrackingSupported, vm.HardwareVersion = false, true, 19
		for _, name := range snapshots {
			vm.Snapshots = append(vm.Snapshots, vsphere.Snapshot{Moid: name, Name: name, Depth: 1})
		}
		return cbt.NewStatus(vm)
	}
	var found Findings
	found.checkCBT(&Cycle{}, off(), []string{"it is a template"})
	if gate, ok := errors.AsType[*GateError](errors.Join(found.Errors...)); !ok || gate.Path != "/DC0/vm/web01" {
		t.Errorf("blocked: %v", found.Errors)
	}
	for name, test := range map[string]struct {
		cycle  *Cycle
		status *cbt.Status
		want   bool
	}{
		"no snapshot":                     {&Cycle{}, off(), false},
		"a backup's snapshot":             {&Cycle{RemoveLeftovers: true}, off("nightly"), true},
		"migratekit's snapshot":           {&Cycle{}, off("migratekit"), true},
		"migratekit's snapshot, to go":    {&Cycle{RemoveLeftovers: true}, off("migratekit"), false},
		"a snapshot, CBT enabled already": {&Cycle{}, machine("A/1"), false},
	} {
		var found Findings
		found.checkCBT(test.cycle, test.status, nil)
		if got := len(found.Warnings) > 0; got != test.want || len(found.Errors) > 0 {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// A cutover without virt-v2v, after one that may have run it half, is worth a warning.
func TestV2VThatBegan(t *testing.T) {
	t.Parallel()
	status := machine("A/1")
	for _, test := range []struct {
		began, run, want bool
	}{{true, false, true}, {true, true, false}, {false, false, false}} {
		target := openStack(true)
		target.V2VBegan, target.RunV2V = test.began, &test.run
		found := target.Check(t.Context(), place(nil), Source{Status: status})
		got := slices.ContainsFunc(found.Warnings, func(w Warning) bool { return strings.Contains(w.Detail, "may have converted its first disk in part") })
		if got != test.want {
			t.Errorf("began %t, run_v2v %t: %t", test.began, test.run, got)
		}
	}
}
