package vsphere

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// ErrNotFound says that an object is not, or no longer, in vCenter.
var ErrNotFound = errors.New("not found in vCenter")

// InvalidLoginError says that vCenter refused the user or the password.
type InvalidLoginError struct{ Err error }

func (e *InvalidLoginError) Error() string { return "vCenter refused the user name or the password" }
func (e *InvalidLoginError) Unwrap() error { return e.Err }

// NoPermissionError names the privilege that the account has not.
type NoPermissionError struct {
	// Privilege is the ID that vCenter names, "VirtualMachine.State.CreateSnapshot".
	Privilege string
	// Object is the managed object ID of what it is missing on.
	Object string
	Err    error
}

func (e *NoPermissionError) Error() string {
	return fmt.Sprintf("the account has no privilege %s on %s", e.Privilege, e.Object)
}
func (e *NoPermissionError) Unwrap() error { return e.Err }

// TaskInProgressError says that another task holds the object.
type TaskInProgressError struct {
	// Task is the managed object ID of that task.
	Task string
	Err  error
}

func (e *TaskInProgressError) Error() string { return "another task is in progress: " + e.Task }
func (e *TaskInProgressError) Unwrap() error { return e.Err }

// MethodDisabledError says that somebody disabled a method on the object, as
// backup products do while they hold a VM.
type MethodDisabledError struct {
	// Source is who disabled it, "" where vCenter does not say.
	Source string
	Err    error
}

func (e *MethodDisabledError) Error() string {
	by := e.Source
	if by == "" {
		by = "another product"
	}
	return "the operation was disabled on the VM by " + by
}
func (e *MethodDisabledError) Unwrap() error { return e.Err }

// ChangeTrackingUnusableError says that a disk's changes cannot be told, so
// that it must be copied whole: its tracking started anew, or its tracking file
// cannot be read (InvalidArgument on changeId or deviceKey, FileFault).
type ChangeTrackingUnusableError struct {
	Key int32
	Err error
}

func (e *ChangeTrackingUnusableError) Error() string {
	return fmt.Sprintf("change tracking cannot be used on disk %d: %v", e.Key, e.Err)
}
func (e *ChangeTrackingUnusableError) Unwrap() error { return e.Err }

// FaultError is any other fault of vCenter.
type FaultError struct {
	// Fault is the type's name in the vSphere API, "TooManySnapshotLevels".
	Fault string
	Err   error
}

func (e *FaultError) Error() string {
	text := strings.TrimPrefix(e.Err.Error(), "ServerFaultCode: ")
	if text == "" || text == e.Fault {
		return "vCenter answered with the fault " + e.Fault
	}
	return fmt.Sprintf("vCenter answered with the fault %s: %s", e.Fault, text)
}
func (e *FaultError) Unwrap() error { return e.Err }

// typed is the one place where vSphere's faults are told apart: it gives one of
// the errors above, or the error itself where it holds no fault.
func typed(err error) error {
	found := faultOf(err)
	if found == nil {
		return err
	}
	switch f := found.(type) {
	case *types.ManagedObjectNotFound, *types.NotFound:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case *types.InvalidLogin:
		return &InvalidLoginError{Err: err}
	case *types.NoPermission:
		object := ""
		if f.Object != nil {
			object = f.Object.Value
		}
		return &NoPermissionError{Privilege: f.PrivilegeId, Object: object, Err: err}
	case *types.TaskInProgress:
		return &TaskInProgressError{Task: f.Task.Value, Err: err}
	case *types.MethodDisabled:
		return &MethodDisabledError{Source: f.Source, Err: err}
	}
	name := fmt.Sprintf("%T", found)
	return &FaultError{Fault: name[strings.LastIndex(name, ".")+1:], Err: err}
}

// faultOf finds the fault in an answer or in the outcome of a task.
func faultOf(err error) types.BaseMethodFault {
	var holder interface {
		Fault() types.BaseMethodFault
	}
	if errors.As(err, &holder) {
		return holder.Fault()
	}
	return nil
}

func isNotAuthenticated(err error) bool {
	_, ok := faultOf(err).(*types.NotAuthenticated)
	return ok
}

// withCause joins why the context ended to an error that came of it, so that
// errors.Is sees a cancellation and a deadline, whatever the transport said.
func withCause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}
