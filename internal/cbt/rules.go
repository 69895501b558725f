package cbt

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

const (
	minHardware = 7  // oldest virtual hardware version with CBT
	maxDepth    = 32 // longest snapshot chain in vSphere
)

// oldHardware is false if the version could not be read (0): vCenter decides.
func oldHardware(version int) bool { return version > 0 && version < minHardware }

// untrackable returns why this kind of disk cannot be tracked, or "" if it can.
func untrackable(disk vsphere.Disk) string {
	switch {
	case disk.PhysicalMode:
		return "a raw device mapping in physical mode cannot be tracked"
	case strings.HasPrefix(disk.Mode, "independent_"):
		return fmt.Sprintf("an independent disk (%s) is left out of snapshots and cannot be tracked", disk.Mode)
	case disk.MultiWriter:
		return "a disk shared with other virtual machines (multi-writer) cannot be tracked"
	}
	switch disk.Backing {
	case vsphere.BackingFlatVer2, vsphere.BackingSparseVer2, vsphere.BackingSeSparse,
		vsphere.BackingRDM, vsphere.BackingRawDiskVer2:
		return ""
	case vsphere.BackingLocalPMem:
		return "a persistent memory disk cannot be tracked"
	case vsphere.BackingVer1:
		return "a disk of an old file format (version 1) cannot be tracked"
	case vsphere.BackingUnknown:
	}
	return "this kind of disk backing cannot be tracked"
}

// Blockers returns every reason why CBT cannot be made to work on the VM, each with its fix. If CBT works already,
// only the removal of a leftover snapshot can be blocked.
func (s *Status) Blockers(allowExistingSnapshots bool) []string {
	if s.Tracked() {
		return s.removalBlockers()
	}
	existing := "remove the snapshots, or set allow_existing_snapshots of its vma_cbt if you know that they are harmless"
	if allowExistingSnapshots {
		existing = ""
	}
	return slices.Concat(s.machineBlockers(s.steps()), s.snapshotBlockers(existing), s.diskBlockers())
}

func (s *Status) removalBlockers() []string {
	if !s.leftover() {
		return nil
	}
	var blockers []string
	if blocker := s.ConnectionBlocker(); blocker != "" {
		blockers = append(blockers, blocker)
	}
	return slices.Concat(blockers, s.lockedBlockers(s.steps()), s.disabledBlockers(s.steps()))
}

// resetBlockers never allows other tools' snapshots.
func (s *Status) resetBlockers() []string {
	return slices.Concat(s.machineBlockers(s.resetSteps()), s.snapshotBlockers("remove the snapshots first"), s.diskBlockers())
}

// ConnectionBlocker returns why nothing can be done with the VM while its host is not connected, or "".
func (s *Status) ConnectionBlocker() string {
	switch state := s.VM.ConnectionState; state {
	case "", "connected":
		return ""
	case "disconnected":
		return "its host is disconnected from vCenter: connect the host first"
	default:
		return fmt.Sprintf("it is %s in vCenter: bring its host and its datastore back, or register it again", state)
	}
}

func (s *Status) machineBlockers(steps []step) []string {
	vm := s.VM
	var blockers []string
	add := func(format string, args ...any) { blockers = append(blockers, fmt.Sprintf(format, args...)) }
	if blocker := s.ConnectionBlocker(); blocker != "" {
		blockers = append(blockers, blocker)
	}
	if vm.Template {
		add("it is a template: convert it to a virtual machine first")
	}
	if oldHardware(vm.HardwareVersion) {
		add("its virtual hardware is version %d, and change tracking needs %d or newer: "+
			"upgrade the hardware (\"Upgrade VM Compatibility\") while it is powered off", vm.HardwareVersion, minHardware)
	} else if !vm.ChangeTrackingSupported {
		add("its host does not support change tracking (capability.changeTrackingSupported is false): " +
			"move it to a host or to virtual hardware that does")
	}
	if vm.FaultTolerant {
		add("it is protected by Fault Tolerance, which does not allow snapshots: turn Fault Tolerance off for the migration")
	}
	blockers = append(blockers, s.lockedBlockers(steps)...)
	if vm.SnapshotsUnsupported {
		add("its host does not support snapshots (capability.snapshotOperationsSupported is false)")
	}
	for _, controller := range vm.SharedBus {
		add("%s shares its SCSI bus with other virtual machines, which does not allow snapshots: set its bus sharing to none", controller)
	}
	return append(blockers, s.disabledBlockers(steps)...)
}

func (s *Status) lockedBlockers(steps []step) []string {
	if !s.VM.SnapshotLocked || !takesSnapshot(steps) {
		return nil
	}
	return []string{"its snapshots are locked (config.flags.snapshotLocked): release the virtual machine in the product that locked them"}
}

// disabledBlockers returns the disabled methods that the steps need. Only a fault names who disabled them.
func (s *Status) disabledBlockers(steps []step) []string {
	var blockers []string
	for _, method := range s.VM.DisabledMethods {
		if slices.ContainsFunc(steps, func(s step) bool { return s.method == method }) {
			blockers = append(blockers, fmt.Sprintf("the operation %s is disabled on it, as backup products do while they hold a virtual machine: "+
				"let that product finish, or enable the operation again", method))
		}
	}
	return blockers
}

// snapshotBlockers reports other tools' snapshots: VMware does not support enabling CBT while they exist, and increments
// can then be silently wrong. cure says what to do about them; if it is empty, they are allowed.
func (s *Status) snapshotBlockers(cure string) []string {
	var blockers, existing []string
	deepest := 0
	for _, snapshot := range s.VM.Snapshots {
		if isOurs(snapshot) {
			continue
		}
		deepest = max(deepest, snapshot.Depth)
		existing = append(existing, fmt.Sprintf("%q of %s", snapshot.Name, snapshot.Created.UTC().Format(time.RFC3339)))
	}
	if len(existing) > 0 && cure != "" {
		blockers = append(blockers, fmt.Sprintf("it has %s, and CBT that is enabled while snapshots exist can miss changes: %s",
			counted(existing, "snapshot"), cure))
	}
	if deepest >= maxDepth {
		blockers = append(blockers, fmt.Sprintf("its snapshot chain is %d deep, the vSphere maximum: remove some snapshots", deepest))
	}
	return blockers
}

func (s *Status) diskBlockers() []string {
	if len(s.Disks) == 0 {
		return []string{"it has no disk"}
	}
	if len(s.trackable()) > 0 {
		return nil
	}
	var each []string
	for _, d := range s.Disks {
		each = append(each, fmt.Sprintf("%s (%s)", d.Label, d.Reason))
	}
	return []string{"none of its disks can be tracked: " + strings.Join(each, ", ")}
}

func counted(items []string, noun string) string {
	if len(items) > 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s (%s)", len(items), noun, strings.Join(items, ", "))
}
