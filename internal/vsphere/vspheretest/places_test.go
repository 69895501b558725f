package vspheretest_test

import (
	"testing"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// Fact 17: the lock also blocks removals.
func TestLockedSnapshotsStay(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	ref, err := f.snapshot(t, "s")
	if err != nil {
		t.Fatal(err)
	}
	f.Change(func(vm *simulator.VirtualMachine) { vm.Config.Flags.SnapshotLocked = new(true) })
	one, err := methods.RemoveSnapshot_Task(t.Context(), f.client, &types.RemoveSnapshot_Task{This: ref})
	if err != nil {
		t.Fatal(err)
	}
	all, err := f.vm.RemoveAllSnapshot(t.Context(), nil)
	if err != nil {
		all = object.NewTask(f.client.Client, one.Returnval) // the other removal holds the VM
	}
	wantFault[*types.SnapshotLocked](t, object.NewTask(f.client.Client, one.Returnval).Wait(t.Context()))
	wantFault[*types.SnapshotLocked](t, all.Wait(t.Context()))
	if left := f.Snapshots(); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// Fact 23: vCenter knows only its own users.
func TestPrivilegesOfAStranger(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	_, err := object.NewAuthorizationManager(f.client.Client).HasUserPrivilegeOnEntities(
		t.Context(), []types.ManagedObjectReference{f.vm.Reference()}, "nobody", []string{"System.Read"})
	wantFault[*types.NotFound](t, err)
}

// A VM in a vApp has no parent, but the vApp has a parentFolder. A task names its user. Source: the vSphere API
// reference.
func TestVAppAndTask(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	var before, after mo.VirtualMachine
	if err := f.vm.Properties(t.Context(), f.vm.Reference(), []string{"parent"}, &before); err != nil {
		t.Fatal(err)
	}
	if err := f.PutIntoVApp("shop"); err != nil {
		t.Fatal(err)
	}
	if err := f.vm.Properties(t.Context(), f.vm.Reference(), []string{"parent", "parentVApp"}, &after); err != nil {
		t.Fatal(err)
	}
	if after.Parent != nil || after.ParentVApp == nil {
		t.Fatalf("parent %v, vApp %v", after.Parent, after.ParentVApp)
	}
	var vApp mo.VirtualApp
	if err := f.vm.Properties(t.Context(), *after.ParentVApp, []string{"name", "parentFolder"}, &vApp); err != nil {
		t.Fatal(err)
	}
	if vApp.Name != "shop" || vApp.ParentFolder == nil || *vApp.ParentFolder != *before.Parent {
		t.Errorf("vApp %q in %v, but the VM was in %v", vApp.Name, vApp.ParentFolder, before.Parent)
	}
	task, err := f.vm.Reconfigure(t.Context(), types.VirtualMachineConfigSpec{Annotation: "x"})
	if err != nil {
		t.Fatal(err)
	}
	info, err := task.WaitForResult(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if reason, ok := info.Reason.(*types.TaskReasonUser); !ok || reason.UserName != vspheretest.Username || info.Progress == 0 {
		t.Errorf("reason %#v, progress %d", info.Reason, info.Progress)
	}
}

// Snapshots put deltas on a linked clone's own file and do not touch its parent.
func TestSnapshotsOfALinkedClone(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	own := ""
	backing := func(look func(flat *types.VirtualDiskFlatVer2BackingInfo)) {
		f.Look(func(vm *simulator.VirtualMachine) {
			for _, device := range vm.Config.Hardware.Device {
				if disk, ok := device.(*types.VirtualDisk); ok {
					look(disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo))
				}
			}
		})
	}
	backing(func(flat *types.VirtualDiskFlatVer2BackingInfo) {
		own = flat.FileName
		flat.Parent = &types.VirtualDiskFlatVer2BackingInfo{VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: "[LocalDS_0] golden/golden.vmdk"}}
	})
	if _, err := f.snapshot(t, "s"); err != nil {
		t.Fatal(err)
	}
	backing(func(flat *types.VirtualDiskFlatVer2BackingInfo) {
		if flat.FileName == own || flat.Parent.FileName != own {
			t.Errorf("with a snapshot: %s over %s", flat.FileName, flat.Parent.FileName)
		}
	})
	if err := f.RemoveSnapshots(); err != nil {
		t.Fatal(err)
	}
	backing(func(flat *types.VirtualDiskFlatVer2BackingInfo) {
		if flat.FileName != own || flat.Parent.FileName != "[LocalDS_0] golden/golden.vmdk" {
			t.Errorf("without: %s over %s", flat.FileName, flat.Parent.FileName)
		}
	})
}

func TestForgetTasks(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	task, err := f.vm.Reconfigure(t.Context(), types.VirtualMachineConfigSpec{Annotation: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := task.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.vcenter.ForgetTasks()
	var forgotten mo.Task
	wantFault[*types.ManagedObjectNotFound](t, f.vm.Properties(t.Context(), task.Reference(), []string{"info"}, &forgotten))
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	f.vcenter.NotReady(2)
	for i, wantErr := range []bool{true, true, false} {
		if _, err := methods.GetCurrentTime(t.Context(), f.client); (err != nil) != wantErr {
			t.Errorf("call %d: %v", i+1, err)
		}
	}
}
