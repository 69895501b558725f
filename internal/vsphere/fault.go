package vsphere

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// ErrNotFound is returned when an object does not exist in vCenter, or no longer exists.
var ErrNotFound = errors.New("not found in vCenter")

// InvalidLoginError is returned when vCenter refuses the user name or the password.
type InvalidLoginError struct{ Err error }

func (e *InvalidLoginError) Error() string { return "vCenter refused the user name or the password" }
func (e *InvalidLoginError) Unwrap() error { return e.Err }

// NoPermissionError is returned when the account lacks a privilege.
type NoPermissionError struct {
	// Privilege is vCenter's ID of the privilege, such as "VirtualMachine.State.CreateSnapshot".
	Privilege string
	// Object is the managed object ID on which it is missing.
	Object string
	Err    error
}

func (e *NoPermissionError) Error() string {
	return fmt.Sprintf("the account has no privilege %s on %s", e.Privilege, e.Object)
}
func (e *NoPermissionError) Unwrap() error { return e.Err }

// TaskInProgressError is returned when another task holds the object.
type TaskInProgressError struct {
	// Task is the managed object ID of that task.
	Task string
	Err  error
}

func (e *TaskInProgressError) Error() string { return "another task is in progress: " + e.Task }
func (e *TaskInProgressError) Unwrap() error { return e.Err }

// MethodDisabledError is returned when the method is disabled on the object, as backup products do during a backup.
type MethodDisabledError struct {
	// Source is who disabled it, "" if vCenter does not say.
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

// ChangeTrackingUnusableError is returned when a disk's changes are unknown and it needs a full copy: its CBT was
// reset, or its tracking file is unreadable (InvalidArgument on changeId or deviceKey, FileFault).
type ChangeTrackingUnusableError struct {
	Key int32
	Err error
}

func (e *ChangeTrackingUnusableError) Error() string {
	return fmt.Sprintf("change tracking cannot be used on disk %d: %v", e.Key, e.Err)
}
func (e *ChangeTrackingUnusableError) Unwrap() error { return e.Err }

// FaultError is any other vCenter fault.
type FaultError struct {
	// Fault is the type's name in the vSphere API, such as "TooManySnapshotLevels".
	Fault string
	Err   error
}

func (e *FaultError) Error() string {
	text := strings.TrimPrefix(e.Err.Error(), "ServerFaultCode: ")
	if text == "" || text == e.Fault {
		return "vCenter returned the fault " + e.Fault
	}
	return fmt.Sprintf("vCenter returned the fault %s: %s", e.Fault, text)
}
func (e *FaultError) Unwrap() error { return e.Err }

// typed converts a vSphere fault to one of the errors above. Other errors stay as they are.
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

// faultOf returns the fault of a failed call or task, or nil.
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

// withCause adds the context's error, so that errors.Is finds it whatever error the transport returned.
func withCause(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}
