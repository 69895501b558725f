package cbt

import (
	"slices"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Status is the CBT state of one VM at one moment.
type Status struct {
	VM    *vsphere.VM
	Disks []DiskStatus
}

// DiskStatus is the CBT state of one disk.
type DiskStatus struct {
	vsphere.Disk
	Trackable bool   // true if this kind of disk can be tracked
	Tracked   bool   // true if CBT is enabled and the disk has a change ID
	Reason    string // why the disk is not tracked, or ""
}

// NewStatus applies the CBT rules to a VM. It is pure.
func NewStatus(vm *vsphere.VM) *Status {
	s := &Status{VM: vm}
	for _, disk := range vm.Disks {
		why, not := untrackable(disk)
		d := DiskStatus{Disk: disk, Trackable: !not}
		switch {
		case not:
			d.Reason = why.Problem
		case !vm.ChangeTracking:
			d.Reason = "CBT is disabled on the virtual machine"
		case disk.ChangeID == "":
			d.Reason = "no change ID: CBT was not initialized by a snapshot"
		default:
			d.Tracked = true
		}
		s.Disks = append(s.Disks, d)
	}
	return s
}

// Enabled reports whether the flag is set. CBT may still need a stun to work.
func (s *Status) Enabled() bool { return s.VM.ChangeTracking }

// Tracked reports whether CBT works: the VM has trackable disks, and all of them are tracked.
func (s *Status) Tracked() bool {
	return len(s.trackable()) > 0 && len(s.Uninitialized()) == 0
}

// Initialized reports whether initialization is complete: all trackable disks are tracked, and no temporary snapshot is
// left.
func (s *Status) Initialized() bool {
	return s.Tracked() && !s.leftover()
}

func (s *Status) leftover() bool { return slices.ContainsFunc(s.VM.Snapshots, isOurs) }

// Uninitialized returns the trackable disks that are not tracked.
func (s *Status) Uninitialized() []DiskStatus {
	return slices.DeleteFunc(s.trackable(), func(d DiskStatus) bool { return d.Tracked })
}

func (s *Status) trackable() []DiskStatus {
	return slices.DeleteFunc(slices.Clone(s.Disks), func(d DiskStatus) bool { return !d.Trackable })
}

// Disk returns the disk with a device key, or nil.
func (s *Status) Disk(key int32) *DiskStatus {
	i := slices.IndexFunc(s.Disks, func(d DiskStatus) bool { return d.Key == key })
	if i < 0 {
		return nil
	}
	return &s.Disks[i]
}

// ChangeIDs returns the current change IDs by device key.
func (s *Status) ChangeIDs() map[int32]string {
	ids := map[int32]string{}
	for _, d := range s.Disks {
		if d.ChangeID != "" {
			ids[d.Key] = d.ChangeID
		}
	}
	return ids
}

// Supported reports whether the VM supports CBT: virtual hardware 7 or newer, on a host that supports it.
func (s *Status) Supported() bool {
	return s.VM.ChangeTrackingSupported && !oldHardware(s.VM.HardwareVersion)
}
