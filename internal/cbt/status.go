package cbt

import (
	"slices"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Status is what is true of tracking on one VM at one moment.
type Status struct {
	VM    *vsphere.VM
	Disks []DiskStatus
}

// DiskStatus is what is true of tracking on one disk.
type DiskStatus struct {
	vsphere.Disk
	// Trackable says whether this kind of disk can be tracked at all.
	Trackable bool
	// Tracked says that it is: the VM's flag is on and the disk has a change ID.
	Tracked bool
	// Reason says why it is not tracked, "" where it is.
	Reason string
}

// NewStatus judges a VM by the rules. It is pure.
func NewStatus(vm *vsphere.VM) *Status {
	s := &Status{VM: vm}
	for _, disk := range vm.Disks {
		d := DiskStatus{Disk: disk, Reason: untrackable(disk)}
		d.Trackable = d.Reason == ""
		switch {
		case !d.Trackable:
		case !vm.ChangeTracking:
			d.Reason = "change tracking is off on the virtual machine"
		case disk.ChangeID == "":
			d.Reason = "no change ID: tracking was not initialised by a snapshot"
		default:
			d.Tracked = true
		}
		s.Disks = append(s.Disks, d)
	}
	return s
}

// Enabled is the VM's flag: configured, which is not yet working.
func (s *Status) Enabled() bool { return s.VM.ChangeTracking }

// Initialized says that the VM has disks that can be tracked and that each of
// them is, which implies that tracking is on.
func (s *Status) Initialized() bool {
	return len(s.trackable()) > 0 && len(s.Uninitialized()) == 0
}

// Works says that there is nothing to do: tracking is on and initialised, and
// no temporary snapshot of an earlier run is left.
func (s *Status) Works() bool {
	return s.Initialized() && !s.leftover()
}

// leftover says that a temporary snapshot of an earlier run is on the VM.
func (s *Status) leftover() bool { return slices.ContainsFunc(s.VM.Snapshots, isOurs) }

// Uninitialized are the disks that can be tracked and are not.
func (s *Status) Uninitialized() []DiskStatus {
	return slices.DeleteFunc(s.trackable(), func(d DiskStatus) bool { return d.Tracked })
}

func (s *Status) trackable() []DiskStatus {
	return slices.DeleteFunc(slices.Clone(s.Disks), func(d DiskStatus) bool { return !d.Trackable })
}

// Disk finds a disk by its device key, nil where the VM has none of that key.
func (s *Status) Disk(key int32) *DiskStatus {
	i := slices.IndexFunc(s.Disks, func(d DiskStatus) bool { return d.Key == key })
	if i < 0 {
		return nil
	}
	return &s.Disks[i]
}

// ChangeIDs are the change IDs that the disks have now, by device key.
func (s *Status) ChangeIDs() map[int32]string {
	ids := map[int32]string{}
	for _, d := range s.Disks {
		if d.ChangeID != "" {
			ids[d.Key] = d.ChangeID
		}
	}
	return ids
}

// Supported says whether the VM's hardware can be tracked at all: virtual
// hardware 7 or newer, on a host that offers it.
func (s *Status) Supported() bool {
	return s.VM.ChangeTrackingSupported && !oldHardware(s.VM.HardwareVersion)
}
