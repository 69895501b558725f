package vsphere

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// Name is one of the ways in which a VM is named; exactly one field is set.
type Name struct {
	// Path is the inventory path, absolute: "/DC0/vm/prod/web01".
	Path string
	// UUID is the BIOS UUID.
	UUID string
	// Moid is the managed object ID.
	Moid string
	// InstanceUUID is what vCenter keeps unique: how a VM that was renamed,
	// moved or registered anew is found again.
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

// NotVMError says that an inventory path leads to something that is no VM.
type NotVMError struct {
	// Type is the API's name of what is there: Folder, Datacenter …
	Path, Type string
}

func (e *NotVMError) Error() string {
	return fmt.Sprintf("%q is a %s, not a virtual machine", e.Path, e.Type)
}

// AmbiguousError says that several VMs have one UUID.
type AmbiguousError struct {
	Name Name
	// Paths are the inventory paths of those VMs, sorted.
	Paths []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%d virtual machines %s: %s", len(e.Paths), e.Name, strings.Join(e.Paths, ", "))
}

// Find reads the VM of that name. A VM known by its managed object ID costs
// one call, by anything else two. Errors: ErrNotFound, NotVMError,
// AmbiguousError and those of every call.
func (c *Client) Find(ctx context.Context, name Name) (*VM, error) {
	if name.Moid != "" {
		return c.VM(ctx, name.Moid)
	}
	moids, err := c.lookUp(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(moids) == 0 {
		return nil, fmt.Errorf("virtual machine %s: %w", name, ErrNotFound)
	}
	vms, err := c.VMs(ctx, moids)
	if err != nil {
		return nil, err
	}
	switch len(vms) {
	case 0: // it vanished between the two calls
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

func (c *Client) lookUp(ctx context.Context, name Name) ([]string, error) {
	var moids []string
	err := c.do(ctx, "look up virtual machine "+name.String(), func(vim *vim25.Client) error {
		index := *vim.ServiceContent.SearchIndex
		if name.Path != "" {
			res, err := methods.FindByInventoryPath(ctx, vim, &types.FindByInventoryPath{
				This: index, InventoryPath: strings.TrimPrefix(name.Path, "/"),
			})
			if err != nil || res.Returnval == nil {
				return err
			}
			if res.Returnval.Type != "VirtualMachine" {
				return &NotVMError{Path: name.Path, Type: res.Returnval.Type}
			}
			moids = []string{res.Returnval.Value}
			return nil
		}
		uuid, byInstance := name.UUID, false
		if name.InstanceUUID != "" {
			uuid, byInstance = name.InstanceUUID, true
		}
		res, err := methods.FindAllByUuid(ctx, vim, &types.FindAllByUuid{
			This: index, Uuid: uuid, VmSearch: true, InstanceUuid: &byInstance,
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

// VM reads one VM by its managed object ID, in one call. Errors: ErrNotFound
// and those of every call.
func (c *Client) VM(ctx context.Context, moid string) (*VM, error) {
	vms, err := c.VMs(ctx, []string{moid})
	if err != nil {
		return nil, err
	}
	if len(vms) == 0 {
		return nil, fmt.Errorf("virtual machine %s: %w", Name{Moid: moid}, ErrNotFound)
	}
	return vms[0], nil
}
