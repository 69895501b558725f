package vsphere

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// VM is the state of one VM, from one request.
type VM struct {
	// Moid is the managed object ID, such as "vm-42".
	Moid string
	Name string
	// Path is the absolute inventory path, with names escaped as in vCenter.
	Path string
	// UUID is the BIOS UUID; InstanceUUID is unique in a vCenter.
	UUID         string
	InstanceUUID string
	// PowerState is poweredOn, poweredOff or suspended.
	PowerState string
	// ConnectionState is connected, disconnected, orphaned, inaccessible or invalid.
	ConnectionState string
	// Host and Datastores are managed object IDs.
	Host       string
	Datastores []string
	// HostProduct is the ESXi of the host, empty if the account may not read it.
	HostProduct Product
	// HardwareVersion is the number in "vmx-19", 0 if it could not be read.
	HardwareVersion int
	Template        bool
	FaultTolerant   bool
	SnapshotLocked  bool
	// SharedBus lists the SCSI controllers whose bus is shared with other VMs.
	SharedBus []string
	// ChangeTracking is config.changeTrackingEnabled: CBT is configured, but may not work yet.
	ChangeTracking          bool
	ChangeTrackingSupported bool
	// SnapshotsUnsupported is true only if the host filled in the VM's capabilities and they exclude snapshots.
	SnapshotsUnsupported bool
	ConsolidationNeeded  bool
	// Encrypted is true if the VM's home is encrypted, as it is with encrypted disks or a virtual TPM.
	Encrypted bool
	// EFI is true if the VM boots with EFI.
	EFI bool
	// ToolsRunning is true if VMware Tools is running in the guest.
	ToolsRunning bool
	// CPUs is the number of virtual CPUs, MemoryMB their memory in MiB.
	CPUs, MemoryMB int32
	Cards          []NetworkCard
	// DisabledMethods lists the API methods that are disabled on the VM.
	DisabledMethods []string
	Disks           []Disk
	// Snapshots lists each snapshot before its children.
	Snapshots []Snapshot
	// Details is nil unless they were asked for.
	Details *Details
}

// Product is a version of ESXi. Source: config.product of the HostSystem.
type Product struct {
	// Version is a text such as "6.0.0", Build a number.
	Version, Build string
}

// Disk is a virtual disk of a VM or of a snapshot.
type Disk struct {
	// Key is the device key, unique in the VM: 2000, 2001, …
	Key   int32
	Label string
	// File is the datastore path of the base file, "" if there is none. Snapshots do not change it. For a disk of a
	// snapshot it equals Top.
	File string
	// Top is the file that is written now. It differs from File while there are snapshots.
	Top string
	// Capacity is in bytes.
	Capacity int64
	Backing  Backing
	// Mode is the API's disk mode ("persistent", "independent_persistent" …), "" if the backing has none.
	Mode string
	// PhysicalMode is true for a raw device mapping that passes SCSI commands through.
	PhysicalMode bool
	// MultiWriter is true if several VMs may write to the disk.
	MultiWriter bool
	// ChangeID is "<epoch>/<sequence>", "" if CBT does not work on the disk.
	ChangeID string
}

// NetworkCard is a virtual network card.
type NetworkCard struct {
	// Key is the device key: 4000, 4001, …
	Key   int32
	Label string
	// MAC is in lower case.
	MAC string
	// Connected is true if the card is connected, or will be when the VM starts.
	Connected bool
	// Network is the name of its network, "" without Details or if the account may not read it.
	Network string
	// network is what the backing says of it: a name, or the ID of a distributed port group or of an opaque network.
	network string
	// named is true if that is a name.
	named bool
}

func (d Disk) String() string { return fmt.Sprintf("%s (device key %d)", d.Label, d.Key) }

// Backing is the type of a disk's backing.
type Backing string

// The backing types. LocalPMem and Ver1 have no change ID. Source: the vSphere API's doc comments on VirtualDisk.
const (
	BackingFlatVer2    Backing = "FlatVer2"
	BackingSparseVer2  Backing = "SparseVer2"
	BackingSeSparse    Backing = "SeSparse"
	BackingRDM         Backing = "RawDiskMappingVer1"
	BackingRawDiskVer2 Backing = "RawDiskVer2"
	BackingLocalPMem   Backing = "LocalPMem"
	BackingVer1        Backing = "Ver1"
	BackingUnknown     Backing = "unknown"
)

// Snapshot is one snapshot of a VM.
type Snapshot struct {
	// Moid is the managed object ID, such as "snapshot-7". Remove a snapshot by it: names are not unique.
	Moid        string
	Name        string
	Description string
	Created     time.Time
	// Depth is 1 for a snapshot without a parent.
	Depth int
}

// vmProperties are the properties that newVM needs. The CBT flag and the devices must come from one request.
var vmProperties = []string{
	"capability.bootOptionsSupported",
	"capability.changeTrackingSupported",
	"capability.snapshotOperationsSupported",
	"config.changeTrackingEnabled",
	"config.firmware",
	"config.flags",
	"config.hardware.device",
	"config.hardware.memoryMB",
	"config.hardware.numCPU",
	"config.instanceUuid",
	"config.keyId",
	"config.template",
	"config.uuid",
	"config.version",
	"datastore",
	"disabledMethod",
	"guest.toolsRunningStatus",
	"parentVApp",
	"runtime.connectionState",
	"runtime.consolidationNeeded",
	"runtime.faultToleranceState",
	"runtime.host",
	"runtime.powerState",
	"snapshot",
}

// newVM sets everything except Path.
func newVM(from *mo.VirtualMachine) *VM {
	vm := &VM{
		Moid:                    from.Self.Value,
		Name:                    from.Name,
		PowerState:              string(from.Runtime.PowerState),
		ConnectionState:         string(from.Runtime.ConnectionState),
		FaultTolerant:           isFaultTolerant(from.Runtime.FaultToleranceState),
		ChangeTrackingSupported: from.Capability.ChangeTrackingSupported,
		SnapshotsUnsupported: !from.Capability.SnapshotOperationsSupported &&
			from.Capability.BootOptionsSupported, // true on every host that filled in the capabilities
		ConsolidationNeeded: from.Runtime.ConsolidationNeeded,
		DisabledMethods:     from.DisabledMethod,
	}
	if from.Runtime.Host != nil {
		vm.Host = from.Runtime.Host.Value
	}
	for _, datastore := range from.Datastore {
		vm.Datastores = append(vm.Datastores, datastore.Value)
	}
	slices.Sort(vm.Datastores)
	if from.Snapshot != nil {
		vm.Snapshots = flatten(nil, from.Snapshot.RootSnapshotList, 1)
	}
	if config := from.Config; config != nil {
		vm.UUID = config.Uuid
		vm.InstanceUUID = config.InstanceUuid
		vm.Template = config.Template
		vm.Encrypted = config.KeyId != nil
		vm.EFI = config.Firmware == string(types.GuestOsDescriptorFirmwareTypeEfi)
		vm.HardwareVersion = hardwareVersion(config.Version)
		vm.ChangeTracking = config.ChangeTrackingEnabled != nil && *config.ChangeTrackingEnabled
		vm.SnapshotLocked = config.Flags.SnapshotLocked != nil && *config.Flags.SnapshotLocked
		vm.Disks = newDisks(config.Hardware.Device, currentDepth(from.Snapshot, vm.Snapshots))
		vm.SharedBus = sharedBus(config.Hardware.Device)
		vm.CPUs, vm.MemoryMB = config.Hardware.NumCPU, config.Hardware.MemoryMB
		vm.Cards = networkCards(config.Hardware.Device)
	}
	if from.Guest != nil {
		vm.ToolsRunning = from.Guest.ToolsRunningStatus == string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	}
	return vm
}

func hardwareVersion(version string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(version, "vmx-"))
	if err != nil {
		return 0
	}
	return n
}

func isFaultTolerant(state types.VirtualMachineFaultToleranceState) bool {
	return state != "" && state != types.VirtualMachineFaultToleranceStateNotConfigured
}

func sharedBus(devices []types.BaseVirtualDevice) []string {
	var labels []string
	for _, device := range devices {
		controller, ok := device.(types.BaseVirtualSCSIController)
		if !ok {
			continue
		}
		sharing := controller.GetVirtualSCSIController().SharedBus
		if sharing != "" && sharing != types.VirtualSCSISharingNoSharing {
			labels = append(labels, label(device.GetVirtualDevice()))
		}
	}
	return labels
}

func networkCards(devices []types.BaseVirtualDevice) []NetworkCard {
	var cards []NetworkCard
	for _, device := range devices {
		card, ok := device.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		from := card.GetVirtualEthernetCard()
		_, named := from.Backing.(*types.VirtualEthernetCardNetworkBackingInfo)
		cards = append(cards, NetworkCard{
			named: named,
			Key:   from.Key, Label: label(&from.VirtualDevice), MAC: strings.ToLower(from.MacAddress),
			Connected: from.Connectable != nil && (from.Connectable.Connected || from.Connectable.StartConnected),
			network:   networkOf(from.Backing),
		})
	}
	return cards
}

func networkOf(backing types.BaseVirtualDeviceBackingInfo) string {
	switch b := backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		return b.DeviceName
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		return b.Port.PortgroupKey
	case *types.VirtualEthernetCardOpaqueNetworkBackingInfo:
		return b.OpaqueNetworkId
	}
	return ""
}

// currentDepth returns the depth of the VM's current snapshot, 0 without one.
func currentDepth(info *types.VirtualMachineSnapshotInfo, snapshots []Snapshot) int {
	if info == nil || info.CurrentSnapshot == nil {
		return 0
	}
	for _, s := range snapshots {
		if s.Moid == info.CurrentSnapshot.Value {
			return s.Depth
		}
	}
	return 0
}

func flatten(list []Snapshot, tree []types.VirtualMachineSnapshotTree, depth int) []Snapshot {
	for _, node := range tree {
		list = append(list, Snapshot{
			Moid: node.Snapshot.Value, Name: node.Name, Description: node.Description,
			Created: node.CreateTime, Depth: depth,
		})
		list = flatten(list, node.ChildSnapshotList, depth+1)
	}
	return list
}
