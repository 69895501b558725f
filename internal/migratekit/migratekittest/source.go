package migratekittest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// source is the VM to copy, with a vCenter session of its own.
type source struct {
	client   *govmomi.Client
	vm       *object.VirtualMachine
	name     string
	path     string
	tracking bool
	efi      bool
	disks    []disk
	macs     []string
	tree     []types.VirtualMachineSnapshotTree
}

type snapshot struct {
	ref   types.ManagedObjectReference
	disks []disk
}

type disk struct {
	key            int32
	bytes          int64
	file, changeID string
}

func connect(ctx context.Context, o options) (*source, error) {
	u := &url.URL{Scheme: "https", Host: o.endpoint, Path: "/sdk", User: url.UserPassword(o.username, o.password)}
	client, err := govmomi.NewClient(ctx, u, true) // migratekit does not verify certificates either
	if err != nil {
		return nil, err
	}
	s := &source{client: client}
	// The real program resolves the path as a pattern, too.
	if s.vm, err = find.NewFinder(client.Client).VirtualMachine(ctx, o.path); err != nil {
		s.logout()
		return nil, err
	}
	s.path = s.vm.InventoryPath
	var vm mo.VirtualMachine
	if err := s.vm.Properties(ctx, s.vm.Reference(), []string{"name", "config.changeTrackingEnabled", "config.firmware", "config.hardware.device", "snapshot"}, &vm); err != nil {
		s.logout()
		return nil, err
	}
	s.name = path.Base(s.path)
	if vm.Config != nil {
		s.efi = vm.Config.Firmware == string(types.GuestOsDescriptorFirmwareTypeEfi)
		for _, device := range vm.Config.Hardware.Device {
			switch device := device.(type) {
			case *types.VirtualDisk:
				s.disks = append(s.disks, newDisk(device))
			case types.BaseVirtualEthernetCard:
				s.macs = append(s.macs, device.GetVirtualEthernetCard().MacAddress)
			}
		}
	}
	s.tracking = vm.Config != nil && vm.Config.ChangeTrackingEnabled != nil && *vm.Config.ChangeTrackingEnabled
	if vm.Snapshot != nil {
		s.tree = vm.Snapshot.RootSnapshotList
	}
	return s, nil
}

func (s *source) logout() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = s.client.Logout(ctx)
}

func (s *source) snapshots(name string) []types.ManagedObjectReference {
	var found []types.ManagedObjectReference
	var walk func([]types.VirtualMachineSnapshotTree)
	walk = func(tree []types.VirtualMachineSnapshotTree) {
		for _, node := range tree {
			if node.Name == name {
				found = append(found, node.Snapshot)
			}
			walk(node.ChildSnapshotList)
		}
	}
	walk(s.tree)
	return found
}

func (s *source) snapshot(ctx context.Context, name string) (*snapshot, error) {
	task, err := s.vm.CreateSnapshot(ctx, name, "Ephemeral snapshot for MigrateKit", false, false)
	if err != nil {
		return nil, err
	}
	info, err := task.WaitForResult(ctx)
	if err != nil {
		return nil, err
	}
	ref, ok := info.Result.(types.ManagedObjectReference)
	if !ok {
		return nil, errors.New("no snapshot in the task's result")
	}
	var config mo.VirtualMachineSnapshot
	if err := property.DefaultCollector(s.client.Client).RetrieveOne(ctx, ref, []string{"config.hardware.device"}, &config); err != nil {
		return nil, err
	}
	result := &snapshot{ref: ref}
	for _, device := range config.Config.Hardware.Device {
		if d, ok := device.(*types.VirtualDisk); ok {
			result.disks = append(result.disks, newDisk(d))
		}
	}
	return result, nil
}

func newDisk(d *types.VirtualDisk) disk {
	result := disk{key: d.Key, bytes: d.CapacityInBytes}
	if b, ok := d.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		result.file = b.GetVirtualDeviceFileBackingInfo().FileName
	}
	switch b := d.Backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		result.changeID = b.ChangeId
	case *types.VirtualDiskSparseVer2BackingInfo:
		result.changeID = b.ChangeId
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		result.changeID = b.ChangeId
	} // no SeSparse, as in migratekit
	return result
}

// shutDown asks the guest to shut down, and waits until it is off.
func (s *source) shutDown(ctx context.Context) error {
	state, err := s.vm.PowerState(ctx)
	if err != nil || state == types.VirtualMachinePowerStatePoweredOff {
		return err
	}
	if err := s.vm.ShutdownGuest(ctx); err != nil {
		return err
	}
	return s.vm.WaitForPowerState(ctx, types.VirtualMachinePowerStatePoweredOff)
}

func (s *source) remove(ctx context.Context, refs ...types.ManagedObjectReference) error {
	for _, ref := range refs {
		task, err := s.vm.RemoveSnapshot(ctx, ref.Value, false, new(true))
		if err != nil {
			return fmt.Errorf("removing snapshot: %w", err)
		}
		if err := task.Wait(ctx); err != nil {
			return fmt.Errorf("removing snapshot: %w", err)
		}
	}
	return nil
}
