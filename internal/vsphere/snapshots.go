package vsphere

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// SnapshotDisks reads the disks as a snapshot keeps them, with the change IDs
// of its moment, in one call. Errors: ErrNotFound where it is gone.
func (c *Client) SnapshotDisks(ctx context.Context, snapshot string) ([]Disk, error) {
	ref := types.ManagedObjectReference{Type: "VirtualMachineSnapshot", Value: snapshot}
	content, err := c.retrieve(ctx, types.PropertyFilterSpec{
		PropSet:   []types.PropertySpec{{Type: ref.Type, PathSet: []string{"config.hardware.device"}}},
		ObjectSet: []types.ObjectSpec{{Obj: ref}},
	})
	if err != nil {
		return nil, err
	}
	var found mo.VirtualMachineSnapshot
	if err := mo.LoadObjectContent(content, &found); err != nil || len(content) == 0 {
		return nil, fmt.Errorf("snapshot %s: %w", snapshot, ErrNotFound)
	}
	return newDisks(found.Config.Hardware.Device), nil
}

// WatchSnapshots calls seen with a VM's snapshots as they are, and again each
// time that they change, until seen returns true or the context ends. It waits
// in vCenter and polls nothing.
func (c *Client) WatchSnapshots(ctx context.Context, moid string, seen func([]Snapshot) bool) error {
	begun := false
	return c.watch(ctx, vmRef(moid), []string{"snapshot"}, func(changes []types.PropertyChange) bool {
		first := !begun
		begun = true
		for _, change := range changes {
			switch value := change.Val.(type) {
			case types.VirtualMachineSnapshotInfo:
				return seen(flatten(nil, value.RootSnapshotList, 1))
			case nil: // the last one was removed
				return seen(nil)
			}
		}
		return first && seen(nil) // a VM without a snapshot has no such property
	})
}
