package vsphere

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// VM is what vCenter says of one VM, in one request.
type VM struct {
	// Moid is the managed object ID, "vm-42".
	Moid string
	Name string
	// Path is the inventory path, absolute, with names as vCenter escapes them.
	Path string
	// UUID is the BIOS UUID; InstanceUUID is the one that vCenter keeps unique.
	UUID         string
	InstanceUUID string
	// PowerState is poweredOn, poweredOff or suspended.
	PowerState string
	// HardwareVersion is the number in "vmx-19", 0 where it could not be read.
	HardwareVersion int
	Template        bool
	FaultTolerant   bool
	SnapshotLocked  bool
	// SharedBus lists the SCSI controllers whose bus other VMs share.
	SharedBus []string
	// ChangeTracking is config.changeTrackingEnabled: configured, not working.
	ChangeTracking          bool
	ChangeTrackingSupported bool
	// SnapshotsUnsupported is true only where the host has filled the VM's
	// capabilities in and says that snapshots are not among them.
	SnapshotsUnsupported bool
	ConsolidationNeeded  bool
	// Windows says that the guest is configured to be Windows.
	Windows bool
	// ToolsRunning says that VMware Tools run in the guest now.
	ToolsRunning bool
	// DisabledMethods are the operations that somebody has disabled on the VM.
	DisabledMethods []string
	Disks           []Disk
	// Snapshots has each snapshot before its children.
	Snapshots []Snapshot
}

// Disk is a virtual disk, of the VM or of one of its snapshots.
type Disk struct {
	// Key is the device key, unique in the VM: 2000, 2001, …
	Key   int32
	Label string
	// File is the datastore path of the disk, "" where it has none: the one below
	// the VM's snapshots, which these do not move. Of a snapshot it is Top.
	File string
	// Top is the file that is written now, another one while there are
	// snapshots.
	Top string
	// Capacity is in bytes.
	Capacity int64
	Backing  Backing
	// Mode is the disk mode of the API ("persistent",
	// "independent_persistent" …), "" where the backing has none.
	Mode string
	// PhysicalMode is true for a raw device mapping that passes SCSI through.
	PhysicalMode bool
	// MultiWriter is true where several VMs may write to the disk.
	MultiWriter bool
	// ChangeID is "<epoch>/<sequence>", "" where the disk is not tracked.
	ChangeID string
}

// String names a disk in a text for people.
func (d Disk) String() string { return fmt.Sprintf("%s (device key %d)", d.Label, d.Key) }

// Backing is the kind of a disk's backing.
type Backing string

// The kinds of backing; the last ones have no place for a change ID. Source:
// the doc comments of the vSphere API on VirtualDisk's backings.
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
	// Moid is the managed object ID, "snapshot-7": what a removal goes by,
	// since names are not unique.
	Moid        string
	Name        string
	Description string
	Created     time.Time
	// Depth is 1 for a snapshot without a parent.
	Depth int
}

// vmProperties are the properties that VM is made of, and no others. Flag and
// devices must come in one request.
var vmProperties = []string{
	"capability.bootOptionsSupported",
	"capability.changeTrackingSupported",
	"capability.snapshotOperationsSupported",
	"config.changeTrackingEnabled",
	"config.flags",
	"config.guestId",
	"config.hardware.device",
	"config.instanceUuid",
	"config.template",
	"config.uuid",
	"config.version",
	"disabledMethod",
	"guest.toolsRunningStatus",
	"parentVApp",
	"runtime.consolidationNeeded",
	"runtime.faultToleranceState",
	"runtime.powerState",
	"snapshot",
}

// newVM reads all of a VM but its path.
func newVM(from *mo.VirtualMachine) *VM {
	vm := &VM{
		Moid:                    from.Self.Value,
		Name:                    from.Name,
		PowerState:              string(from.Runtime.PowerState),
		FaultTolerant:           isFaultTolerant(from.Runtime.FaultToleranceState),
		ChangeTrackingSupported: from.Capability.ChangeTrackingSupported,
		SnapshotsUnsupported: !from.Capability.SnapshotOperationsSupported &&
			from.Capability.BootOptionsSupported, // true on every host that filled the capabilities in
		ConsolidationNeeded: from.Runtime.ConsolidationNeeded,
		DisabledMethods:     from.DisabledMethod,
	}
	if from.Snapshot != nil {
		vm.Snapshots = flatten(nil, from.Snapshot.RootSnapshotList, 1)
	}
	if config := from.Config; config != nil {
		vm.UUID = config.Uuid
		vm.InstanceUUID = config.InstanceUuid
		vm.Template = config.Template
		vm.Windows = strings.HasPrefix(strings.ToLower(config.GuestId), "win")
		vm.HardwareVersion = hardwareVersion(config.Version)
		vm.ChangeTracking = config.ChangeTrackingEnabled != nil && *config.ChangeTrackingEnabled
		vm.SnapshotLocked = config.Flags.SnapshotLocked != nil && *config.Flags.SnapshotLocked
		vm.Disks = newDisks(config.Hardware.Device, currentDepth(from.Snapshot, vm.Snapshots))
		vm.SharedBus = sharedBus(config.Hardware.Device)
	}
	if from.Guest != nil {
		vm.ToolsRunning = from.Guest.ToolsRunningStatus == string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	}
	return vm
}

// hardwareVersion is the number in "vmx-07".
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

// currentDepth is how deep the snapshot is that the VM runs on, 0 without one.
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
