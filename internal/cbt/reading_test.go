package cbt_test

import (
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// The rules cannot notice a property that is not read, so vCenter itself is changed here (facts 2, 17, 20).
func TestBlockersAsVCenterShowsThem(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	tests := map[string]struct {
		change func(vm *simulator.VirtualMachine)
		want   string
	}{
		"nothing":    {func(*simulator.VirtualMachine) {}, ""},
		"hardware":   {func(vm *simulator.VirtualMachine) { vm.Config.Version = "vmx-06" }, "version 6"},
		"capability": {func(vm *simulator.VirtualMachine) { vm.Capability.ChangeTrackingSupported = false }, "changeTrackingSupported"},
		"template":   {func(vm *simulator.VirtualMachine) { vm.Config.Template = true }, "template"},
		"fault tolerance": {func(vm *simulator.VirtualMachine) {
			vm.Runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateRunning
		}, "Fault Tolerance"},
		"snapshot lock": {func(vm *simulator.VirtualMachine) { vm.Config.Flags.SnapshotLocked = new(true) }, "snapshotLocked"},
		"no snapshots":  {func(vm *simulator.VirtualMachine) { vm.Capability.SnapshotOperationsSupported = false }, "snapshotOperationsSupported"},
		"shared bus": {func(vm *simulator.VirtualMachine) {
			for _, device := range vm.Config.Hardware.Device {
				if controller, ok := device.(*types.ParaVirtualSCSIController); ok {
					controller.SharedBus = types.VirtualSCSISharingPhysicalSharing
				}
			}
		}, "shares its SCSI bus"},
		"disabled method": {func(vm *simulator.VirtualMachine) { vm.DisabledMethod = []string{"CreateSnapshot_Task"} }, "CreateSnapshot_Task is disabled"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/" + name})
			vm.Change(test.change)
			status, err := manager.ReadUncached(t.Context(), vm.Moid())
			if err != nil {
				t.Fatal(err)
			}
			got := status.Blockers(false)
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.Contains(got[0], test.want)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// The depth of the snapshot chain counts, not the number of snapshots (fact 17).
func TestDepthAsVCenterShowsIt(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	for range 32 {
		if err := vm.AddSnapshot("s", ""); err != nil {
			t.Fatal(err)
		}
	}
	status, err := manager.ReadUncached(t.Context(), vm.Moid())
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(status.Blockers(true), "\n"); !strings.Contains(got, "32 deep") {
		t.Errorf("blockers: %s", got)
	}
}

func TestDisksAsVCenterShowsThem(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	file := types.VirtualDeviceFileBackingInfo{FileName: "[ds] a/a.vmdk"}
	raw := types.VirtualDiskRawDiskVer2BackingInfo{DescriptorFileName: "[ds] a/raw.vmdk", ChangeId: "A/1"}
	tests := map[string]struct {
		backing types.BaseVirtualDeviceBackingInfo
		tracked bool
	}{
		"flat":              {&types.VirtualDiskFlatVer2BackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: "persistent", ChangeId: "A/1"}, true},
		"sparse":            {&types.VirtualDiskSparseVer2BackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: "persistent", ChangeId: "A/1"}, true},
		"SeSparse":          {&types.VirtualDiskSeSparseBackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: "persistent", ChangeId: "A/1"}, true},
		"virtual RDM":       {&types.VirtualDiskRawDiskMappingVer1BackingInfo{VirtualDeviceFileBackingInfo: file, CompatibilityMode: "virtualMode", DiskMode: "persistent", ChangeId: "A/1"}, true},
		"raw":               {&raw, true},
		"raw, partitioned":  {&types.VirtualDiskPartitionedRawDiskVer2BackingInfo{VirtualDiskRawDiskVer2BackingInfo: raw}, true},
		"physical RDM":      {&types.VirtualDiskRawDiskMappingVer1BackingInfo{VirtualDeviceFileBackingInfo: file, CompatibilityMode: "physicalMode", DiskMode: "persistent"}, false},
		"independent":       {&types.VirtualDiskFlatVer2BackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: "independent_persistent"}, false},
		"not persistent":    {&types.VirtualDiskFlatVer2BackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: "independent_nonpersistent"}, false},
		"multi-writer":      {&types.VirtualDiskFlatVer2BackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: "persistent", Sharing: "sharingMultiWriter"}, false},
		"local PMem":        {&types.VirtualDiskLocalPMemBackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: "persistent"}, false},
		"flat, version 1":   {&types.VirtualDiskFlatVer1BackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: "persistent"}, false},
		"sparse, version 1": {&types.VirtualDiskSparseVer1BackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: "persistent"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/" + name})
			vm.Change(func(vm *simulator.VirtualMachine) {
				vm.Config.ChangeTrackingEnabled = new(true)
				for _, device := range vm.Config.Hardware.Device {
					if disk, ok := device.(*types.VirtualDisk); ok {
						disk.Backing = test.backing
					}
				}
			})
			status, err := manager.ReadUncached(t.Context(), vm.Moid())
			if err != nil {
				t.Fatal(err)
			}
			if disk := status.Disks[0]; disk.Tracked != test.tracked || disk.Trackable != test.tracked {
				t.Errorf("%+v", disk)
			}
		})
	}
}

func TestEachMissingPrivilegeIsNamed(t *testing.T) {
	t.Parallel()
	for _, privilege := range []string{
		"VirtualMachine.Config.ChangeTracking", "VirtualMachine.State.CreateSnapshot", "VirtualMachine.State.RemoveSnapshot",
	} {
		vcenter, manager := start(t)
		vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
		vcenter.Revoke(privilege)
		status, err := manager.ReadUncached(t.Context(), vm.Moid())
		if err != nil {
			t.Fatal(err)
		}
		for what, got := range map[string][]string{
			"ensure": manager.Blockers(t.Context(), status, false), "reset": manager.ResetBlockers(t.Context(), status),
		} {
			if len(got) != 1 || !strings.Contains(got[0], "no privilege "+privilege) {
				t.Errorf("%s without %s: %q", what, privilege, got)
			}
		}
	}
}

// File is the VM's own base file, neither a snapshot's delta nor the parent of a linked clone.
func TestFileOfALinkedClone(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/clone"})
	vm.Change(func(vm *simulator.VirtualMachine) {
		for _, device := range vm.Config.Hardware.Device {
			if disk, ok := device.(*types.VirtualDisk); ok {
				flat, _ := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
				flat.Parent = &types.VirtualDiskFlatVer2BackingInfo{
					VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: "[LocalDS_0] golden/golden.vmdk"},
				}
			}
		}
	})
	file := func() string {
		status, err := manager.ReadUncached(t.Context(), vm.Moid())
		if err != nil {
			t.Fatal(err)
		}
		return status.Disks[0].File
	}
	const own = "[LocalDS_0] clone/disk-0.vmdk"
	if got := file(); got != own {
		t.Errorf("file %q", got)
	}
	if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := vm.AddSnapshot("nightly", ""); err != nil {
			t.Fatal(err)
		}
	}
	if got := file(); got != own {
		t.Errorf("with snapshots: file %q", got)
	}
	// During a merge, or after a failed one, deltas exist without a snapshot.
	vm.Change(func(vm *simulator.VirtualMachine) { vm.Snapshot, vm.Runtime.ConsolidationNeeded = nil, true })
	if got := file(); got != own {
		t.Errorf("before they are merged: file %q", got)
	}
}
