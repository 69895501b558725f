package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// cycleDiagnostic turns the error of a cycle into what the practitioner reads.
func cycleDiagnostic(at path.Path, vm *vsphere.VM, result *replication.Result, err error, first bool) diag.Diagnostic {
	var (
		gate        *replication.GateError
		impossible  *replication.ImpossibleError
		environment *replication.EnvironmentError
		place       *replication.PlaceError
		export      *replication.ExportError
		reset       *replication.TrackingResetError
		leftover    *replication.LeftoverError
		run         *replication.RunError
	)
	switch {
	case errors.As(err, &gate):
		return gateDiagnostic(at, gate)
	case errors.As(err, &impossible):
		return impossibleDiagnostic(false, impossible.Problems)
	case errors.As(err, &environment):
		return environmentDiagnostic(environment.Missing)
	case errors.As(err, &place):
		return diag.NewErrorDiagnostic("Invalid log_directory",
			fmt.Sprintf("There is no place for migratekit's log in %q, or for its temporary files (TMPDIR). Nothing was done yet. Set log_directory of the provider (VMA_LOG_DIRECTORY) to a directory that can be written to.\n\n%v", place.Directory, err))
	case errors.As(err, &export):
		return diag.NewAttributeErrorDiagnostic(path.Root("nbd").AtName("exports").AtMapKey(formatKey(export.Key)), "Invalid nbd.exports",
			fmt.Sprintf("The export for the disk with the device key %d is not there, or cannot take the disk. Nothing was copied, and migratekit was not started. Check nbd.exports and the NBD server, and apply again.\n\n%v", export.Key, err))
	case errors.As(err, &reset):
		return trackingResetDiagnostic(reset)
	case errors.As(err, &leftover):
		return diag.NewAttributeErrorDiagnostic(path.Root("on_leftover_snapshot"), "Leftover migratekit Snapshot",
			sentence(leftover)+" migratekit would stop there and ask. Remove the snapshot if no other run of migratekit is under way, or set on_leftover_snapshot to \"remove\".")
	case errors.As(err, &run):
		return runDiagnostic(at, vm, result, run, first)
	case errors.Is(err, migratekit.ErrNotInstalled):
		return programDiagnostic("migratekit", err)
	}
	return vmDiagnostic("Replicate Virtual Machine", at, err)
}

func gateDiagnostic(at path.Path, err *replication.GateError) diag.Diagnostic {
	detail := err.Error()
	if d := connectionDiagnostic(err); d != nil {
		detail += "\n\n" + d.Detail()
	}
	return diag.NewAttributeErrorDiagnostic(at, replication.TextGate, detail+"\n\nmigratekit was not started, and nothing was copied.")
}

func impossibleDiagnostic(exports bool, problems []string) diag.Diagnostic {
	detail := strings.Join(problems, ".\n") + "."
	if exports {
		return diag.NewAttributeErrorDiagnostic(path.Root("nbd").AtName("exports"), "Invalid nbd.exports", detail)
	}
	return diag.NewErrorDiagnostic("Unable to Replicate Virtual Machine", detail)
}

func environmentDiagnostic(missing []string) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Missing OpenStack Environment",
		fmt.Sprintf("migratekit logs in to OpenStack by its environment, which has no %s. Set what is missing, or an application credential (OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET), "+
			"in migratekit_environment of the provider or in the environment of Terraform. Nothing was done: migratekit itself would find out only after it made a snapshot.", strings.Join(missing, ", ")))
}

func programDiagnostic(program string, err error) diag.Diagnostic {
	return diag.NewErrorDiagnostic("Invalid migratekit_path",
		fmt.Sprintf("The program %q cannot be run on this machine. Install migratekit, or set migratekit_path of the provider (VMA_MIGRATEKIT_PATH) to a file that is there and executable.\n\n%v", program, err))
}

func trackingResetDiagnostic(err *replication.TrackingResetError) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(path.Root("on_tracking_reset"), "Change Tracking Was Reset",
		sentence(err)+"\n\non_tracking_reset is \"fail\". To copy everything again, set it to \"full\".")
}

func runDiagnostic(at path.Path, vm *vsphere.VM, result *replication.Result, err *replication.RunError, first bool) diag.Diagnostic {
	what := fmt.Sprintf("migratekit failed on %q.", vm.Path)
	if !result.Started {
		what = fmt.Sprintf("migratekit could not be started for %q.", vm.Path)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		what = fmt.Sprintf("migratekit did not end within the timeout on %q, and was stopped. Raise create or update of timeouts: a first copy takes as long as all disks take, an increment as long as what changed.", vm.Path)
	}
	next := "The change IDs of the disks that were copied to their end are kept, and the next apply goes on from them."
	if first {
		next = "It was the first cycle, so nothing is kept, and the next apply begins again."
	}
	detail := fmt.Sprintf("%s %s", what, next)
	if result.Started {
		detail += " Its log is " + err.LogFile + "."
	}
	detail += "\n\n" + err.Error()
	if len(result.Tail) > 0 {
		detail += "\n\nThe last lines of its output:\n  " + strings.Join(result.Tail, "\n  ")
	}
	return diag.NewAttributeErrorDiagnostic(at, "Unable to Replicate Virtual Machine", detail)
}

// interruptedDiagnostic is a warning where the state says how to go on, which
// Terraform saves then; an update that had not begun is an error, and nothing of
// it is saved.
func interruptedDiagnostic(at path.Path, vm *vsphere.VM, result *replication.Result, err error, first bool) diag.Diagnostic {
	detail := fmt.Sprintf("The cycle of %q was interrupted before it ended. Its status is \"interrupted\", and the next apply goes on in place.", vm.Path)
	if result.Started {
		detail += " migratekit's log is " + result.LogFile + "."
	}
	if left, ok := errors.AsType[*cbt.LeftSnapshotError](err); ok {
		detail += "\n\n" + sentence(left)
	}
	if !first && !result.Started {
		return diag.NewAttributeErrorDiagnostic(at, "Replication Interrupted", detail)
	}
	return diag.NewAttributeWarningDiagnostic(at, "Replication Interrupted", detail)
}

// warningSummary is the summary of a warning whose text says all.
func warningSummary(warning string) string {
	if warning == replication.TextUnchecked {
		return replication.TextUnchecked
	}
	return "Replication Warning"
}
