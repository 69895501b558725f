package cbt

import "fmt"

// rule is a kind of finding.
type rule struct {
	severity          Severity
	code, title, cure string
}

func (r rule) found(problem string, args ...any) Finding {
	return Finding{Severity: r.severity, Code: r.code, Title: r.title, Problem: fmt.Sprintf(problem, args...), Cure: r.cure}
}

// What stands in the way of CBT. Each is a blocker too.
var (
	hostDisconnected     = rule{Error, "host_disconnected", "Host disconnected", "connect the host first"}
	notAccessible        = rule{Error, "not_accessible", "Not accessible in vCenter", "bring its host and its datastore back, or register it again"}
	template             = rule{Error, "template", "Template", "convert it to a virtual machine first"}
	hardwareVersion      = rule{Error, "hardware_version", "Virtual hardware too old", "upgrade the hardware (\"Upgrade VM Compatibility\") while it is powered off"}
	cbtUnsupported       = rule{Error, "cbt_unsupported", "Host without CBT", "move it to a host or to virtual hardware that supports it"}
	faultTolerance       = rule{Error, "fault_tolerance", "Fault Tolerance", "turn Fault Tolerance off for the migration"}
	snapshotsLocked      = rule{Error, "snapshots_locked", "Snapshots locked", "release the virtual machine in the product that locked them"}
	snapshotsUnsupported = rule{Error, "snapshots_unsupported", "Host without snapshots", "move it to a host that supports them"}
	sharedBus            = rule{Error, "shared_scsi_bus", "Shared SCSI bus", "set its bus sharing to none"}
	methodDisabled       = rule{Error, "method_disabled", "Operation disabled by another product", "let that product finish, or enable the operation again"}
	existingSnapshots    = rule{
		Error, "existing_snapshots", "Snapshots in the way of CBT",
		"remove the snapshots, or set allow_existing_snapshots of its vma_cbt if you know that they are harmless",
	}
	snapshotChain    = rule{Error, "snapshot_chain", "Snapshot chain too deep", "remove some snapshots"}
	noDisk           = rule{Error, "no_disk", "No disk", "add a disk, or leave it out of the migration"}
	noTrackableDisk  = rule{Error, "no_trackable_disk", "No disk that can be tracked", "change at least one of them to a kind that can be tracked"}
	missingPrivilege = rule{Error, "missing_privilege", "Missing vCenter privilege", "add the privilege to the account's role"}
)

// What prevents a copy.
var (
	physicalRDM      = rule{Error, "disk_physical_rdm", "Raw device in physical mode", "map the device in virtual mode while the virtual machine is powered off, or copy its content with another tool and detach it"}
	independentDisk  = rule{Error, "disk_independent", "Independent disk", "change its mode to dependent (\"persistent\") while the virtual machine is powered off"}
	multiWriter      = rule{Error, "disk_multi_writer", "Disk shared by several virtual machines", "end the sharing for the migration, or copy its content with another tool and detach it"}
	persistentMemory = rule{Error, "disk_persistent_memory", "Persistent memory disk", "move its content to a disk on a datastore"}
	oldDiskFormat    = rule{Error, "disk_old_format", "Disk in an old file format", "convert the disk, for example by a storage migration"}
	unknownBacking   = rule{Error, "disk_unknown_backing", "Unknown kind of disk", "move its content to a disk on a datastore"}
	encrypted        = rule{Error, "encrypted_unreadable", "Encrypted, and the account may not read it", missingPrivilege.cure}
	leftoverSnapshot = rule{Error, "leftover_snapshot", "Snapshot left by migratekit", "remove it, or set on_leftover_snapshot to \"remove\""}
)

// What does not prevent a copy.
var (
	hostDefect = rule{
		Warning, "host_cbt_defect", "ESXi with a published CBT defect",
		"patch the host or move the virtual machine to a newer one, reset CBT with reset_triggers of its vma_cbt, and copy it in full",
	}
	consolidation    = rule{Warning, "consolidation_needed", "Consolidation needed", "consolidate its disks in vCenter"}
	toolsNotRunning  = rule{Warning, "tools_not_running", "VMware Tools not running", "install or start VMware Tools, or shut down the guest by hand before the cutover"}
	suspended        = rule{Warning, "suspended", "Suspended", "power it on, or off, before the cutover"}
	seSparse         = rule{Warning, "disk_sesparse", "Disk that migratekit may not read", "move it to another datastore or format by a storage migration"}
	readPrivilege    = rule{Warning, "missing_read_privilege", "Increments cannot be read", missingPrivilege.cure}
	duplicateUUID    = rule{Warning, "duplicate_uuid", "BIOS UUID used twice", "select it by vm_path or vm_moid, or give one of them another UUID"}
	unusablePath     = rule{Warning, "unusable_path", "Path that cannot be written", "select it by vm_moid or vm_uuid"}
	virtualTPM       = rule{Warning, "vtpm", "Virtual TPM", "suspend disk encryption such as BitLocker in the guest before the cutover, and keep the recovery keys at hand"}
	secureBoot       = rule{Info, "secure_boot", "Secure Boot", "give the first volume the image property os_secure_boot if the server must have it"}
	encryptedSource  = rule{Info, "encrypted", "Encrypted", "choose an encrypted volume type if the copy must be encrypted"}
	otherSnapshots   = rule{Info, "snapshots", "Snapshots", "remove those that nobody needs, because they make the copy slower"}
	cbtDisabled      = rule{Info, "cbt_disabled", "CBT disabled", "do nothing, because vma_cbt or the replication enables it"}
	cbtUninitialized = rule{Info, "cbt_uninitialized", "CBT not initialized", "do nothing, because vma_cbt or the replication initializes it"}
)
