package vspheretest

import (
	"context"
	"fmt"
	"path"
	"slices"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// PowerOn powers the VM on, which is a stun.
func (m *Machine) PowerOn() error { return wait(m.object().PowerOn(context.Background())) }

// PowerOff powers the VM off.
func (m *Machine) PowerOff() error { return wait(m.object().PowerOff(context.Background())) }

// SetTools starts or stops VMware Tools in the guest; they run in a new VM.
func (m *Machine) SetTools(running bool) {
	state := types.VirtualMachineToolsRunningStatusGuestToolsNotRunning
	if running {
		state = types.VirtualMachineToolsRunningStatusGuestToolsRunning
	}
	m.Change(func(vm *simulator.VirtualMachine) { vm.Guest.ToolsRunningStatus = string(state) })
}

// IgnoreShutdown makes the guest ignore a shutdown.
func (m *Machine) IgnoreShutdown(ignores bool) {
	m.vcenter.mu.Lock()
	defer m.vcenter.mu.Unlock()
	m.vcenter.trackingOf(m.ref).hangs = ignores
}

// Suspend suspends the VM.
func (m *Machine) Suspend() error { return wait(m.object().Suspend(context.Background())) }

// Stun applies changes that wait for a stun, as a live migration does.
func (m *Machine) Stun() { m.locked(m.vcenter.stun) }

// SetTracking sets the CBT flag and stuns the VM, as another tool would.
func (m *Machine) SetTracking(enabled bool) {
	m.locked(func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		m.vcenter.configure(ctx, vm, enabled)
		m.vcenter.stun(ctx, vm)
	})
}

// ResetTracking deletes the tracking files and starts new epochs (fact 15).
func (m *Machine) ResetTracking() {
	m.locked(func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		m.vcenter.forget(vm)
		m.vcenter.stun(ctx, vm)
	})
}

// Tracking returns the CBT flag and the change ID of each disk ("" if none).
func (m *Machine) Tracking() (enabled bool, changeIDs map[int32]string) {
	changeIDs = map[int32]string{}
	m.Look(func(vm *simulator.VirtualMachine) {
		enabled = isTrue(vm.Config.ChangeTrackingEnabled)
		for _, disk := range disksOf(vm.Config.Hardware.Device) {
			changeIDs[disk.Key] = ""
			if field := changeIDField(disk); field != nil {
				changeIDs[disk.Key] = *field
			}
		}
	})
	return enabled, changeIDs
}

// Write changes an area of a disk. Offset and length are in bytes.
func (m *Machine) Write(key int32, offset, length int64) {
	m.locked(func(*simulator.Context, *simulator.VirtualMachine) {
		m.vcenter.mu.Lock()
		defer m.vcenter.mu.Unlock()
		if d := m.vcenter.trackingOf(m.ref).disks[key]; d != nil {
			d.writes = append(d.writes, write{sequence: d.sequence, offset: offset, length: length})
		}
	})
}

// AddDisk adds a disk and returns its key. The disk is not tracked until the next stun.
func (m *Machine) AddDisk(disk Disk) (int32, error) {
	index, directory := 0, ""
	m.Look(func(vm *simulator.VirtualMachine) {
		disks := disksOf(vm.Config.Hardware.Device)
		for _, d := range disks {
			index = max(index, int(d.Key-firstDiskKey)+1)
		}
		directory = path.Base(path.Dir(vm.Config.Files.VmPathName[len("[LocalDS_0] "):]))
	})
	spec := types.VirtualMachineConfigSpec{DeviceChange: []types.BaseVirtualDeviceConfigSpec{addition(directory, index, disk)}}
	if err := wait(m.object().Reconfigure(context.Background(), spec)); err != nil {
		return 0, fmt.Errorf("add disk: %w", err)
	}
	key := firstDiskKey + int32(index)
	m.back(key, disk.Kind)
	return key, nil
}

// RemoveDisk removes a disk and its tracking file (fact 15).
func (m *Machine) RemoveDisk(key int32) error {
	found := false
	m.Change(func(vm *simulator.VirtualMachine) {
		vm.Config.Hardware.Device = slices.DeleteFunc(slices.Clone(vm.Config.Hardware.Device), func(device types.BaseVirtualDevice) bool {
			match := device.GetVirtualDevice().Key == key
			found = found || match
			return match
		})
	})
	if !found {
		return fmt.Errorf("remove disk %d: no such disk", key)
	}
	m.vcenter.mu.Lock()
	defer m.vcenter.mu.Unlock()
	delete(m.vcenter.trackingOf(m.ref).disks, key)
	return nil
}

// GrowDisk grows a disk to size bytes, except with snapshots, as vSphere does. CBT goes on, as on current hosts.
func (m *Machine) GrowDisk(key int32, size int64) error {
	err := fmt.Errorf("grow disk %d: no such disk, or the VM has snapshots", key)
	m.Change(func(vm *simulator.VirtualMachine) {
		for _, disk := range disksOf(vm.Config.Hardware.Device) {
			if disk.Key == key && vm.Snapshot == nil {
				disk.CapacityInBytes, disk.CapacityInKB, err = size, size/1024, nil
			}
		}
	})
	return err
}

// Rename renames the VM.
func (m *Machine) Rename(name string) error {
	return wait(m.object().Rename(context.Background(), name))
}

// MoveTo moves the VM to another folder, which is created if needed.
func (m *Machine) MoveTo(folderPath string) error {
	folder, err := m.vcenter.folder(folderPath)
	if err != nil {
		return err
	}
	return wait(folder.MoveInto(context.Background(), []types.ManagedObjectReference{m.ref}))
}

// PutIntoVApp creates a vApp in the VM's folder and moves the VM into it. Source: the vSphere API reference on
// parent, which is unset for a VM in a vApp, and on parentFolder.
func (m *Machine) PutIntoVApp(name string) error {
	var folder, pool *types.ManagedObjectReference
	m.Look(func(vm *simulator.VirtualMachine) { folder, pool = vm.Parent, vm.ResourcePool })
	ctx := context.Background()
	allocation := types.ResourceAllocationInfo{Reservation: new(int64(0)), ExpandableReservation: new(true), Limit: new(int64(-1)), Shares: &types.SharesInfo{Level: types.SharesLevelNormal}}
	vApp, err := object.NewResourcePool(m.vcenter.client, *pool).CreateVApp(ctx, name,
		types.ResourceConfigSpec{CpuAllocation: allocation, MemoryAllocation: allocation}, types.VAppConfigSpec{},
		object.NewFolder(m.vcenter.client, *folder))
	if err != nil {
		return fmt.Errorf("create vApp %q: %w", name, err)
	}
	ref := vApp.Reference()
	m.Change(func(vm *simulator.VirtualMachine) { vm.Parent, vm.ParentVApp = nil, &ref })
	return nil
}

// Destroy powers the VM off and deletes it.
func (m *Machine) Destroy() error {
	_ = m.PowerOff() // it may be off already
	return wait(m.object().Destroy(context.Background()))
}

// Reregister removes the VM from the inventory and adds it again: same UUIDs, new managed object ID.
func (m *Machine) Reregister() error {
	ctx := m.vcenter.context()
	vm, ok := ctx.Map.Get(m.ref).(*simulator.VirtualMachine)
	if !ok {
		return fmt.Errorf("no VM %s", m.ref)
	}
	parent := *vm.Parent
	folder, ok := ctx.Map.Get(parent).(*simulator.Folder)
	if !ok {
		return fmt.Errorf("no folder %s", parent)
	}
	old := m.ref
	moved := types.ManagedObjectReference{Type: old.Type, Value: old.Value + "0"}
	ctx.Map.Remove(ctx, old)
	vm.Self = moved
	ctx.Map.Put(vm)
	ctx.WithLock(folder, func() {
		for i, child := range folder.ChildEntity {
			if child == old {
				folder.ChildEntity[i] = moved
			}
		}
	})
	m.vcenter.mu.Lock()
	m.vcenter.tracked[moved] = m.vcenter.trackingOf(old)
	delete(m.vcenter.tracked, old)
	m.vcenter.mu.Unlock()
	m.ref = moved
	return nil
}

// AddSnapshot creates a snapshot as another tool would.
func (m *Machine) AddSnapshot(name, description string) error {
	return wait(m.object().CreateSnapshot(context.Background(), name, description, false, false))
}

// RemoveSnapshots removes all snapshots.
func (m *Machine) RemoveSnapshots() error {
	return wait(m.object().RemoveAllSnapshot(context.Background(), new(true)))
}

// Snapshots returns the names of all snapshots, parents before children.
func (m *Machine) Snapshots() []string {
	var names []string
	var walk func(tree []types.VirtualMachineSnapshotTree)
	walk = func(tree []types.VirtualMachineSnapshotTree) {
		for _, node := range tree {
			names = append(names, node.Name)
			walk(node.ChildSnapshotList)
		}
	}
	m.Look(func(vm *simulator.VirtualMachine) {
		if vm.Snapshot != nil {
			walk(vm.Snapshot.RootSnapshotList)
		}
	})
	return names
}

// LeaveUninitialized sets whether stuns leave the disk without a change ID.
func (m *Machine) LeaveUninitialized(key int32, leave bool) {
	m.vcenter.mu.Lock()
	defer m.vcenter.mu.Unlock()
	m.vcenter.trackingOf(m.ref).uninitialized[key] = leave
}

// MakeUnreadable makes queries of a disk's tracking file fail with FileFault.
func (m *Machine) MakeUnreadable(key int32) {
	m.vcenter.mu.Lock()
	defer m.vcenter.mu.Unlock()
	m.vcenter.trackingOf(m.ref).unreadable[key] = true
}

// DisableMethod disables a method on the VM, as a backup product does (fact 20).
func (m *Machine) DisableMethod(method, source string) {
	m.vcenter.mu.Lock()
	m.vcenter.trackingOf(m.ref).disabledMethods[method] = source
	m.vcenter.mu.Unlock()
	m.Change(func(vm *simulator.VirtualMachine) { vm.DisabledMethod = append(vm.DisabledMethod, method) })
}

// EnableMethods enables all methods on the VM again.
func (m *Machine) EnableMethods() {
	m.vcenter.mu.Lock()
	clear(m.vcenter.trackingOf(m.ref).disabledMethods)
	m.vcenter.mu.Unlock()
	m.Change(func(vm *simulator.VirtualMachine) { vm.DisabledMethod = nil })
}

// Occupy runs somebody else's task on the VM until release is called. Other writes fail with TaskInProgress.
func (m *Machine) Occupy() (release func()) {
	done := make(chan struct{})
	m.locked(func(ctx *simulator.Context, vm *simulator.VirtualMachine) {
		_, _ = m.vcenter.runTask(ctx, vm, "Backup_Task", func(*simulator.Context) (types.AnyType, types.BaseMethodFault) {
			<-done
			return nil, nil
		})
	})
	return func() { close(done) }
}

// HoldTasks keeps tasks of a method that start from now on running until release is called.
func (m *Machine) HoldTasks(method string) (release func()) {
	gate := make(chan struct{})
	m.vcenter.mu.Lock()
	m.vcenter.trackingOf(m.ref).gates[method] = gate
	m.vcenter.mu.Unlock()
	return func() {
		m.vcenter.mu.Lock()
		delete(m.vcenter.trackingOf(m.ref).gates, method)
		m.vcenter.mu.Unlock()
		close(gate)
	}
}

// SetHardware sets the virtual hardware version, such as "vmx-06".
func (m *Machine) SetHardware(version string) {
	m.Change(func(vm *simulator.VirtualMachine) { vm.Config.Version = version })
}

// SetConnectionState sets the state that vCenter shows while the VM's host or datastore is away. Tasks then fail with HostNotConnected.
func (m *Machine) SetConnectionState(state types.VirtualMachineConnectionState) {
	m.Change(func(vm *simulator.VirtualMachine) { vm.Runtime.ConnectionState = state })
}

// SetIdentity sets instance and BIOS UUID. A VM that is being cloned has neither.
func (m *Machine) SetIdentity(instance, bios string) {
	m.Change(func(vm *simulator.VirtualMachine) { vm.Config.InstanceUuid, vm.Config.Uuid = instance, bios })
}

// Encrypt encrypts the VM's home, as adding a virtual TPM does.
func (m *Machine) Encrypt() {
	m.Change(func(vm *simulator.VirtualMachine) { vm.Config.KeyId = &types.CryptoKeyId{KeyId: "key"} })
}

// SetTemplate converts the VM to a template or back.
func (m *Machine) SetTemplate(template bool) {
	m.Change(func(vm *simulator.VirtualMachine) { vm.Config.Template = template })
}

// SetConsolidationNeeded sets the flag that a failed snapshot removal leaves.
func (m *Machine) SetConsolidationNeeded(needed bool) {
	m.Change(func(vm *simulator.VirtualMachine) { vm.Runtime.ConsolidationNeeded = needed })
}

// SetUUID sets the BIOS UUID, which cloned VMs may share.
func (m *Machine) SetUUID(uuid string) {
	m.Change(func(vm *simulator.VirtualMachine) { vm.Config.Uuid = uuid })
}
