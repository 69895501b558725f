package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// SnapshotDisks reads a snapshot's disks, with the change IDs of that snapshot, in one call. Errors: ErrNotFound if
// the snapshot was deleted.
func (c *Client) SnapshotDisks(ctx context.Context, snapshot string) ([]Disk, error) {
	ref := types.ManagedObjectReference{Type: "VirtualMachineSnapshot", Value: snapshot}
	var found mo.VirtualMachineSnapshot
	spec := types.PropertyFilterSpec{
		PropSet:   []types.PropertySpec{{Type: ref.Type, PathSet: []string{"config.hardware.device"}}},
		ObjectSet: []types.ObjectSpec{{Obj: ref}},
	}
	err := c.do(ctx, "read snapshot "+snapshot, func(vim *vim25.Client) error {
		var content []types.ObjectContent
		if err := retrieve(ctx, vim, spec, func(page []types.ObjectContent) { content = page }); err != nil {
			return err
		}
		if len(content) == 0 {
			return ErrNotFound
		}
		return mo.LoadObjectContent(content, &found)
	})
	if err != nil {
		return nil, err
	}
	return newDisks(found.Config.Hardware.Device, 0), nil
}

// WatchSnapshots calls seen with a VM's snapshots, and again after each change, until seen returns true or the
// context ends. It waits for vCenter's updates instead of polling.
func (c *Client) WatchSnapshots(ctx context.Context, moid string, seen func([]Snapshot) bool) error {
	begun := false
	return c.watch(ctx, vmRef(moid), []string{"snapshot"}, func(changes []types.PropertyChange) bool {
		first := !begun
		begun = true
		for _, change := range changes {
			switch value := change.Val.(type) {
			case types.VirtualMachineSnapshotInfo:
				return seen(flatten(nil, value.RootSnapshotList, 1))
			case nil: // the last snapshot was removed
				return seen(nil)
			}
		}
		return first && seen(nil) // a VM without snapshots lacks the property
	})
}
