package vsphere

import (
	"regexp"
	"strings"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// Details are properties of a VM that only an assessment needs. They make answers larger, so other reads leave them out.
type Details struct {
	// GuestID and GuestName are the configured guest OS, such as "rhel9_64Guest" and "Red Hat Enterprise Linux 9 (64-bit)".
	GuestID, GuestName string
	SecureBoot         bool
	VTPM               bool
	// Host and Datastores are names; Host is "" if the account may not read it.
	Host       string
	Datastores []string
	// Used has the bytes that a disk takes on its datastores, snapshots included, by device key, and never more than its capacity. A disk whose
	// files vCenter does not list, and a raw device, is not in it.
	Used map[int32]int64
	// Configured is false if vCenter has no configuration of the VM.
	Configured bool
	// System is true for a VM that vSphere runs for itself: an agent of vSphere Cluster Services (vCLS).
	System bool
}

// detailProperties are the properties of a VM that newDetails needs besides vmProperties.
var detailProperties = []string{
	"config.bootOptions",
	"config.guestFullName",
	"config.guestId",
	"config.managedBy",
	"layoutEx.disk",
	"layoutEx.file",
}

// newDetails sets everything but the names of host and datastores.
func newDetails(from *mo.VirtualMachine, disks []Disk) *Details {
	d := &Details{System: agentName.MatchString(from.Name), Used: usedBytes(from.LayoutEx, disks)}
	config := from.Config
	if config == nil {
		return d
	}
	d.Configured = true
	d.GuestID, d.GuestName = config.GuestId, config.GuestFullName
	d.SecureBoot = config.BootOptions != nil && config.BootOptions.EfiSecureBootEnabled != nil && *config.BootOptions.EfiSecureBootEnabled
	for _, device := range config.Hardware.Device {
		if _, ok := device.(*types.VirtualTPM); ok {
			d.VTPM = true
		}
	}
	if by := config.ManagedBy; by != nil && by.ExtensionKey == agentManager && by.Type == "cluster-agent" {
		d.System = true
	}
	return d
}

// agentManager is the extension key of the ESX Agent Manager, which runs the vCLS agents of vSphere 7 and 8.
const agentManager = "com.vmware.vim.eam"

// agentName matches the names that vSphere gives to vCLS agents: "vCLS (1)" at first, "vCLS-<UUID>" since 7.0 Update 3.
var agentName = regexp.MustCompile(`^vCLS(-[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}| \(\d+\))$`)

// usedBytes adds up the files of each disk's chain.
func usedBytes(layout *types.VirtualMachineFileLayoutEx, disks []Disk) map[int32]int64 {
	used := map[int32]int64{}
	if layout == nil {
		return used
	}
	files := map[int32]types.VirtualMachineFileLayoutExFileInfo{}
	for _, file := range layout.File {
		files[file.Key] = file
	}
	for _, chain := range layout.Disk {
		for _, disk := range disks {
			if disk.Key != chain.Key || disk.Backing == BackingRDM || disk.Backing == BackingRawDiskVer2 {
				continue
			}
			if bytes, known := chainBytes(chain.Chain, files); known {
				used[disk.Key] = min(bytes, disk.Capacity)
			}
		}
	}
	return used
}

// chainBytes returns the size of a chain's extents. If a part of it has none, as on vSAN, its descriptor stands for the object that has the content. It is
// unknown if a file of the chain is not listed or not accessible.
func chainBytes(chain []types.VirtualMachineFileLayoutExDiskUnit, files map[int32]types.VirtualMachineFileLayoutExFileInfo) (bytes int64, known bool) {
	for _, unit := range chain {
		var extents, descriptor int64
		hasExtent, hasDescriptor := false, false
		for _, key := range unit.FileKey {
			file, ok := files[key]
			switch {
			case !ok || file.Size < 0 || (file.Accessible != nil && !*file.Accessible):
				return 0, false
			case strings.HasSuffix(file.Name, "-ctk.vmdk"):
			case file.Type == string(types.VirtualMachineFileLayoutExFileTypeDiskExtent):
				extents, hasExtent = extents+file.Size, true
			case file.Type == string(types.VirtualMachineFileLayoutExFileTypeDiskDescriptor):
				descriptor, hasDescriptor = file.Size, true
			}
		}
		switch {
		case hasExtent:
			bytes += extents
		case hasDescriptor:
			bytes += descriptor
		default:
			return 0, false
		}
	}
	return bytes, len(chain) > 0
}
