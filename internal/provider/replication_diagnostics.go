package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/process"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// cycleDiagnostics converts the error of a cycle: a PreflightError into one diagnostic for each of its errors. result may be
// nil in a plan. kept says what a first cycle that failed leaves, "" for other cycles.
func cycleDiagnostics(at path.Path, vm *vsphere.VM, result *replication.Result, err error, kept string) diag.Diagnostics {
	var preflight *replication.PreflightError
	if !errors.As(err, &preflight) {
		return diag.Diagnostics{cycleDiagnostic(at, vm, result, err, kept)}
	}
	var diags diag.Diagnostics
	for _, each := range preflight.Errors {
		diags.Append(cycleDiagnostic(at, vm, result, each, kept))
	}
	return diags
}

func cycleDiagnostic(at path.Path, vm *vsphere.VM, result *replication.Result, err error, kept string) diag.Diagnostic {
	var (
		gate        *replication.GateError
		impossible  *replication.ImpossibleError
		environment *replication.EnvironmentError
		cloud       *replication.CloudError
		target      *replication.TargetError
		directory   *replication.LogDirectoryError
		temporary   *process.TemporaryError
		locked      *process.LockedError
		export      *replication.ExportError
		inUse       *replication.ExportInUseError
		reset       *replication.TrackingResetError
		lost        *replication.TargetLostError
		limit       *replication.LimitError
		leftover    *replication.LeftoverError
		run         *replication.RunError
	)
	switch {
	case errors.As(err, &gate):
		return gateDiagnostic(at, gate)
	case errors.As(err, &impossible):
		return impossibleDiagnostic(at, impossible)
	case errors.As(err, &environment):
		return environmentDiagnostic(environment)
	case errors.As(err, &target):
		at := targetPath(target.At)
		return diag.NewAttributeErrorDiagnostic(at, "Invalid "+at.String(), target.Text+" Nothing was changed.")
	case errors.As(err, &cloud):
		return openStackDiagnostic(cloud.Err)
	case errors.As(err, &directory):
		return diag.NewErrorDiagnostic("Invalid log_directory",
			fmt.Sprintf("There is no place for migratekit's log in %q. Nothing was changed. Set log_directory of the provider (VMA_LOG_DIRECTORY) to a writable directory.\n\n%v", directory.Directory, err))
	case errors.As(err, &export):
		return diag.NewAttributeErrorDiagnostic(path.Root("nbd").AtName("exports").AtMapKey(formatKey(export.Key)), "Invalid nbd.exports",
			fmt.Sprintf("The export for the disk with the device key %d is missing, or the disk cannot be copied to it. migratekit was not started, and nothing was copied. Check nbd.exports and the NBD server, and apply again.\n\n%v", export.Key, err))
	case errors.As(err, &inUse):
		return diag.NewAttributeErrorDiagnostic(path.Root("nbd").AtName("exports").AtMapKey(formatKey(inUse.Key)), "Invalid nbd.exports",
			sentence(inUse)+" Give each disk of each virtual machine its own export.")
	case errors.As(err, &reset):
		return trackingResetDiagnostic(reset)
	case errors.As(err, &lost):
		return diag.NewAttributeErrorDiagnostic(path.Root("on_target_lost"), "Copies Lost in OpenStack",
			sentence(lost)+"\n\non_target_lost is \"fail\". To copy everything again, set it to \"full\".")
	case errors.As(err, &limit):
		return diag.NewAttributeErrorDiagnostic(path.Root("cutover_limits"), "Cutover Outside Its Limits",
			limit.Text+" The source was not touched. Run another cycle first, by changing triggers with cutover = false, or change cutover_limits.")
	case errors.As(err, &leftover):
		return diag.NewAttributeErrorDiagnostic(path.Root("on_leftover_snapshot"), "Leftover migratekit Snapshot",
			sentence(leftover)+" migratekit would stop and ask what to do with it. If no other run of migratekit is active, remove the snapshot, or set on_leftover_snapshot to \"remove\".")
	case errors.As(err, &run):
		return runDiagnostic(at, vm, result, run, kept)
	case errors.Is(err, process.ErrNotInstalled):
		return diag.NewErrorDiagnostic("Invalid migratekit_path",
			fmt.Sprintf("migratekit cannot be run on this machine. Install it, or set migratekit_path of the provider (VMA_MIGRATEKIT_PATH) to an executable file.\n\n%v", err))
	case errors.As(err, &locked):
		return diag.NewAttributeErrorDiagnostic(at, "Unable to Replicate Virtual Machine",
			fmt.Sprintf("%q was not copied: %s. Nothing was changed. Wait until that run has ended, and apply again.", vm.Path, locked))
	case errors.As(err, &temporary):
		return diag.NewErrorDiagnostic("Missing Temporary Directory",
			fmt.Sprintf("There is no place for migratekit's temporary files. Nothing was changed. Set TMPDIR, in migratekit_environment of the provider or in the environment of Terraform, to a writable directory.\n\n%v", err))
	}
	return vmDiagnostic("Replicate Virtual Machine", at, err)
}

// warningDiagnostic converts a warning of a preflight.
func warningDiagnostic(at path.Path, vm string, warning replication.Warning) diag.Diagnostic {
	if warning.Subject == replication.SubjectTarget {
		return diag.NewAttributeWarningDiagnostic(targetPath(warning.At), onVM(warning.Summary, vm), warning.Detail)
	}
	if at, ok := subjectPath(at, warning.Subject); ok {
		return diag.NewAttributeWarningDiagnostic(at, onVM(warning.Summary, vm), warning.Detail)
	}
	return diag.NewWarningDiagnostic(warning.Summary, warning.Detail)
}

// subjectPath returns the attribute that a finding is about; ok is false if there is none. vm is the attribute that names the
// VM.
func subjectPath(vm path.Path, subject replication.Subject) (at path.Path, ok bool) {
	switch subject {
	case replication.SubjectVM:
		return vm, true
	case replication.SubjectExports:
		return path.Root("nbd").AtName("exports"), true
	case replication.SubjectPlannedCycle:
		return path.Root("planned_cycle"), true
	case replication.SubjectCutover:
		return path.Root("cutover"), true
	case replication.SubjectNone, replication.SubjectTarget:
	}
	return path.Empty(), false
}

// targetPath returns the attribute that a finding about the target is about.
func targetPath(steps []any) path.Path {
	at := path.Empty()
	for _, step := range steps {
		switch step := step.(type) {
		case string:
			at = at.AtName(step)
		case int:
			at = at.AtListIndex(step)
		}
	}
	return at
}

func gateDiagnostic(at path.Path, err *replication.GateError) diag.Diagnostic {
	detail := err.Error()
	if d := connectionDiagnostic(err); d != nil {
		detail += "\n\n" + d.Detail()
	}
	return diag.NewAttributeErrorDiagnostic(at, replication.TextGate, detail+"\n\nmigratekit was not started, and nothing was copied.")
}

func impossibleDiagnostic(vm path.Path, err *replication.ImpossibleError) diag.Diagnostic {
	detail := strings.Join(err.Problems, ".\n") + "."
	if at, ok := subjectPath(vm, err.Subject); ok {
		return diag.NewAttributeErrorDiagnostic(at, "Invalid "+at.String(), detail)
	}
	return diag.NewAttributeErrorDiagnostic(vm, "Unable to Replicate Virtual Machine", detail)
}

func environmentDiagnostic(err *replication.EnvironmentError) diag.Diagnostic {
	what := "migratekit takes the OpenStack login from its environment"
	if len(err.Missing) > 0 {
		what += ", which has no " + strings.Join(err.Missing, ", ")
	}
	what = strings.Join(append([]string{what}, err.Unsupported...), ". ") + "."
	return diag.NewErrorDiagnostic("Missing OpenStack Environment",
		what+" Set openstack in the provider block, or the variables in migratekit_environment of the provider or in the environment of Terraform: OS_AUTH_URL; a user (OS_USERNAME with OS_DOMAIN_NAME or OS_DOMAIN_ID, or OS_USERID) with OS_PASSWORD and a project, "+
			"or an application credential (OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET). Nothing was changed: migratekit itself would fail only after it created a snapshot.")
}

func trackingResetDiagnostic(err *replication.TrackingResetError) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(path.Root("on_tracking_reset"), "Change Tracking Was Reset",
		sentence(err)+"\n\non_tracking_reset is \"fail\". To copy everything again, set it to \"full\".")
}

func runDiagnostic(at path.Path, vm *vsphere.VM, result *replication.Result, err *replication.RunError, kept string) diag.Diagnostic {
	what := fmt.Sprintf("migratekit failed on %q.", vm.Path)
	if !result.Started {
		what = fmt.Sprintf("migratekit could not be started for %q.", vm.Path)
	}
	if stalled, ok := errors.AsType[*process.StalledError](err); ok {
		what = fmt.Sprintf("The copy of %q made no progress for %s, and migratekit was stopped. Check the target and the network. If a healthy copy can be without progress for so long, raise stall_timeout.", vm.Path, stalled.After)
	}
	if _, ok := errors.AsType[*replication.CopyError](err); ok {
		what = fmt.Sprintf("migratekit completed the cycle of %q, but the copy cannot be relied on.", vm.Path)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		what = fmt.Sprintf("migratekit did not finish the cycle of %q within the timeout, and was stopped. Raise the timeout (timeouts.create or timeouts.update, timeouts.invoke of an action): a first copy needs time for all data of the disks, an increment only for the changed data.", vm.Path)
	}
	detail := what + " The change IDs of the disks that were copied completely are kept, and the next cycle continues from them."
	switch {
	case !result.Started:
		detail = what + " Nothing was copied."
	case result.Cutover:
		detail = what + cutoverText(result, err)
	case kept != "":
		detail = kept + " " + what
	}
	if result.Started && result.Cutover && kept != "" {
		detail += "\n\n" + kept
	}
	if result.Started {
		detail += "\n\nmigratekit's log is " + err.LogFile + "."
	}
	detail += "\n\n" + err.Error()
	if len(result.Tail) > 0 {
		detail += "\n\nThe last lines of its output:\n  " + strings.Join(result.Tail, "\n  ")
	}
	return diag.NewAttributeErrorDiagnostic(at, "Unable to Replicate Virtual Machine", detail)
}

// cutoverText says what a cutover that failed has left, and how to go on.
func cutoverText(result *replication.Result, err error) string {
	var volumes []string
	for _, key := range slices.Sorted(maps.Keys(result.Volumes)) {
		volume := result.Volumes[key]
		state := "the next cycle copies its disk in full, because virt-v2v has changed it or its copy is not complete"
		if volume.ChangeID != "" {
			state = "the next cycle copies the changes of its disk"
		}
		volumes = append(volumes, fmt.Sprintf("\n  - device key %d: the volume %s; %s", key, volume, state))
	}
	text := ""
	if len(volumes) > 0 {
		text = "\n\nThe copies are in OpenStack:" + strings.Join(volumes, "")
	}
	if result.Server != nil {
		return fmt.Sprintf(" The server %s was booted, and has the volumes. Do not power the source on: there would be two machines with its addresses. See openstack server show %s. Apply again: the provider finds the server, and does not cut over again.",
			result.Server.ID, result.Server.ID)
	}
	_, hangs := errors.AsType[*replication.ShutdownTimeoutError](err)
	switch {
	case result.SourceState == "" || (result.TargetUnknown && result.SourceState != poweredOn):
		return " Whether the source is off, and whether a server was booted, is not known. Look at both in vCenter and in OpenStack before you power anything on: two machines with the same addresses must not run. Then apply again: the provider looks again, and does not cut over twice."
	case result.SourceState == poweredOff:
		return " The source is powered off, and no server was booted." + text +
			"\n\nThere are two ways on. Fix the cause and apply again: the cutover is repeated. Or power the source on, set cutover to false and apply: the source runs as before, and the next cycle copies as above."
	case hangs:
		return " The guest may still shut down, because a shutdown cannot be cancelled: look at the virtual machine in vCenter." + text +
			"\n\nShut down the guest by hand, raise shutdown_timeout, or set on_shutdown_timeout to \"power_off\", and apply again. To keep the source running, set cutover to false."
	}
	return " The source is still powered on, and no server was booted. Fix the cause and apply again: the cutover is repeated." + text
}

// keptAfterFirst says what is kept of a first cycle that failed. Terraform taints the resource, which looks as if everything were lost.
func (m replicationModel) keptAfterFirst(result *replication.Result) string {
	const tainted = " Terraform marks the resource as tainted, so the next plan will say \"destroy and create\": the new one continues nevertheless. " +
		"To continue in place, run terraform untaint with the address of the resource before that; with create_before_destroy this is necessary."
	switch {
	case len(result.ChangeIDs) > 0 && !m.OpenStack.IsNull():
		return "Nothing that was copied is lost: the volumes in OpenStack have the change IDs of the disks that were copied completely, and the next cycle continues from them." + tainted
	case len(result.ChangeIDs) > 0:
		return "Nothing that was copied is lost: the disks that were copied completely keep their change IDs, and the next cycle continues from them." + tainted
	}
	return "No disk was copied completely, so the next cycle begins again." + tainted
}

// interruptedDiagnostic returns a warning if the state is saved, so that the next apply continues. A create that has nothing to save, and an
// update that had not begun, are errors.
func interruptedDiagnostic(at path.Path, vm *vsphere.VM, result *replication.Result, err error, saved bool) diag.Diagnostic {
	if _, waiting := errors.AsType[*replication.WaitError](err); waiting && !saved {
		return diag.NewAttributeErrorDiagnostic(at, "Replication Interrupted",
			fmt.Sprintf("The cycle of %q was interrupted while it waited for others to end (concurrency of the provider). Nothing was changed, and the next apply runs it.", vm.Path))
	}
	detail := fmt.Sprintf("The cycle of %q was interrupted. Its status is \"interrupted\", and the next apply continues in place.", vm.Path)
	if result.Started {
		detail += " migratekit's log is " + result.LogFile + "."
	}
	if result.Cutover {
		detail += cutoverText(result, err)
	}
	if left, ok := errors.AsType[*cbt.LeftSnapshotError](err); ok {
		detail += "\n\n" + sentence(left)
	}
	if !saved && !result.Started {
		return diag.NewAttributeErrorDiagnostic(at, "Replication Interrupted", detail)
	}
	return diag.NewAttributeWarningDiagnostic(at, onVM("Replication Interrupted", vm.Path), detail)
}

func warningSummary(warning string) string {
	if warning == replication.TextUnchecked {
		return replication.TextUnchecked
	}
	return "Replication Warning"
}
