package cbt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// ReadEncrypted is the privilege that reading the disks of an encrypted VM through its host (NFC) needs.
const ReadEncrypted = "Cryptographer.Access"

// readDisks is the privilege to query changed blocks and to read disks.
const readDisks = "VirtualMachine.Provisioning.DiskRandomRead"

// Assessment is one VM with its findings.
type Assessment struct {
	*Status
	// Findings are sorted by severity, worst first.
	Findings []Finding
}

// Ready reports whether CBT would work and every disk can be copied.
func (a Assessment) Ready() bool {
	return !slices.ContainsFunc(a.Findings, func(f Finding) bool { return f.Severity == Error })
}

// Assessed are the assessments of a folder's VMs, sorted by path.
type Assessed struct {
	VMs []Assessment
	// LeftOut is the number of VMs that vSphere runs for itself, or that are still being created.
	LeftOut int
	// Unreadable has an error for each other VM that could not be read at all.
	Unreadable []error
	// Unchecked is why privileges could not be checked; nil if they were.
	Unchecked error
}

// AssessOptions are the options of Assess.
type AssessOptions struct {
	// Match selects VMs.
	Match func(*vsphere.VM) bool
	// RemovesLeftovers is true if replications remove a snapshot that migratekit left.
	RemovesLeftovers bool
}

// Assess reads the VMs below a folder and applies all rules to them. It checks privileges with one more call. Errors: those of vsphere.Client.FolderVMs,
// and that of the context.
func (m *Manager) Assess(ctx context.Context, folder string, options AssessOptions) (Assessed, error) {
	vms, unreadable, err := m.vcenter.FolderVMs(ctx, folder, true)
	if err != nil {
		return Assessed{}, err
	}
	var result Assessed
	for _, err := range unreadable {
		inaccessible, ok := errors.AsType[*vsphere.InaccessibleError](err)
		if !ok || inaccessible.VM == nil || inaccessible.VM.Path == "" {
			result.Unreadable = append(result.Unreadable, err)
			continue
		}
		vms = append(vms, inaccessible.VM)
	}
	var statuses []*Status
	for _, vm := range vms {
		switch status := NewStatus(vm); {
		case !options.Match(vm):
		case vm.Details.System || (vm.Identity() == "" && status.ConnectionBlocker() == ""):
			result.LeftOut++
		default:
			statuses = append(statuses, status)
		}
	}
	slices.SortStableFunc(statuses, func(a, b *Status) int { return cmp.Compare(a.VM.Path, b.VM.Path) })
	result.VMs, result.Unchecked = m.assess(ctx, statuses, options)
	return result, ctx.Err()
}

func (m *Manager) assess(ctx context.Context, statuses []*Status, options AssessOptions) ([]Assessment, error) {
	needs, sameUUID := map[string]requirement{}, map[string]int{}
	for _, s := range statuses {
		sameUUID[s.VM.UUID]++
		need := requirement{blockers: s.Findings()}
		if s.VM.Identity() != "" {
			need.privileges = append(privileges(append(s.steps(), createSnapshot, removeSnapshot)), readDisks)
			slices.Sort(need.privileges)
			need.privileges = slices.Compact(need.privileges)
		}
		if s.VM.Encrypted {
			need.privileges = append(need.privileges, ReadEncrypted)
		}
		needs[s.VM.Moid] = need
	}
	found, unchecked := m.unmetRequirements(ctx, needs)
	var all []Assessment
	for _, s := range statuses {
		findings := found[s.VM.Moid]
		for i, f := range findings {
			if f.Code == leftoverSnapshot.code && options.RemovesLeftovers {
				findings[i].Severity = Warning
			}
		}
		if n := sameUUID[s.VM.UUID]; n > 1 && s.VM.UUID != "" {
			findings = append(findings, duplicateUUID.found("%d virtual machines of this assessment have its BIOS UUID %s", n, s.VM.UUID))
		}
		slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
		all = append(all, Assessment{Status: s, Findings: findings})
	}
	return all, unchecked
}

// Findings returns all findings but those about privileges and other VMs.
func (s *Status) Findings() []Finding {
	if s.VM.Identity() == "" { // vCenter has no configuration to look at
		return s.connectionBlockers()
	}
	findings := s.blockers(false)
	if s.Tracked() && !s.leftover() {
		findings = append(findings, s.connectionBlockers()...)
	}
	findings = append(findings, without(s.copyBlockers(), findings)...)
	return slices.Concat(findings, s.diskFindings(), s.sourceFindings(), s.guestFindings())
}

func (s *Status) diskFindings() []Finding {
	var findings []Finding
	for _, disk := range s.Disks {
		if f, ok := untrackable(disk.Disk); ok {
			f.Problem = fmt.Sprintf("%s cannot be copied: %s", disk, f.Problem)
			findings = append(findings, f)
		}
		if disk.Backing == vsphere.BackingSeSparse {
			findings = append(findings, seSparse.found("%s has the format SeSparse, which migratekit is known not to read", disk))
		}
	}
	return findings
}

// sourceFindings are about CBT, the host and the snapshots.
func (s *Status) sourceFindings() []Finding {
	var findings []Finding
	if f, ok := s.HostDefect(); ok {
		findings = append(findings, f)
	}
	if s.VM.ConsolidationNeeded {
		findings = append(findings, consolidation.found("its disks need consolidation: a snapshot was removed, but its changes were not merged"))
	}
	if !writable(s.VM.Path) {
		findings = append(findings, unusablePath.found("its path has characters that a configuration cannot have"))
	}
	names, _ := s.otherSnapshots()
	switch {
	case slices.ContainsFunc(s.VM.Snapshots, IsLeftover):
		findings = append(findings, leftoverSnapshot.found("it has a snapshot named %q, which a run of migratekit left or still uses", MigratekitSnapshot))
	case len(names) > 0 && s.Tracked():
		findings = append(findings, otherSnapshots.found("it has %s", counted(names, "snapshot")))
	}
	var uninitialized []string
	for _, disk := range s.Uninitialized() {
		uninitialized = append(uninitialized, disk.String())
	}
	switch {
	case s.VM.Template || len(uninitialized) == 0:
	case !s.Enabled():
		findings = append(findings, cbtDisabled.found("CBT is disabled"))
	default:
		findings = append(findings, cbtUninitialized.found("CBT is enabled, but a disk has no change ID yet (%s)", strings.Join(uninitialized, ", ")))
	}
	return findings
}

// writable reports whether a path can be written in a configuration: Terraform composes characters, and the provider refuses control characters.
func writable(path string) bool {
	return norm.NFC.IsNormalString(path) && !strings.ContainsFunc(path, unicode.IsControl)
}

// guestFindings are about what a cutover does with the guest.
func (s *Status) guestFindings() []Finding {
	var findings []Finding
	vm := s.VM
	switch {
	case vm.PowerState == poweredOn && !vm.ToolsRunning:
		findings = append(findings, toolsNotRunning.found("VMware Tools do not run in it, so a cutover cannot shut down its guest"))
	case vm.PowerState != poweredOn && vm.PowerState != poweredOff:
		findings = append(findings, suspended.found("it is %s, and a cutover can shut down only a guest that runs", vm.PowerState))
	}
	if vm.Details != nil && vm.Details.VTPM {
		findings = append(findings, virtualTPM.found("it has a virtual TPM, whose content is not copied"))
	}
	if vm.Details != nil && vm.Details.SecureBoot {
		findings = append(findings, secureBoot.found("it boots with Secure Boot, and the new server boots without it"))
	}
	if vm.Encrypted {
		findings = append(findings, encryptedSource.found("it is encrypted, and its copy will not be"))
	}
	return findings
}

// MigratekitSnapshot is the name of migratekit's own snapshot.
const MigratekitSnapshot = "migratekit"

// IsLeftover reports whether a snapshot is migratekit's: before a run, one that an earlier run left.
func IsLeftover(s vsphere.Snapshot) bool { return s.Name == MigratekitSnapshot }
