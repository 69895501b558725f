package cbt_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// sound returns a VM without blockers and with CBT disabled.
func sound() *vsphere.VM {
	return &vsphere.VM{
		Path: "/DC0/vm/web01", PowerState: "poweredOn", HardwareVersion: 19, ChangeTrackingSupported: true,
		Disks: []vsphere.Disk{{Key: 2000, Label: "Hard disk 1", Backing: vsphere.BackingFlatVer2, Mode: "persistent"}},
	}
}

func chain(depth int) []vsphere.Snapshot {
	var all []vsphere.Snapshot
	for i := range depth {
		all = append(all, vsphere.Snapshot{Name: "s", Created: time.Unix(0, 0), Depth: i + 1})
	}
	return all
}

func TestBlockers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(vm *vsphere.VM)
		want   []string // a substring of each blocker
	}{
		"nothing":                 {func(*vsphere.VM) {}, nil},
		"hardware 7 is enough":    {func(vm *vsphere.VM) { vm.HardwareVersion = 7 }, nil},
		"hardware 6 is not":       {func(vm *vsphere.VM) { vm.HardwareVersion = 6 }, []string{"version 6"}},
		"a host without it":       {func(vm *vsphere.VM) { vm.ChangeTrackingSupported = false }, []string{"changeTrackingSupported"}},
		"template":                {func(vm *vsphere.VM) { vm.Template = true }, []string{"template"}},
		"a host that is away":     {func(vm *vsphere.VM) { vm.ConnectionState = "disconnected" }, []string{"disconnected"}},
		"an orphan":               {func(vm *vsphere.VM) { vm.ConnectionState = "orphaned" }, []string{"orphaned"}},
		"a host that is there":    {func(vm *vsphere.VM) { vm.ConnectionState = "connected" }, nil},
		"Fault Tolerance":         {func(vm *vsphere.VM) { vm.FaultTolerant = true }, []string{"Fault Tolerance"}},
		"locked snapshots":        {func(vm *vsphere.VM) { vm.SnapshotLocked = true }, []string{"locked"}},
		"no snapshots":            {func(vm *vsphere.VM) { vm.SnapshotsUnsupported = true }, []string{"snapshotOperationsSupported"}},
		"a shared bus":            {func(vm *vsphere.VM) { vm.SharedBus = []string{"SCSI controller 1"} }, []string{"SCSI controller 1"}},
		"a method that we need":   {func(vm *vsphere.VM) { vm.DisabledMethods = []string{"ReconfigVM_Task"} }, []string{"ReconfigVM_Task"}},
		"a method that we do not": {func(vm *vsphere.VM) { vm.DisabledMethods = []string{"PowerOffVM_Task"} }, nil},
		"a method that is not needed": {func(vm *vsphere.VM) {
			vm.ChangeTracking, vm.DisabledMethods = true, []string{"ReconfigVM_Task"}
		}, nil},
		"no snapshot is needed": {func(vm *vsphere.VM) {
			vm.PowerState, vm.SnapshotLocked, vm.DisabledMethods = "poweredOff", true, []string{"CreateSnapshot_Task", "RemoveSnapshot_Task"}
		}, nil},
		"two snapshots":               {func(vm *vsphere.VM) { vm.Snapshots = chain(2) }, []string{"2 snapshots"}},
		"the longest chain":           {func(vm *vsphere.VM) { vm.Snapshots = chain(32) }, []string{"32 snapshots", "32 deep"}},
		"no disk":                     {func(vm *vsphere.VM) { vm.Disks = nil }, []string{"no disk"}},
		"no disk that can be tracked": {func(vm *vsphere.VM) { vm.Disks[0].PhysicalMode = true }, []string{"Hard disk 1 (a raw device mapping in physical mode"}},
		"all at once": {func(vm *vsphere.VM) {
			vm.Template, vm.HardwareVersion, vm.Snapshots = true, 4, chain(1)
		}, []string{"template", "version 4", "1 snapshot "}},
		"nothing where it works": {func(vm *vsphere.VM) {
			vm.ChangeTracking, vm.Snapshots, vm.SnapshotLocked = true, chain(3), true
			vm.Disks[0].ChangeID = "A/1"
		}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := sound()
			test.change(vm)
			got := cbt.NewStatus(vm).Blockers(false)
			if len(got) != len(test.want) {
				t.Fatalf("got %q", got)
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("%q does not contain %q", got[i], want)
				}
			}
		})
	}
	vm := sound()
	vm.Snapshots = chain(2)
	if got := cbt.NewStatus(vm).Blockers(true); len(got) != 0 {
		t.Errorf("allowed snapshots are reported: %q", got)
	}
}

func TestTrackable(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		disk vsphere.Disk
		want bool
	}{
		"flat":                     {vsphere.Disk{Backing: vsphere.BackingFlatVer2, Mode: "persistent"}, true},
		"sparse":                   {vsphere.Disk{Backing: vsphere.BackingSparseVer2}, true},
		"SeSparse":                 {vsphere.Disk{Backing: vsphere.BackingSeSparse}, true},
		"RDM, virtual":             {vsphere.Disk{Backing: vsphere.BackingRDM}, true},
		"raw disk":                 {vsphere.Disk{Backing: vsphere.BackingRawDiskVer2}, true},
		"RDM, physical":            {vsphere.Disk{Backing: vsphere.BackingRDM, PhysicalMode: true}, false},
		"independent, persistent":  {vsphere.Disk{Backing: vsphere.BackingFlatVer2, Mode: "independent_persistent"}, false},
		"independent, nonpersist.": {vsphere.Disk{Backing: vsphere.BackingFlatVer2, Mode: "independent_nonpersistent"}, false},
		"multi-writer":             {vsphere.Disk{Backing: vsphere.BackingFlatVer2, MultiWriter: true}, false},
		"persistent memory":        {vsphere.Disk{Backing: vsphere.BackingLocalPMem}, false},
		"version 1":                {vsphere.Disk{Backing: vsphere.BackingVer1}, false},
		"unknown":                  {vsphere.Disk{Backing: vsphere.BackingUnknown}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := sound()
			vm.Disks = []vsphere.Disk{test.disk}
			got := cbt.NewStatus(vm).Disks[0]
			if got.Trackable != test.want || got.Reason == "" || got.Tracked {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestChangeIDs(t *testing.T) {
	t.Parallel()
	const id = "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/81"
	parsed, err := cbt.ParseChangeID(id)
	if err != nil || parsed.Epoch != strings.TrimSuffix(id, "/81") || parsed.Sequence != 81 {
		t.Errorf("%+v, %v", parsed, err)
	}
	if parsed, err := cbt.ParseChangeID("a/b/7"); err != nil || parsed.Epoch != "a/b" {
		t.Errorf("only the last slash counts: %+v, %v", parsed, err)
	}
	for _, bad := range []string{"", "*", "81", "/81", "a/", "a/b", "a/-1"} {
		if parsed, err := cbt.ParseChangeID(bad); err == nil {
			t.Errorf("%q was parsed as %+v", bad, parsed)
		}
	}
	for _, test := range []struct {
		previous, current string
		want              cbt.Kind
	}{
		{"A/1", "A/9", cbt.Incremental},
		{"A/9", "A/9", cbt.Incremental},
		{"A/1", "B/2", cbt.Full},
		{"", "A/1", cbt.Full},
		{"A/1", "", cbt.Full},
		{"", "", cbt.Full},
		{"*", "A/1", cbt.Full},
	} {
		kind, reason := cbt.NextCycle(test.previous, test.current)
		if kind != test.want || (reason == "") != (kind == cbt.Incremental) {
			t.Errorf("%q to %q: %s, %q", test.previous, test.current, kind, reason)
		}
	}
}

// A leftover of ours does not block, but must be removed before CBT counts as working.
func TestOurLeftover(t *testing.T) {
	t.Parallel()
	vm := sound()
	vm.Snapshots = []vsphere.Snapshot{{Name: "vma-cbt-init-x", Description: "… [terraform-provider-vma:cbt-init]", Depth: 1}}
	if got := cbt.NewStatus(vm).Blockers(false); len(got) != 0 {
		t.Errorf("%q", got)
	}
	vm.ChangeTracking, vm.Disks[0].ChangeID = true, "A/1"
	if cbt.NewStatus(vm).Initialized() {
		t.Error("Initialized() is true although our leftover exists")
	}
	vm.Snapshots = slices.Clone(chain(1))
	if !cbt.NewStatus(vm).Initialized() {
		t.Error("Initialized() is false because of another tool's snapshot")
	}
}
