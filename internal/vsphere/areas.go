package vsphere

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// ChangedBytes returns how many bytes of a disk changed between a change ID and a snapshot. An empty snapshot means the disk as it is now; vCenter allows that only
// for a VM that is powered off. It queries page by
// page until the capacity is reached; an empty page is not the end. Errors: ChangeTrackingUnusableError if the
// disk needs a full copy, ErrNotFound if the snapshot was deleted.
func (c *Client) ChangedBytes(ctx context.Context, moid, snapshot string, disk Disk, since string) (int64, error) {
	var total int64
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
			return 0, err
		}
		for _, area := range page.ChangedArea {
			total += area.Length
		}
		if page.Length <= 0 {
			return 0, fmt.Errorf("query changed areas of disk %d: vCenter returned a page of %d bytes at offset %d", disk.Key, page.Length, offset)
		}
		offset = page.StartOffset + page.Length
	}
	return total, nil
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
