package cbt

import (
	"fmt"
	"slices"
)

// Tracking is what planning a cycle needs to know of a VM. It survives JSON and has nothing volatile in it.
type Tracking struct {
	Enabled bool          `json:"enabled"`
	Disks   []TrackedDisk `json:"disks"`
}

// TrackedDisk is one disk of a Tracking.
type TrackedDisk struct {
	// Key is the device key.
	Key   int32  `json:"key"`
	Label string `json:"label"`
	// Epoch is "" if the disk is not tracked.
	Epoch string `json:"epoch"`
}

// String names the disk for a reader.
func (d TrackedDisk) String() string { return fmt.Sprintf("%s (device key %d)", d.Label, d.Key) }

// Tracking returns what planning needs of the status.
func (s *Status) Tracking() Tracking {
	t := Tracking{Enabled: s.Enabled(), Disks: []TrackedDisk{}}
	for _, d := range s.Disks {
		disk := TrackedDisk{Key: d.Key, Label: d.Label}
		if d.Trackable {
			disk.Epoch = Epoch(d.ChangeID)
		}
		t.Disks = append(t.Disks, disk)
	}
	return t
}

// Disk returns the disk with a device key, or nil.
func (t Tracking) Disk(key int32) *TrackedDisk {
	i := slices.IndexFunc(t.Disks, func(d TrackedDisk) bool { return d.Key == key })
	if i < 0 {
		return nil
	}
	return &t.Disks[i]
}

// NextCopy returns the kind of the next copy of a disk, from the epoch of its last copy ("" if none), and the reason if it is full.
func (t Tracking) NextCopy(key int32, epoch string) (kind Kind, reason string) {
	if disk := t.Disk(key); disk != nil && t.Enabled {
		return nextCopy(epoch, disk.Epoch)
	}
	return nextCopy(epoch, "")
}

// Intact reports whether increments can continue from the epochs of the last copies, by device key: every disk that still exists has the same one.
func (t Tracking) Intact(epochs map[int32]string) bool {
	for key, epoch := range epochs {
		disk := t.Disk(key)
		if disk == nil {
			continue
		}
		if !t.Enabled || disk.Epoch == "" || disk.Epoch != epoch {
			return false
		}
	}
	return true
}
