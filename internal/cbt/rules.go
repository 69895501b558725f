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

// untrackable returns why this kind of disk cannot be tracked; ok is false if it can.
func untrackable(disk vsphere.Disk) (finding Finding, ok bool) {
	switch {
	case disk.PhysicalMode:
		return physicalRDM.found("a raw device mapping in physical mode cannot be tracked"), true
	case strings.HasPrefix(disk.Mode, "independent_"):
		return independentDisk.found("an independent disk (%s) is left out of snapshots and cannot be tracked", disk.Mode), true
	case disk.MultiWriter:
		return multiWriter.found("a disk shared with other virtual machines (multi-writer) cannot be tracked"), true
	}
	switch disk.Backing {
	case vsphere.BackingFlatVer2, vsphere.BackingSparseVer2, vsphere.BackingSeSparse,
		vsphere.BackingRDM, vsphere.BackingRawDiskVer2:
		return Finding{}, false
	case vsphere.BackingLocalPMem:
		return persistentMemory.found("a persistent memory disk cannot be tracked"), true
	case vsphere.BackingVer1:
		return oldDiskFormat.found("a disk of an old file format (version 1) cannot be tracked"), true
	case vsphere.BackingUnknown:
	}
	return unknownBacking.found("this kind of disk backing cannot be tracked"), true
}

// Blockers returns every reason why CBT cannot be made to work on the VM, each with its fix. If CBT works already,
// only the removal of a leftover snapshot can be blocked.
func (s *Status) Blockers(allowExistingSnapshots bool) []string {
	return texts(s.blockers(allowExistingSnapshots))
}

func (s *Status) blockers(allowExistingSnapshots bool) []Finding {
	if s.Tracked() {
		return s.removalBlockers()
	}
	existing := existingSnapshots
	if allowExistingSnapshots {
		existing = rule{}
	}
	return slices.Concat(s.machineBlockers(s.steps()), s.snapshotBlockers(existing), s.diskBlockers())
}

func (s *Status) removalBlockers() []Finding {
	if !s.leftover() {
		return nil
	}
	return slices.Concat(s.connectionBlockers(), s.lockedBlockers(s.steps()), s.disabledBlockers(s.steps()))
}

// resetBlockers never allows other tools' snapshots.
func (s *Status) resetBlockers() []Finding {
	existing := existingSnapshots
	existing.cure = "remove the snapshots first"
	return slices.Concat(s.machineBlockers(s.resetSteps()), s.snapshotBlockers(existing), s.diskBlockers())
}

// ConnectionBlocker returns why nothing can be done with the VM while its host is not connected, or "".
func (s *Status) ConnectionBlocker() string { return strings.Join(texts(s.connectionBlockers()), "") }

func (s *Status) connectionBlockers() []Finding {
	switch state := s.VM.ConnectionState; state {
	case "", "connected":
		return nil
	case "disconnected":
		return []Finding{hostDisconnected.found("its host is disconnected from vCenter")}
	default:
		return []Finding{notAccessible.found("it is %s in vCenter", state)}
	}
}

func (s *Status) machineBlockers(steps []step) []Finding {
	vm := s.VM
	blockers := append(s.connectionBlockers(), s.templateBlockers()...)
	if oldHardware(vm.HardwareVersion) {
		blockers = append(blockers, hardwareVersion.found("its virtual hardware is version %d, and change tracking needs %d or newer", vm.HardwareVersion, minHardware))
	} else if !vm.ChangeTrackingSupported {
		blockers = append(blockers, cbtUnsupported.found("its host does not support change tracking (capability.changeTrackingSupported is false)"))
	}
	return append(blockers, s.stepBlockers(steps)...)
}

func (s *Status) templateBlockers() []Finding {
	if !s.VM.Template {
		return nil
	}
	return []Finding{template.found("it is a template")}
}

// stepBlockers returns what prevents the steps, most of them snapshots.
func (s *Status) stepBlockers(steps []step) []Finding {
	var blockers []Finding
	vm := s.VM
	if vm.FaultTolerant {
		blockers = append(blockers, faultTolerance.found("it is protected by Fault Tolerance, which does not allow snapshots"))
	}
	blockers = append(blockers, s.lockedBlockers(steps)...)
	if vm.SnapshotsUnsupported {
		blockers = append(blockers, snapshotsUnsupported.found("its host does not support snapshots (capability.snapshotOperationsSupported is false)"))
	}
	for _, controller := range vm.SharedBus {
		blockers = append(blockers, sharedBus.found("%s shares its SCSI bus with other virtual machines, which does not allow snapshots", controller))
	}
	return append(blockers, s.disabledBlockers(steps)...)
}

func (s *Status) lockedBlockers(steps []step) []Finding {
	if !s.VM.SnapshotLocked || !takesSnapshot(steps) {
		return nil
	}
	return []Finding{snapshotsLocked.found("its snapshots are locked (config.flags.snapshotLocked)")}
}

// disabledBlockers returns the disabled methods that the steps need. Only a fault names who disabled them.
func (s *Status) disabledBlockers(steps []step) []Finding {
	var blockers []Finding
	for _, method := range s.VM.DisabledMethods {
		if slices.ContainsFunc(steps, func(s step) bool { return s.method == method }) {
			blockers = append(blockers, methodDisabled.found("the operation %s is disabled on it, as backup products do while they hold a virtual machine", method))
		}
	}
	return blockers
}

// snapshotBlockers reports other tools' snapshots: VMware does not support enabling CBT while they exist, and increments
// can then be silently wrong. If existing is empty, they are allowed.
func (s *Status) snapshotBlockers(existing rule) []Finding {
	var blockers []Finding
	names, deepest := s.otherSnapshots()
	if len(names) > 0 && existing.code != "" {
		blockers = append(blockers, existing.found("it has %s, and CBT that is enabled while snapshots exist can miss changes", counted(names, "snapshot")))
	}
	return append(blockers, chainBlockers(deepest)...)
}

func chainBlockers(deepest int) []Finding {
	if deepest < maxDepth {
		return nil
	}
	return []Finding{snapshotChain.found("its snapshot chain is %d deep, the vSphere maximum", deepest)}
}

// copyBlockers returns what prevents the snapshot that each copy takes, also where CBT works already.
func (s *Status) copyBlockers() []Finding {
	_, deepest := s.otherSnapshots()
	return slices.Concat(s.templateBlockers(), s.stepBlockers([]step{createSnapshot, removeSnapshot}), chainBlockers(deepest))
}

// without returns the findings that others does not have.
func without(findings, others []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return slices.Contains(others, f) })
}

// otherSnapshots describes the snapshots that are not ours, and returns the depth of the deepest.
func (s *Status) otherSnapshots() (names []string, deepest int) {
	for _, snapshot := range s.VM.Snapshots {
		if isOurs(snapshot) {
			continue
		}
		deepest = max(deepest, snapshot.Depth)
		names = append(names, fmt.Sprintf("%q of %s", snapshot.Name, snapshot.Created.UTC().Format(time.RFC3339)))
	}
	return names, deepest
}

func (s *Status) diskBlockers() []Finding {
	if len(s.Disks) == 0 {
		return []Finding{noDisk.found("it has no disk")}
	}
	if len(s.trackable()) > 0 {
		return nil
	}
	var each []string
	for _, d := range s.Disks {
		each = append(each, fmt.Sprintf("%s (%s)", d.Label, d.Reason))
	}
	return []Finding{noTrackableDisk.found("none of its disks can be tracked: %s", strings.Join(each, ", "))}
}

// maxListed bounds how many snapshots a text lists.
const maxListed = 2

func counted(items []string, noun string) string {
	if len(items) > 1 {
		noun += "s"
	}
	listed := strings.Join(items[:min(len(items), maxListed)], ", ")
	if more := len(items) - maxListed; more > 0 {
		listed += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%d %s (%s)", len(items), noun, listed)
}
