package replication

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/nbd"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

const size = 1 << 30

// machine returns a VM with one disk for each change ID, from device key 2000 on.
func machine(ids ...string) *cbt.Status {
	vm := &vsphere.VM{Name: "web01", Path: "/DC0/vm/web01", ChangeTracking: true}
	for i, id := range ids {
		key := 2000 + int32(i)
		file := "[ds] web01/" + string(rune('a'+i)) + ".vmdk"
		vm.Disks = append(vm.Disks, vsphere.Disk{Key: key, Label: "Hard disk", File: file, Top: file, Capacity: size, Backing: vsphere.BackingFlatVer2, ChangeID: id})
	}
	return cbt.NewStatus(vm)
}

func exports(keys ...int32) *NBD {
	all := map[int32]nbd.URI{}
	for _, key := range keys {
		all[key] = nbd.URI{}
	}
	return &NBD{Exports: all}
}

func openStack(cutover bool) *OpenStack {
	return &OpenStack{OpenStack: migratekit.OpenStack{Cutover: cutover}}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	status := machine("A/5", "B/5", "C/5", "")
	cycle := &Cycle{Target: exports(2000, 2001, 2002, 2003), Previous: map[int32]string{2000: "A/3", 2001: "old/9", 2003: "D/1"}}
	want := map[int32]string{
		2000: "incremental",
		2001: "full: epoch changed from old to B",
		2002: "full: disk added since the last cycle",
		2003: "full: tracking is off and will start anew",
	}
	lost := map[int32]bool{2001: true, 2003: true}
	got := Plan(cycle, status.Tracking())
	for key, text := range want {
		if got[key].String() != text || got[key].Lost != lost[key] {
			t.Errorf("disk %d: %q, lost %t", key, got[key], got[key].Lost)
		}
	}
	if lines := describe(got, status.Tracking(), func(p PlannedCopy) bool { return p.Lost }); len(lines) != 2 {
		t.Errorf("lost: %q", lines)
	}
	moved := Plan(&Cycle{Target: exports(2000), Previous: map[int32]string{2001: "B/1"}, Moved: map[int32]bool{2000: true}}, status.Tracking())
	if moved[2000].String() != "full: export changed since the last cycle" {
		t.Errorf("a moved disk: %s", moved[2000])
	}
	other := openStack(false)
	other.Renamed = true
	renamed := Plan(&Cycle{Target: other, Previous: map[int32]string{2000: "A/3"}}, status.Tracking())
	if renamed[2000].String() != "full: renamed or registered again since the last cycle" {
		t.Errorf("a renamed VM: %s", renamed[2000])
	}
	first := Plan(&Cycle{Target: openStack(false)}, status.Tracking())
	if len(first) != 4 || first[2000].String() != "full: no change ID yet" || first[2000].Lost {
		t.Errorf("first cycle: %v", first)
	}
}

func TestIntact(t *testing.T) {
	t.Parallel()
	status := machine("A/5", "B/5")
	for _, test := range []struct {
		epochs map[int32]string
		want   bool
	}{
		{nil, true},
		{map[int32]string{2000: "A", 2001: "B"}, true},
		{map[int32]string{2000: "A", 2009: "gone"}, true}, // a disk that was removed
		{map[int32]string{2000: "old"}, false},
	} {
		if got := status.Tracking().Intact(test.epochs); got != test.want {
			t.Errorf("%v: %t", test.epochs, got)
		}
	}
	off := machine("A/5")
	off.VM.ChangeTracking = false
	if cbt.NewStatus(off.VM).Tracking().Intact(map[int32]string{2000: "A"}) {
		t.Error("tracking that is off is intact")
	}
}

func logged(full bool, files ...string) migratekit.Outcome {
	outcome := migratekit.Outcome{Started: true, Completed: true}
	for _, file := range files {
		outcome.Copies = append(outcome.Copies, migratekit.Copy{Disk: file, Full: full})
	}
	return outcome
}

// twice returns the log of a cutover.
func twice(files ...string) migratekit.Outcome {
	outcome := logged(true, files...)
	outcome.Copies = append(outcome.Copies, logged(false, files...).Copies...)
	return outcome
}

// failedAgain returns the log of a cutover that fails at the first disk of its second cycle.
func failedAgain(files ...string) migratekit.Outcome {
	outcome := logged(false, files...)
	outcome.Copies = append(outcome.Copies, logged(false, files[0]).Copies...)
	outcome.Completed = false
	return outcome
}

// The change ID that the next cycle copies from is never newer than the copy.
func TestBuildResult(t *testing.T) {
	t.Parallel()
	const a, b = "[ds] web01/a.vmdk", "[ds] web01/b.vmdk"
	status := machine("A/5", "B/5")
	snapshot := measurement{seen: true, disks: map[int32]vsphere.Disk{}, changed: map[int32]int64{2000: 100, 2001: 0}}
	for _, d := range machine("A/6", "B/6").Disks {
		snapshot.disks[d.Key] = d.Disk
	}
	second := measurement{seen: true, disks: map[int32]vsphere.Disk{}, first: snapshot.disks, changed: map[int32]int64{2000: 100, 2001: 0}}
	for _, d := range machine("A/9", "B/9").Disks {
		second.disks[d.Key] = d.Disk
	}
	previous := map[int32]string{2000: "A/3", 2001: "B/3"}
	tests := map[string]struct {
		cycle     *Cycle
		outcome   migratekit.Outcome
		measured  measurement
		filed     map[int32]string
		succeeded bool
		ids       map[int32]string
		kind      cbt.Kind
		bytes     int64
		warnings  int
	}{
		"increments, measured": {
			&Cycle{Target: openStack(false), Previous: previous}, logged(false, a, b), snapshot, nil, true,
			map[int32]string{2000: "A/6", 2001: "B/6"},
			cbt.Incremental, 100, 0,
		},
		"full where increments were planned": {
			&Cycle{Target: openStack(false), Previous: previous}, logged(true, a, b), snapshot, nil, true,
			map[int32]string{2000: "A/6", 2001: "B/6"},
			cbt.Full, 2 * size, 2,
		},
		"full as it was told": {
			&Cycle{Target: openStack(false), Previous: previous, Announced: map[int32]PlannedCopy{2000: {Kind: cbt.Full}, 2001: {Kind: cbt.Full}}},
			logged(true, a, b), snapshot, nil, true,
			map[int32]string{2000: "A/6", 2001: "B/6"},
			cbt.Full, 2 * size, 0,
		},
		"the snapshot was not seen: the older IDs": {
			&Cycle{Target: openStack(false), Previous: previous}, logged(false, a, b),
			measurement{},
			nil, true,
			map[int32]string{2000: "A/5", 2001: "B/5"},
			cbt.Incremental, -1, 0,
		},
		"failed at the second disk": {
			&Cycle{Target: openStack(false), Previous: previous}, logged(false, a, b), snapshot, nil, false,
			map[int32]string{2000: "A/6", 2001: "B/3"},
			cbt.Incremental, 100, 0,
		},
		"failed, one disk filed": {
			&Cycle{Target: exports(2000, 2001), Previous: previous}, logged(false, a, b), snapshot,
			map[int32]string{2000: "A/6"},
			false,
			map[int32]string{2000: "A/6", 2001: "B/3"},
			cbt.Incremental, 100, 0,
		},
		"a disk that nobody says was copied": {
			&Cycle{Target: exports(2000, 2001), Previous: previous}, logged(false, a), snapshot,
			map[int32]string{2000: "A/6"},
			true,
			map[int32]string{2000: "A/6", 2001: "B/3"},
			cbt.Incremental, 100, 1,
		},
		"a disk whose copy began, and that was not filed": {
			&Cycle{Target: exports(2000, 2001), Previous: previous}, logged(false, a, b), snapshot,
			map[int32]string{2000: "A/6"},
			true,
			map[int32]string{2000: "A/6", 2001: "B/3"},
			cbt.Incremental, 100, 1,
		},
		"filed otherwise than the snapshot has it": {
			&Cycle{Target: exports(2000, 2001), Previous: previous}, logged(false, a, b), snapshot,
			map[int32]string{2000: "A/99", 2001: "Z/1"},
			true,
			map[int32]string{2000: "A/6"},
			cbt.Incremental, 100, 2,
		},
		"filed as older than the snapshot": {
			&Cycle{Target: exports(2000), Previous: previous}, logged(false, a), snapshot,
			map[int32]string{2000: "A/5"},
			true,
			map[int32]string{2000: "A/5"},
			cbt.Incremental, 100, 1,
		},
		"a cutover as the first cycle copies twice": {
			&Cycle{Target: openStack(true)}, twice(a, b), snapshot, nil, true,
			map[int32]string{2000: "A/6", 2001: "B/6"},
			cbt.Full, 2 * size, 0,
		},
		"a cutover that fails in its second cycle": {
			&Cycle{Target: openStack(true), Previous: previous}, failedAgain(a, b), second, nil, false,
			map[int32]string{2000: "A/3", 2001: "B/6"},
			cbt.Incremental, 0, 0,
		},
		"a disk that is no longer copied": {
			&Cycle{Target: exports(2000), Previous: previous}, logged(false, a), snapshot,
			map[int32]string{2000: "A/6"},
			true,
			map[int32]string{2000: "A/6"},
			cbt.Incremental, 100, 0,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := &Result{ChangeIDs: maps.Clone(previous), Disks: map[int32]DiskResult{}}
			test.outcome.ChangeIDs = test.filed
			buildResult(test.cycle, status, test.outcome, test.measured, test.succeeded, result)
			if !maps.Equal(result.ChangeIDs, test.ids) {
				t.Errorf("change IDs %v, want %v", result.ChangeIDs, test.ids)
			}
			if result.Kind != test.kind || result.ChangedBytes() != test.bytes {
				t.Errorf("%s, %d bytes", result.Kind, result.ChangedBytes())
			}
			if len(result.Warnings) != test.warnings {
				t.Errorf("warnings: %s", strings.Join(result.Warnings, "\n"))
			}
		})
	}
}

func TestImpossibleDisks(t *testing.T) {
	t.Parallel()
	status := machine("A/1", "B/1")
	status.VM.Disks[1].Mode = "independent_persistent"
	status = cbt.NewStatus(status.VM)
	env := place(nil)
	problems := func(target Target) []string {
		err := errors.Join(target.Check(t.Context(), env, Source{Status: status}).Errors...)
		if impossible, ok := errors.AsType[*ImpossibleError](err); ok {
			return impossible.Problems
		}
		return nil
	}
	if got := problems(exports(2000)); len(got) != 0 {
		t.Errorf("a disk that is not copied: %q", got)
	}
	if got := problems(exports(2000, 2001, 2007)); len(got) != 2 {
		t.Errorf("%q", got)
	}
	if got := problems(openStack(false)); len(got) != 1 {
		t.Errorf("%q", got)
	}
}
