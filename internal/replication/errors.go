package replication

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// The texts that users of migratekit search their logs for.
const (
	TextGate          = "CBT enablement check failed - migration cannot proceed"
	textEnable        = "MIGRATION FAILURE: Could not enable CBT on VM %s (%s): %v"
	textInitialize    = "MIGRATION FAILURE: CBT initialization failed for VM %s (%s): %v"
	textNotEnabled    = "CBT not enabled - attempting to enable via vCenter API"
	textAlready       = "CBT is already enabled - migration can proceed"
	textEnabled       = "CBT enabled and initialized successfully - migration can proceed"
	TextUnchecked     = "CBT auto-enablement disabled - proceeding without CBT check"
	textTrackingReset = "change tracking of %s started anew since the last cycle, so the next copy would be full"
)

// GateError is returned if CBT could not be enabled, so that migratekit was not started.
type GateError struct {
	// Name and Path are the VM's name and inventory path.
	Name, Path string
	Err        error
}

func (e *GateError) Error() string {
	text := textEnable
	var stage *cbt.StageError
	if errors.As(e.Err, &stage) && stage.Stage == cbt.StageInitialize {
		text = textInitialize
	}
	return fmt.Sprintf(text, e.Name, e.Path, e.Err)
}

func (e *GateError) Unwrap() error { return e.Err }

// PreflightError lists all errors that a preflight found.
type PreflightError struct{ Errors []error }

func (e *PreflightError) Error() string   { return errors.Join(e.Errors...).Error() }
func (e *PreflightError) Unwrap() []error { return e.Errors }

// ImpossibleError lists why disks of a VM cannot be copied to the target.
type ImpossibleError struct {
	Problems []string
	// Subject is what the problems are about.
	Subject Subject
}

func (e *ImpossibleError) Error() string { return strings.Join(e.Problems, "\n") }

// EnvironmentError is returned if migratekit could not log in to OpenStack with its environment.
type EnvironmentError struct{ migratekit.OpenStackProblems }

func (e *EnvironmentError) Error() string {
	return "migratekit's environment for OpenStack: " + e.String()
}

// TargetError is returned if the project does not have what the target refers to.
type TargetError struct {
	// At is the attribute: names and indexes.
	At   []any
	Text string
}

func (e *TargetError) Error() string { return e.Text }

// CloudError is returned if OpenStack refuses the login, or cannot be reached before a cutover.
type CloudError struct{ Err error }

func (e *CloudError) Error() string { return e.Err.Error() }
func (e *CloudError) Unwrap() error { return e.Err }

// LogDirectoryError is returned if migratekit's log cannot be written.
type LogDirectoryError struct {
	Directory string
	Err       error
}

func (e *LogDirectoryError) Error() string { return e.Err.Error() }
func (e *LogDirectoryError) Unwrap() error { return e.Err }

// ExportError is returned if a disk cannot be copied to its NBD export.
type ExportError struct {
	// Key is the device key of the disk.
	Key int32
	Err error
}

func (e *ExportError) Error() string { return e.Err.Error() }
func (e *ExportError) Unwrap() error { return e.Err }

// TrackingResetError is returned if CBT was reset since the last cycle and FailOnReset is set.
type TrackingResetError struct {
	// Path is the VM's inventory path.
	Path string
	// Disks describe what happened, one line each.
	Disks []string
}

func (e *TrackingResetError) Error() string {
	return fmt.Sprintf(textTrackingReset, e.Path) + ":\n  - " + strings.Join(e.Disks, "\n  - ")
}

// TargetLostError is returned if the target has lost copies and FailOnTargetLost is set.
type TargetLostError struct {
	// Path is the VM's inventory path.
	Path string
	// Disks describe what happened, one line each.
	Disks []string
}

func (e *TargetLostError) Error() string {
	return fmt.Sprintf("OpenStack no longer has what earlier cycles of %s copied, so the next copy would be full:\n  - %s", e.Path, strings.Join(e.Disks, "\n  - "))
}

// ShutdownTimeoutError is returned if the guest did not shut down in time in a cutover.
type ShutdownTimeoutError struct {
	// After is how long it was waited for, since vCenter's event.
	After time.Duration
	// Err is how migratekit ended, and why the VM could not be powered off if it was to be.
	Err error
}

func (e *ShutdownTimeoutError) Error() string {
	return fmt.Sprintf("the guest did not shut down within %s, and migratekit was stopped: %v", e.After, e.Err)
}

func (e *ShutdownTimeoutError) Unwrap() error { return e.Err }

// CopyError is returned if a run that succeeded left no usable copy on the target.
type CopyError struct{ Problems []string }

func (e *CopyError) Error() string { return strings.Join(e.Problems, "\n") }

// LimitError is returned if a cutover is outside its limits.
type LimitError struct{ Text string }

func (e *LimitError) Error() string { return e.Text }

// LeftoverError is returned if the VM has snapshots of earlier runs of migratekit.
type LeftoverError struct {
	// Path is the VM's inventory path.
	Path      string
	Snapshots []vsphere.Snapshot
}

func (e *LeftoverError) Error() string {
	var each []string
	for _, s := range e.Snapshots {
		age := time.Since(s.Created).Round(time.Second)
		each = append(each, fmt.Sprintf("%q of %s (%s old)", s.Name, s.Created.UTC().Format(time.RFC3339), age))
	}
	return fmt.Sprintf("%s has a snapshot that an earlier run of migratekit left: %s", e.Path, strings.Join(each, ", "))
}

// ErrIncomplete is returned if migratekit ended with exit status 0, but its log does not say that it completed.
var ErrIncomplete = errors.New("migratekit ended with exit status 0, but its log has neither \"Migration completed\" nor \"Cutover completed\"")

// ErrNoEvidence is returned if migratekit ended with exit status 0, but no snapshot of the VM was created during the run: it copied nothing,
// or another VM.
var ErrNoEvidence = errors.New("migratekit ended with exit status 0, but created no snapshot of this virtual machine during the run, so nothing shows that it copied this one")

// RunError is returned if migratekit could not be started, or failed.
type RunError struct {
	// LogFile is where its output is.
	LogFile string
	Err     error
}

func (e *RunError) Error() string { return e.Err.Error() }
func (e *RunError) Unwrap() error { return e.Err }
