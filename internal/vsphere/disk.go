package vsphere

import (
	"fmt"
	"path"

	"github.com/vmware/govmomi/vim25/types"
)

// newDisks reads a VM's disks. depth is the depth of its current snapshot, 0 without one.
func newDisks(devices []types.BaseVirtualDevice, depth int) []Disk {
	var disks []Disk
	for _, device := range devices {
		if disk, ok := device.(*types.VirtualDisk); ok {
			disks = append(disks, newDisk(disk, depth))
		}
	}
	return disks
}

// newDisk reads a disk. The vSphere API documents which backings have a change ID; SeSparse (Horizon) is one.
func newDisk(from *types.VirtualDisk, depth int) Disk {
	disk := Disk{Key: from.Key, Label: label(&from.VirtualDevice), Capacity: from.CapacityInBytes, Backing: BackingUnknown}
	if disk.Capacity == 0 {
		disk.Capacity = from.CapacityInKB * 1024
	}
	if backing, ok := from.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		disk.Top = backing.GetVirtualDeviceFileBackingInfo().FileName
		disk.File = disk.Top
	}
	switch b := from.Backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		disk.Backing, disk.Mode, disk.ChangeID = BackingFlatVer2, b.DiskMode, b.ChangeId
		disk.MultiWriter = isMultiWriter(b.Sharing)
		disk.File = bottom(b, depth, func(b *types.VirtualDiskFlatVer2BackingInfo) (*types.VirtualDiskFlatVer2BackingInfo, bool) {
			return b.Parent, b.Parent != nil
		})
	case *types.VirtualDiskSparseVer2BackingInfo:
		disk.Backing, disk.Mode, disk.ChangeID = BackingSparseVer2, b.DiskMode, b.ChangeId
		disk.File = bottom(b, depth, func(b *types.VirtualDiskSparseVer2BackingInfo) (*types.VirtualDiskSparseVer2BackingInfo, bool) {
			return b.Parent, b.Parent != nil
		})
	case *types.VirtualDiskSeSparseBackingInfo:
		disk.Backing, disk.Mode, disk.ChangeID = BackingSeSparse, b.DiskMode, b.ChangeId
		disk.File = bottom(b, depth, func(b *types.VirtualDiskSeSparseBackingInfo) (*types.VirtualDiskSeSparseBackingInfo, bool) {
			return b.Parent, b.Parent != nil
		})
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		disk.Backing, disk.Mode, disk.ChangeID = BackingRDM, b.DiskMode, b.ChangeId
		disk.PhysicalMode = b.CompatibilityMode == string(types.VirtualDiskCompatibilityModePhysicalMode)
		disk.MultiWriter = isMultiWriter(b.Sharing)
		disk.File = bottom(b, depth, func(b *types.VirtualDiskRawDiskMappingVer1BackingInfo) (*types.VirtualDiskRawDiskMappingVer1BackingInfo, bool) {
			return b.Parent, b.Parent != nil
		})
	case *types.VirtualDiskPartitionedRawDiskVer2BackingInfo:
		rawDisk(&disk, &b.VirtualDiskRawDiskVer2BackingInfo)
	case *types.VirtualDiskRawDiskVer2BackingInfo:
		rawDisk(&disk, b)
	case *types.VirtualDiskLocalPMemBackingInfo:
		disk.Backing, disk.Mode = BackingLocalPMem, b.DiskMode
	case *types.VirtualDiskFlatVer1BackingInfo:
		disk.Backing, disk.Mode = BackingVer1, b.DiskMode
	case *types.VirtualDiskSparseVer1BackingInfo:
		disk.Backing, disk.Mode = BackingVer1, b.DiskMode
	}
	return disk
}

// bottom follows a chain of backings to the VM's base file. The first depth parents belong to the VM's snapshots,
// further parents in the same directory to deleted snapshots that are not merged yet. A further parent in another
// directory belongs to the source of a linked clone.
func bottom[B types.BaseVirtualDeviceFileBackingInfo](backing B, depth int, parent func(B) (below B, ok bool)) string {
	file := func(b B) string { return b.GetVirtualDeviceFileBackingInfo().FileName }
	for below, ok := parent(backing); ok; below, ok = parent(backing) {
		if depth--; depth < 0 && path.Dir(file(below)) != path.Dir(file(backing)) {
			break
		}
		backing = below
	}
	return file(backing)
}

func rawDisk(disk *Disk, b *types.VirtualDiskRawDiskVer2BackingInfo) {
	disk.Backing, disk.File, disk.Top, disk.ChangeID = BackingRawDiskVer2, b.DescriptorFileName, b.DescriptorFileName, b.ChangeId
	disk.MultiWriter = isMultiWriter(b.Sharing)
}

func isMultiWriter(sharing string) bool {
	return sharing == string(types.VirtualDiskSharingSharingMultiWriter)
}

func label(device *types.VirtualDevice) string {
	if device.DeviceInfo != nil {
		if label := device.DeviceInfo.GetDescription().Label; label != "" {
			return label
		}
	}
	return fmt.Sprintf("device %d", device.Key)
}
