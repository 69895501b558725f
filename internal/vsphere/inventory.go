package vsphere

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// Name identifies a VM; exactly one field is set.
type Name struct {
	// Path is the absolute inventory path, such as "/DC0/vm/prod/web01".
	Path string
	// UUID is the BIOS UUID.
	UUID string
	// Moid is the managed object ID.
	Moid string
	// InstanceUUID is unique in a vCenter. It still finds a VM that was renamed, moved or registered again.
	InstanceUUID string
}

func (n Name) String() string {
	switch {
	case n.Path != "":
		return fmt.Sprintf("%q", n.Path)
	case n.UUID != "":
		return fmt.Sprintf("with the BIOS UUID %q", n.UUID)
	case n.Moid != "":
		return fmt.Sprintf("with the managed object ID %q", n.Moid)
	}
	return fmt.Sprintf("with the instance UUID %q", n.InstanceUUID)
}

// NotVMError is returned when the object at an inventory path is not a VM.
type NotVMError struct {
	// Type is the API type of the object at Path: Folder, Datacenter …
	Path, Type string
}

func (e *NotVMError) Error() string {
	return fmt.Sprintf("%q is a %s, not a virtual machine", e.Path, e.Type)
}

// AmbiguousError is returned when several VMs have the same UUID.
type AmbiguousError struct {
	Name Name
	// Paths are the VMs' inventory paths, sorted.
	Paths []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%d virtual machines %s: %s", len(e.Paths), e.Name, strings.Join(e.Paths, ", "))
}

// NoIdentityError is returned for a VM without instance UUID and BIOS UUID, as while it is being cloned: it could not be told from others
// later.
type NoIdentityError struct {
	Path string
}

func (e *NoIdentityError) Error() string {
	return fmt.Sprintf("%q has no UUID yet, as while it is being created or cloned; try again when that is complete", e.Path)
}

// Identity returns what identifies the VM for its whole life: its instance UUID, or its BIOS UUID on a host without vCenter.
func (vm *VM) Identity() string { return cmp.Or(vm.InstanceUUID, vm.UUID) }

// InstanceUUIDError is returned if no VM has a BIOS UUID, but one has it as its instance UUID. It is an ErrNotFound.
type InstanceUUIDError struct {
	UUID string
	VM   *VM
}

func (e *InstanceUUIDError) Error() string {
	return fmt.Sprintf("%q is the instance UUID of %q, whose BIOS UUID is %q", e.UUID, e.VM.Path, e.VM.UUID)
}

func (e *InstanceUUIDError) Unwrap() error { return ErrNotFound }

// Find reads a VM, in a call shared with concurrent reads; a path or UUID needs a lookup first. Errors: ErrNotFound,
// NotVMError, AmbiguousError and those of every call.
func (c *Client) Find(ctx context.Context, name Name) (*VM, error) {
	switch {
	case name.Moid != "":
		return c.VM(ctx, name.Moid)
	case name.Path != "":
		return c.findByPath(ctx, name.Path)
	}
	moids, err := c.findByUUID(ctx, name)
	if err != nil {
		return nil, err
	}
	var vms []*VM
	for _, moid := range moids {
		vm, err := c.VM(ctx, moid)
		if err == nil {
			vms = append(vms, vm)
		} else if !errors.Is(err, ErrNotFound) { // ErrNotFound: deleted between the two calls
			return nil, err
		}
	}
	switch len(vms) {
	case 0:
		if name.UUID != "" {
			if other, err := c.Find(ctx, Name{InstanceUUID: name.UUID}); err == nil {
				return nil, &InstanceUUIDError{UUID: name.UUID, VM: other}
			}
		}
		return nil, fmt.Errorf("virtual machine %s: %w", name, ErrNotFound)
	case 1:
		return vms[0], nil
	}
	ambiguous := &AmbiguousError{Name: name}
	for _, vm := range vms {
		ambiguous.Paths = append(ambiguous.Paths, vm.Path)
	}
	slices.Sort(ambiguous.Paths)
	return nil, ambiguous
}

func (c *Client) findByUUID(ctx context.Context, name Name) ([]string, error) {
	if name.UUID == "" && name.InstanceUUID == "" {
		return nil, nil // an empty identity matches no VM
	}
	var moids []string
	err := c.do(ctx, "look up virtual machine "+name.String(), func(vim *vim25.Client) error {
		uuid, byInstance := name.UUID, false
		if name.InstanceUUID != "" {
			uuid, byInstance = name.InstanceUUID, true
		}
		res, err := methods.FindAllByUuid(ctx, vim, &types.FindAllByUuid{
			This: *vim.ServiceContent.SearchIndex, Uuid: uuid, VmSearch: true, InstanceUuid: &byInstance,
		})
		if err != nil {
			return err
		}
		for _, ref := range res.Returnval {
			moids = append(moids, ref.Value)
		}
		return nil
	})
	return moids, err
}

// VM reads a VM by its managed object ID, in a call shared with concurrent reads. Errors: ErrNotFound and those of
// every call.
func (c *Client) VM(ctx context.Context, moid string) (*VM, error) {
	vm, found, err := c.reads.do(ctx, moid)
	if err == nil && !found {
		err = fmt.Errorf("virtual machine %s: %w", Name{Moid: moid}, ErrNotFound)
	}
	return vm, err
}
