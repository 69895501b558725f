package vspheretest

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// SetESXi sets the version and the build of all hosts.
func (v *VCenter) SetESXi(version, build string) {
	ctx := v.context()
	for _, entity := range ctx.Map.All("HostSystem") {
		host, ok := ctx.Map.Get(entity.Reference()).(*simulator.HostSystem)
		if !ok {
			continue
		}
		ctx.WithLock(host, func() {
			config := *host.Config // the simulator's hosts share it
			config.Product.Version, config.Product.Build = version, build
			host.Config = &config
		})
	}
}

// SetUsed sets what a disk takes on its datastore, in bytes. Extents are what vCenter lists besides the descriptor and the tracking file.
func (m *Machine) SetUsed(key int32, extents ...int64) {
	m.Change(func(vm *simulator.VirtualMachine) {
		layout := &types.VirtualMachineFileLayoutEx{}
		if vm.LayoutEx != nil {
			layout.File = vm.LayoutEx.File
			layout.Disk = vm.LayoutEx.Disk
		}
		unit := types.VirtualMachineFileLayoutExDiskUnit{}
		add := func(name string, kind types.VirtualMachineFileLayoutExFileType, size int64) {
			file := types.VirtualMachineFileLayoutExFileInfo{Key: int32(1000 + len(layout.File)), Name: name, Type: string(kind), Size: size}
			layout.File = append(layout.File, file)
			unit.FileKey = append(unit.FileKey, file.Key)
		}
		add("disk.vmdk", types.VirtualMachineFileLayoutExFileTypeDiskDescriptor, 500)
		add("disk-ctk.vmdk", types.VirtualMachineFileLayoutExFileTypeDiskExtent, 65536)
		for _, size := range extents {
			add("disk-flat.vmdk", types.VirtualMachineFileLayoutExFileTypeDiskExtent, size)
		}
		for i := range layout.Disk {
			if layout.Disk[i].Key == key {
				layout.Disk[i].Chain = []types.VirtualMachineFileLayoutExDiskUnit{unit}
			}
		}
		vm.LayoutEx = layout
	})
}

// RemoveConfiguration makes vCenter show no configuration of the VM, as while it is being cloned ("connected") or if its files are gone.
func (m *Machine) RemoveConfiguration(state types.VirtualMachineConnectionState) {
	m.Change(func(vm *simulator.VirtualMachine) { vm.Config, vm.Runtime.ConnectionState = nil, state })
}

// JoinPortGroup connects the VM's network cards to a distributed port group.
func (m *Machine) JoinPortGroup(name string) {
	ctx := m.vcenter.context()
	var group *simulator.DistributedVirtualPortgroup
	for _, entity := range ctx.Map.All("DistributedVirtualPortgroup") {
		if candidate, ok := ctx.Map.Get(entity.Reference()).(*simulator.DistributedVirtualPortgroup); ok && candidate.Name == name {
			group = candidate
		}
	}
	if group == nil {
		return
	}
	m.Change(func(vm *simulator.VirtualMachine) {
		vm.Network = []types.ManagedObjectReference{group.Self}
		for _, device := range vm.Config.Hardware.Device {
			if card, ok := device.(types.BaseVirtualEthernetCard); ok {
				card.GetVirtualEthernetCard().Backing = &types.VirtualEthernetCardDistributedVirtualPortBackingInfo{
					Port: types.DistributedVirtualSwitchPortConnection{PortgroupKey: group.Key},
				}
			}
		}
	})
}
