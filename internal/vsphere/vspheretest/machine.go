package vspheretest

import (
	"context"
	"fmt"
	"path"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// Kind is the kind of backing of a disk.
type Kind string

// The kinds of disk: the first four can be tracked (fact 8), the others cannot (fact 16). Version 2 raw disks are
// missing: only hosted products have them, and the simulator does not support them.
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

// Disk describes a disk to create. Device keys start at 2000.
type Disk struct {
	Size int64 // bytes, 0 for 1 GiB
	Kind Kind
}

// Spec describes a VM to create.
type Spec struct {
	Path  string // inventory path such as "/DC0/vm/prod/web01"; folders are created
	Disks []Disk // one flat disk if empty
	Off   bool   // powered off
	// MACs has a network card for each.
	MACs []string
	EFI  bool
}

// Machine changes one VM from outside, as an administrator or another tool would.
type Machine struct {
	vcenter *VCenter
	ref     types.ManagedObjectReference
}

const firstDiskKey = 2000

// AddVM creates a VM.
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
	for i, mac := range spec.MACs {
		config.DeviceChange = append(config.DeviceChange, networkCard(i, mac))
	}
	if spec.EFI {
		config.Firmware = string(types.GuestOsDescriptorFirmwareTypeEfi)
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
		// The simulator leaves these false; they are true on a real host.
		vm.Capability.BootOptionsSupported = true
		vm.Capability.SnapshotOperationsSupported = true
		vm.Capability.ChangeTrackingSupported = true
	})
	m.SetTools(true)
	if !spec.Off {
		if err := m.PowerOn(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

const scsiKey = 1000

func networkCard(index int, mac string) types.BaseVirtualDeviceConfigSpec {
	return &types.VirtualDeviceConfigSpec{
		Operation: types.VirtualDeviceConfigSpecOperationAdd,
		Device: &types.VirtualVmxnet3{VirtualVmxnet: types.VirtualVmxnet{VirtualEthernetCard: types.VirtualEthernetCard{
			AddressType: string(types.VirtualEthernetCardMacTypeManual), MacAddress: mac,
			VirtualDevice: types.VirtualDevice{
				Key: -1 - int32(index), Backing: &types.VirtualEthernetCardNetworkBackingInfo{VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: "VM Network"}},
			},
		}}},
	}
}

// directory returns a datastore folder that no other VM uses.
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
		unit++ // 7 is reserved for the controller
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

// back sets the backing of a disk: the simulator creates flat disks only.
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

// Moid returns the managed object ID, such as "vm-42".
func (m *Machine) Moid() string { return m.ref.Value }

// Change changes the properties of the VM directly, without a task, and notifies property collectors.
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
