package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/process"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Findings are the results of a check that changes nothing.
type Findings struct {
	// Errors prevent the cycle.
	Errors   []error
	Warnings []Warning
	// Done is true if the cycle has happened already: a cutover whose end was not seen.
	Done bool
}

// Warning describes an effect of a cycle that the user may not expect.
type Warning struct {
	Subject         Subject
	Summary, Detail string
	// At is the attribute inside openstack, for SubjectTarget: names and indexes.
	At []any
}

// Subject is the part of the configuration that a finding is about.
type Subject int

// The subjects.
const (
	SubjectNone Subject = iota
	SubjectVM
	SubjectExports
	SubjectPlannedCycle
	SubjectCutover
	SubjectTarget
)

func (f *Findings) warn(subject Subject, summary, format string, args ...any) {
	f.Warnings = append(f.Warnings, Warning{Subject: subject, Summary: summary, Detail: fmt.Sprintf(format, args...)})
}

// AboutTarget returns the findings about what the target has.
func (f *Findings) AboutTarget() Findings {
	about := Findings{}
	for _, err := range f.Errors {
		if target, ok := errors.AsType[*TargetError](err); ok {
			about.Errors = append(about.Errors, target)
		}
	}
	for _, warning := range f.Warnings {
		if warning.Subject == SubjectTarget {
			about.Warnings = append(about.Warnings, warning)
		}
	}
	return about
}

func (f *Findings) add(other Findings) {
	f.Errors = append(f.Errors, other.Errors...)
	f.Warnings = append(f.Warnings, other.Warnings...)
	f.Done = f.Done || other.Done
}

// Preflight checks a cycle for a plan. Lost increments come from tracking, as planned_cycle does; all other findings come
// from status, the VM as it is now. It does not connect to NBD exports, which may not be up yet.
func (r *Runner) Preflight(ctx context.Context, cycle *Cycle, status *cbt.Status, tracking cbt.Tracking) Findings {
	place := r.machine.Place()
	place.Dial = nil
	cycle.unfinished = r.isUnfinished(ctx, status.VM.Identity())
	job := r.job(cycle, status)
	f := preflight(ctx, cycle, status, place, append(r.machine.Check(job), r.checkPrivileges(ctx, cycle, status)...))
	if tool, ok := errors.AsType[*process.MissingToolError](r.machine.CheckTools(ctx, job)); ok {
		f.warn(SubjectNone, "Missing nbdkit",
			"%s. migratekit reads the source's disks through nbdkit and its plugin vddk. Without them it fails after it created a snapshot. Install both, unless your migratekit includes them.", tool.Problem)
	}
	if f.Done {
		return f
	}
	f.checkLost(cycle, status.VM.Path, tracking)
	if cycle.AutoCBT {
		f.checkCBT(cycle, status, r.manager.Blockers(ctx, status, true))
	}
	f.Errors = append(f.Errors, r.checkSnapshot(ctx, status)...)
	return f
}

// shutDown is the privilege to shut down a guest.
const shutDown = "VirtualMachine.Interact.PowerOff"

// checkSnapshot reports what prevents migratekit's snapshot and does not prevent CBT, which may work already.
func (r *Runner) checkSnapshot(ctx context.Context, status *cbt.Status) []error {
	blockers := r.manager.CopyBlockers(ctx, status)
	if len(blockers) == 0 {
		return nil
	}
	for i, blocker := range blockers {
		blockers[i] = fmt.Sprintf("%s cannot be copied, because migratekit cannot take its snapshot: %s", status.VM.Path, blocker)
	}
	return []error{&ImpossibleError{Problems: blockers}}
}

// preflight has the checks that plan and apply share. lacks has what the machine lacks to run migratekit.
func preflight(
	ctx context.Context, cycle *Cycle, status *cbt.Status, place migratekit.Place, lacks []error,
) Findings {
	f := Findings{Errors: lacks}
	if blocker := status.ConnectionBlocker(); blocker != "" {
		f.Errors = append(f.Errors, &ImpossibleError{Problems: []string{fmt.Sprintf("%s cannot be copied: %s", status.VM.Path, blocker)}})
	}
	f.add(cycle.Target.Check(ctx, place.With(cycle.Environment), cycle.source(status)))
	if f.Done {
		return Findings{Done: true, Warnings: f.Warnings}
	}
	var sparse []string
	for _, key := range cycle.Target.Disks(status.Tracking()) {
		if disk := status.Disk(key); disk.Backing == vsphere.BackingSeSparse {
			sparse = append(sparse, disk.String())
		}
	}
	if len(sparse) > 0 {
		f.warn(SubjectVM, "Disks That migratekit May Not Read",
			"%q has disks in the format SeSparse. They can be tracked, but migratekit is known not to read them: %s. Move them to another datastore or format (storage vMotion) before the first cycle.",
			status.VM.Path, strings.Join(sparse, ", "))
	}
	f.checkGrown(cycle, status)
	if defect, ok := status.HostDefect(); ok {
		f.warn(SubjectVM, "Host With a CBT Defect", "Increments of %q can miss changes, because %s. The cure: %s.", status.VM.Path, defect.Problem, defect.Cure)
	}
	return f
}

// checkGrown reports disks that are larger than at their last copy.
func (f *Findings) checkGrown(cycle *Cycle, status *cbt.Status) {
	var grown []string
	for _, disk := range status.Disks {
		if before := cycle.Sizes[disk.Key]; before > 0 && disk.Capacity > before {
			grown = append(grown, fmt.Sprintf("%s from %d to %d bytes", disk, before, disk.Capacity))
		}
	}
	if len(grown) > 0 {
		f.warn(SubjectVM, "Disks Grew Since the Last Cycle",
			"Disks of %q are larger than at their last copy: %s. migratekit does not extend the copy: extend the volume or the export before this cycle, if it is still as small as the disk was.",
			status.VM.Path, strings.Join(grown, ", "))
	}
}

// checkPrivileges calls vCenter only for an encrypted VM, and before a guest is to be shut down.
func (r *Runner) checkPrivileges(ctx context.Context, cycle *Cycle, status *cbt.Status) []error {
	vm, consequences := status.VM, map[string]string{}
	if vm.Encrypted {
		consequences[cbt.ReadEncrypted] = "and it is encrypted, so migratekit cannot read its disks"
	}
	if cycle.Target.Final() && vm.PowerState == poweredOn {
		consequences[shutDown] = "so migratekit cannot shut it down"
	}
	if len(consequences) == 0 {
		return nil
	}
	missing, err := r.vcenter.MissingPrivileges(ctx, map[string][]string{vm.Moid: slices.Sorted(maps.Keys(consequences))})
	if err != nil {
		r.log.WarnContext(ctx, "Unable to check privileges", "vms", 1, "error", err.Error())
	}
	var errs []error
	for _, privilege := range missing[vm.Moid] {
		errs = append(errs, &ImpossibleError{Problems: []string{fmt.Sprintf(
			"the account has no privilege %s on %s, %s: add the privilege to the account's role", privilege, vm.Path, consequences[privilege])}})
	}
	return errs
}

// checkLost reports disks whose increments cannot continue.
func (f *Findings) checkLost(cycle *Cycle, path string, tracking cbt.Tracking) {
	planned := Plan(cycle, tracking)
	reset := describe(planned, tracking, func(p PlannedCopy) bool { return p.Lost })
	switch {
	case len(reset) == 0:
	case cycle.FailOnReset:
		f.Errors = append(f.Errors, &TrackingResetError{Path: path, Disks: reset})
	default:
		f.warn(SubjectPlannedCycle, "Full Copy Where Increments Were Running",
			"Change tracking of %q started anew since the last cycle, so this cycle copies these disks in full:\n  - %s\n\nTo fail instead of copying everything, set on_tracking_reset to \"fail\".",
			path, strings.Join(reset, "\n  - "))
	}
	gone := describe(planned, tracking, func(p PlannedCopy) bool { return p.TargetLost })
	switch {
	case len(gone) == 0:
	case cycle.FailOnTargetLost:
		f.Errors = append(f.Errors, &TargetLostError{Path: path, Disks: gone})
	case slices.ContainsFunc(slices.Collect(maps.Values(planned)), func(p PlannedCopy) bool { return p.TargetLost && p.Renamed }):
		f.warn(SubjectPlannedCycle, "Full Copy to New Volumes",
			"%q was renamed or registered again since its last cycle. migratekit finds its volumes by the name and the managed object ID of the virtual machine, so it copies everything to new volumes. Delete the old ones when you no longer need them.", path)
	default:
		f.warn(SubjectPlannedCycle, "Copies Lost in OpenStack",
			"OpenStack no longer has what earlier cycles of %q copied, so this cycle copies these disks in full:\n  - %s\n\nTo fail instead of copying everything, set on_target_lost to \"fail\".",
			path, strings.Join(gone, "\n  - "))
	}
}

// checkCBT reports why CBT cannot be enabled. Existing snapshots are only a warning, because a vma_cbt that is applied before may
// allow them.
func (f *Findings) checkCBT(cycle *Cycle, status *cbt.Status, blockers []string) {
	if len(blockers) > 0 {
		f.Errors = append(f.Errors, &GateError{
			Name: status.VM.Name, Path: status.VM.Path, Err: &cbt.BlockedError{VM: status.VM.Path, Reasons: blockers},
		})
		return
	}
	if reasons := withoutLeftovers(cycle, status).Blockers(false); len(reasons) > 0 {
		f.warn(SubjectVM, "Snapshots in the Way of Change Tracking",
			"CBT of %q must not be enabled while the virtual machine has a snapshot. Remove the snapshot before the apply, or allow it with allow_existing_snapshots of a vma_cbt in the same apply. Otherwise the apply fails: %s.",
			status.VM.Path, strings.Join(reasons, "; "))
	}
}
