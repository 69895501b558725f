package vsphere

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// ChangedAreas is how much of a disk changed.
type ChangedAreas struct {
	// Bytes is the sum. Below has the bytes below each whole percent of the disk's capacity.
	Bytes int64
	Below [101]int64
}

// WholeDisk is a disk of which everything changed.
func WholeDisk(capacity int64) ChangedAreas {
	var all ChangedAreas
	all.add(types.DiskChangeExtent{Length: capacity}, capacity)
	return all
}

// add adds an area.
func (c *ChangedAreas) add(area types.DiskChangeExtent, capacity int64) {
	c.Bytes += area.Length
	for percent := range c.Below {
		offset := capacity / 100 * int64(percent)
		if percent == 100 {
			offset = capacity
		}
		c.Below[percent] += max(min(offset-area.Start, area.Length), 0)
	}
}

// ChangedBytes returns how many bytes of a disk changed, and where, between a change ID and a snapshot. An empty snapshot means the disk as it is now; vCenter allows that only
// for a VM that is powered off. It queries page by
// page until the capacity is reached; an empty page is not the end. Errors: ChangeTrackingUnusableError if the
// disk needs a full copy, ErrNotFound if the snapshot was deleted.
func (c *Client) ChangedBytes(ctx context.Context, moid, snapshot string, disk Disk, since string) (ChangedAreas, error) {
	var changed ChangedAreas
	var ref *types.ManagedObjectReference
	if snapshot != "" {
		ref = &types.ManagedObjectReference{Type: "VirtualMachineSnapshot", Value: snapshot}
	}
	for offset := int64(0); offset < disk.Capacity; {
		var page types.DiskChangeInfo
		err := c.do(ctx, fmt.Sprintf("query changed areas of disk %d", disk.Key), func(vim *vim25.Client) error {
			res, err := methods.QueryChangedDiskAreas(ctx, vim, &types.QueryChangedDiskAreas{
				This: vmRef(moid), Snapshot: ref, DeviceKey: disk.Key, StartOffset: offset, ChangeId: since,
			})
			if err != nil {
				return unusable(err, disk.Key)
			}
			page = res.Returnval
			return nil
		})
		if err != nil {
			return ChangedAreas{}, err
		}
		for _, area := range page.ChangedArea {
			changed.add(area, disk.Capacity)
		}
		if page.Length <= 0 {
			return ChangedAreas{}, fmt.Errorf("query changed areas of disk %d: vCenter returned a page of %d bytes at offset %d", disk.Key, page.Length, offset)
		}
		offset = page.StartOffset + page.Length
	}
	return changed, nil
}

// unusable converts the faults that require a full copy: InvalidArgument (deviceKey, changeId) and FileFault.
func unusable(err error, key int32) error {
	switch f := faultOf(err).(type) {
	case *types.InvalidArgument:
		if f.InvalidProperty == "startOffset" {
			return err
		}
		return &ChangeTrackingUnusableError{Key: key, Err: errors.New("vCenter does not accept its change ID")}
	case *types.FileFault:
		return &ChangeTrackingUnusableError{Key: key, Err: fmt.Errorf("vCenter cannot read %s", f.File)}
	}
	return err
}
