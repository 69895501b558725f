package replication

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// The texts that users of migratekit know and search their logs for.
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

// GateError says that tracking could not be made to work, so that migratekit
// was not started.
type GateError struct {
	// Name and Path are those of the VM.
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

// ImpossibleError says why a cycle cannot run, every reason at once.
type ImpossibleError struct{ Problems []string }

func (e *ImpossibleError) Error() string { return strings.Join(e.Problems, "\n") }

// EnvironmentError says what migratekit would miss.
type EnvironmentError struct{ Missing []string }

func (e *EnvironmentError) Error() string {
	return "migratekit needs in its environment: " + strings.Join(e.Missing, ", ")
}

// PlaceError says that there is no place for migratekit's log or its temporary
// files.
type PlaceError struct {
	// Directory is where the log was to go.
	Directory string
	Err       error
}

func (e *PlaceError) Error() string { return e.Err.Error() }
func (e *PlaceError) Unwrap() error { return e.Err }

// ExportError says that an NBD export cannot take the disk.
type ExportError struct {
	// Key is the device key of the disk.
	Key int32
	Err error
}

func (e *ExportError) Error() string { return e.Err.Error() }
func (e *ExportError) Unwrap() error { return e.Err }

// TrackingResetError says that tracking started anew since the last cycle, and
// that a full copy is not wanted.
type TrackingResetError struct {
	// Path is that of the VM; Disks say what happened, a line each.
	Path  string
	Disks []string
}

func (e *TrackingResetError) Error() string {
	return fmt.Sprintf(textTrackingReset, e.Path) + ":\n  - " + strings.Join(e.Disks, "\n  - ")
}

// LeftoverError says that snapshots of earlier runs of migratekit are on the VM.
type LeftoverError struct {
	// Path is that of the VM.
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

// ErrIncomplete says that migratekit ended with exit status 0 and that its log
// does not say that it completed: nobody knows what it copied.
var ErrIncomplete = errors.New("migratekit ended with exit status 0, but its log has neither \"Migration completed\" nor \"Cutover completed\"")

// RunError says that migratekit could not be started, or ended badly.
type RunError struct {
	// LogFile is where its output is.
	LogFile string
	Err     error
}

func (e *RunError) Error() string { return e.Err.Error() }
func (e *RunError) Unwrap() error { return e.Err }
