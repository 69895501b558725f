package vspheretest

import (
	"context"
	"fmt"
	"path"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// Kind is a way in which a disk is backed.
type Kind string

// The kinds of disk: the first four can be tracked (fact 8), the others cannot
// (fact 16). Raw disks of version 2 exist on hosted products only, and the
// simulator cannot carry them.
const (
	Flat                     Kind = ""
	SeSparse                 Kind = "seSparse"
	SparseVer2               Kind = "sparseVer2"
	VirtualRDM               Kind = "virtual RDM"
	PhysicalRDM              Kind = "physical RDM"
	IndependentPersistent    Kind = "independent_persistent"
	IndependentNonpersistent Kind = "independent_nonpersistent"
	MultiWriter              Kind = "multi-writer"
	LocalPMem                Kind = "localPMem"
	FlatVer1                 Kind = "flatVer1"
)

// Disk describes a disk to make. Keys are given in order, from 2000 on..
type Disk struct {
	Size int64 // bytes, 1 GiB where it is 0
	Kind Kind
}

// Spec describes a VM to make.
type Spec struct {
	// Path is where it is to be: "/DC0/vm/prod/web01". Folders are made.
	Path  string
	Disks []Disk // one flat disk where empty
	// Off leaves it powered off.
	Off bool
}

// Machine is a handle on one VM, for what others would do to it.
type Machine struct {
	vcenter *VCenter
	ref     types.ManagedObjectReference
}

const firstDiskKey = 2000

// AddVM makes a VM.
func (v *VCenter) AddVM(spec Spec) (*Machine, error) {
	folder, err := v.folder(path.Dir(spec.Path))
	if err != nil {
		return nil, err
	}
	if len(spec.Disks) == 0 {
		spec.Disks = []Disk{{}}
	}
	directory := v.directory(path.Base(spec.Path))
	pool := v.service.Context.Map.Any("ClusterComputeResource").(*simulator.ClusterComputeResource).ResourcePool
	host := v.service.Context.Map.Any("ClusterComputeResource").(*simulator.ClusterComputeResource).Host[0]
	config := types.VirtualMachineConfigSpec{
		Name:  path.Base(spec.Path),
		Files: &types.VirtualMachineFileInfo{VmPathName: fmt.Sprintf("[LocalDS_0] %s/%s.vmx", directory, path.Base(spec.Path))},
		DeviceChange: []types.BaseVirtualDeviceConfigSpec{&types.VirtualDeviceConfigSpec{
			Operation: types.VirtualDeviceConfigSpecOperationAdd,
			Device: &types.ParaVirtualSCSIController{VirtualSCSIController: types.VirtualSCSIController{
				SharedBus:         types.VirtualSCSISharingNoSharing,
				VirtualController: types.VirtualController{VirtualDevice: types.VirtualDevice{Key: scsiKey}},
			}},
		}},
	}
	for i, disk := range spec.Disks {
		config.DeviceChange = append(config.DeviceChange, addition(directory, i, disk))
	}
	ctx := context.Background()
	task, err := folder.CreateVM(ctx, config, object.NewResourcePool(v.client, *pool), object.NewHostSystem(v.client, host))
	if err != nil {
		return nil, fmt.Errorf("create VM %q: %w", spec.Path, err)
	}
	info, err := task.WaitForResult(ctx)
	if err != nil {
		return nil, fmt.Errorf("create VM %q: %w", spec.Path, err)
	}
	ref, _ := info.Result.(types.ManagedObjectReference)
	m := &Machine{vcenter: v, ref: ref}
	for i, disk := range spec.Disks {
		m.back(firstDiskKey+int32(i), disk.Kind)
	}
	m.Change(func(vm *simulator.VirtualMachine) {
		// The simulator leaves these false; a real host says true.
		vm.Capability.BootOptionsSupported = true
		vm.Capability.SnapshotOperationsSupported = true
		vm.Capability.ChangeTrackingSupported = true
	})
	if !spec.Off {
		if err := m.PowerOn(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

const scsiKey = 1000

// directory gives each VM a folder of its own on the datastore.
func (v *VCenter) directory(name string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.directories[name]++
	if n := v.directories[name]; n > 1 {
		return fmt.Sprintf("%s_%d", name, n)
	}
	return name
}

func addition(directory string, index int, disk Disk) types.BaseVirtualDeviceConfigSpec {
	size := disk.Size
	if size == 0 {
		size = 1 << 30
	}
	unit := int32(index)
	if unit >= 7 {
		unit++ // 7 is the controller's own
	}
	return &types.VirtualDeviceConfigSpec{
		Operation:     types.VirtualDeviceConfigSpecOperationAdd,
		FileOperation: types.VirtualDeviceConfigSpecFileOperationCreate,
		Device: &types.VirtualDisk{
			VirtualDevice: types.VirtualDevice{
				Key:           firstDiskKey + int32(index),
				ControllerKey: scsiKey,
				UnitNumber:    &unit,
				DeviceInfo:    &types.Description{Label: fmt.Sprintf("Hard disk %d", index+1)},
				Backing: &types.VirtualDiskFlatVer2BackingInfo{
					VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{
						FileName: fmt.Sprintf("[LocalDS_0] %s/disk-%d.vmdk", directory, index),
					},
					DiskMode:        string(types.VirtualDiskModePersistent),
					ThinProvisioned: new(true),
				},
			},
			CapacityInBytes: size,
			CapacityInKB:    size / 1024,
		},
	}
}

// back gives a disk the backing of its kind; the simulator makes flat ones only.
func (m *Machine) back(key int32, kind Kind) {
	if kind == Flat {
		return
	}
	m.Change(func(vm *simulator.VirtualMachine) {
		for _, disk := range disksOf(vm.Config.Hardware.Device) {
			if disk.Key == key {
				disk.Backing = backing(kind, disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo))
			}
		}
	})
}

func backing(kind Kind, flat *types.VirtualDiskFlatVer2BackingInfo) types.BaseVirtualDeviceBackingInfo {
	file := flat.VirtualDeviceFileBackingInfo
	persistent := string(types.VirtualDiskModePersistent)
	switch kind {
	case SeSparse:
		return &types.VirtualDiskSeSparseBackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: persistent}
	case SparseVer2:
		return &types.VirtualDiskSparseVer2BackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: persistent}
	case VirtualRDM, PhysicalRDM:
		mode := types.VirtualDiskCompatibilityModeVirtualMode
		if kind == PhysicalRDM {
			mode = types.VirtualDiskCompatibilityModePhysicalMode
		}
		return &types.VirtualDiskRawDiskMappingVer1BackingInfo{
			VirtualDeviceFileBackingInfo: file, CompatibilityMode: string(mode), DiskMode: persistent,
		}
	case LocalPMem:
		return &types.VirtualDiskLocalPMemBackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: persistent}
	case FlatVer1:
		return &types.VirtualDiskFlatVer1BackingInfo{VirtualDeviceFileBackingInfo: file, DiskMode: persistent}
	case IndependentPersistent, IndependentNonpersistent:
		flat.DiskMode = string(kind)
	case MultiWriter:
		flat.Sharing = string(types.VirtualDiskSharingSharingMultiWriter)
	case Flat:
	}
	return flat
}

// Machine finds a VM by its inventory path.
func (v *VCenter) Machine(inventoryPath string) (*Machine, error) {
	found, err := object.NewSearchIndex(v.client).FindByInventoryPath(context.Background(), inventoryPath)
	if err != nil {
		return nil, fmt.Errorf("find VM %q: %w", inventoryPath, err)
	}
	if found == nil {
		return nil, fmt.Errorf("no VM %q", inventoryPath)
	}
	return &Machine{vcenter: v, ref: found.Reference()}, nil
}

// Moid is the VM's managed object ID, "vm-42".
func (m *Machine) Moid() string { return m.ref.Value }

// Change changes the VM's properties behind everybody's back and tells those
// who watch them.
func (m *Machine) Change(change func(vm *simulator.VirtualMachine)) {
	ctx := m.vcenter.context()
	if vm, ok := ctx.Map.Get(m.ref).(*simulator.VirtualMachine); ok {
		ctx.AutoUpdate(vm, func() { change(vm) })
	}
}

// Look reads the VM's properties.
func (m *Machine) Look(look func(vm *simulator.VirtualMachine)) {
	ctx := m.vcenter.context()
	if vm, ok := ctx.Map.Get(m.ref).(*simulator.VirtualMachine); ok {
		ctx.WithLock(vm, func() { look(vm) })
	}
}

func (m *Machine) locked(do func(ctx *simulator.Context, vm *simulator.VirtualMachine)) {
	ctx := m.vcenter.context()
	if vm, ok := ctx.Map.Get(m.ref).(*simulator.VirtualMachine); ok {
		ctx.WithLock(vm, func() { do(ctx, vm) })
	}
}

func (m *Machine) object() *object.VirtualMachine {
	return object.NewVirtualMachine(m.vcenter.client, m.ref)
}

func wait(task *object.Task, err error) error {
	if err != nil {
		return err
	}
	return task.Wait(context.Background())
}
