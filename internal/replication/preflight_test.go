package replication

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/process"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

func TestWarningsAboutTheVM(t *testing.T) {
	t.Parallel()
	windows := func(vm *vsphere.VM) { vm.Windows, vm.PowerState = true, "poweredOn" }
	byHand := &OpenStack{OpenStack: migratekit.OpenStack{Cutover: true, RunV2V: new(false)}}
	tests := map[string]struct {
		cycle  *Cycle
		disks  int
		change func(*vsphere.VM)
		want   []string // a part of each
	}{
		"none":                              {&Cycle{Target: openStack(false), Sizes: map[int32]int64{2000: size}}, 2, nil, nil},
		"SeSparse":                          {&Cycle{Target: exports(2000, 2001)}, 2, func(vm *vsphere.VM) { vm.Disks[1].Backing = vsphere.BackingSeSparse }, []string{"SeSparse"}},
		"SeSparse, not copied":              {&Cycle{Target: exports(2000)}, 2, func(vm *vsphere.VM) { vm.Disks[1].Backing = vsphere.BackingSeSparse }, nil},
		"a disk that grew":                  {&Cycle{Target: openStack(false), Sizes: map[int32]int64{2000: size - 1}}, 1, nil, []string{"from 1073741823 to 1073741824 bytes"}},
		"cutover of several disks":          {&Cycle{Target: openStack(true)}, 2, nil, []string{"the first one only"}},
		"cutover of several disks, by hand": {&Cycle{Target: byHand}, 2, nil, nil},
		"cutover of Windows without tools":  {&Cycle{Target: openStack(true)}, 1, windows, []string{"VMware Tools do not run"}},
		"cutover of Windows with tools":     {&Cycle{Target: openStack(true)}, 1, func(vm *vsphere.VM) { windows(vm); vm.ToolsRunning = true }, nil},
		"a cycle of Windows without tools":  {&Cycle{Target: openStack(false)}, 1, windows, nil},
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
		found := preflight(t.Context(), cycle, status, place(test.inherited), nil)
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
		found.checkReset(cycle, status.VM.Path, status.Tracking())
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
		if got := slices.Contains(summaries(found.Warnings), "virt-v2v May Have Run Already"); got != test.want {
			t.Errorf("began %t, run_v2v %t: %t", test.began, test.run, got)
		}
	}
}
