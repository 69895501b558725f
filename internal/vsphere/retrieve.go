package vsphere

import (
	"context"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// VMs reads VMs by their managed object IDs, in the order of the IDs, with the
// folders above them for their paths: one call, and one more per page where
// vCenter answers in pages. Those that are not there are left out.
func (c *Client) VMs(ctx context.Context, moids []string) ([]*VM, error) {
	spec := types.PropertyFilterSpec{
		PropSet:                       vmPropertySet(),
		ReportMissingObjectsInResults: new(true),
	}
	for _, moid := range moids {
		spec.ObjectSet = append(spec.ObjectSet, types.ObjectSpec{
			Obj:       types.ManagedObjectReference{Type: "VirtualMachine", Value: moid},
			Skip:      new(false),
			SelectSet: ancestors(),
		})
	}
	content, err := c.retrieve(ctx, spec)
	if err != nil {
		return nil, err
	}
	return assemble(moids, content)
}

// ancestors walks from a VM up to the root folder.
func ancestors() []types.BaseSelectionSpec {
	up := &types.SelectionSpec{Name: "parent"}
	return []types.BaseSelectionSpec{
		&types.TraversalSpec{
			SelectionSpec: *up, Type: "ManagedEntity", Path: "parent",
			Skip: new(false), SelectSet: []types.BaseSelectionSpec{up},
		},
		&types.TraversalSpec{
			Type: "VirtualMachine", Path: "parentVApp",
			Skip: new(false), SelectSet: []types.BaseSelectionSpec{up},
		},
	}
}

// vmPropertySet is what VMs are made of, and the names of what is above them.
func vmPropertySet() []types.PropertySpec {
	return []types.PropertySpec{
		{Type: "VirtualMachine", PathSet: vmProperties},
		{Type: "ManagedEntity", PathSet: []string{"name", "parent"}},
	}
}

func (c *Client) retrieve(ctx context.Context, spec types.PropertyFilterSpec) ([]types.ObjectContent, error) {
	var content []types.ObjectContent
	err := c.do(ctx, "read virtual machines", func(vim *vim25.Client) (err error) {
		content, err = retrieveAll(ctx, vim, spec)
		return err
	})
	return content, err
}

// pageSize is how many objects vCenter answers with at a time.
const pageSize = 1000

func retrieveAll(ctx context.Context, vim *vim25.Client, spec types.PropertyFilterSpec) ([]types.ObjectContent, error) {
	collector := vim.ServiceContent.PropertyCollector
	res, err := methods.RetrievePropertiesEx(ctx, vim, &types.RetrievePropertiesEx{
		This: collector, SpecSet: []types.PropertyFilterSpec{spec}, Options: types.RetrieveOptions{MaxObjects: pageSize},
	})
	if err != nil || res.Returnval == nil {
		return nil, err
	}
	content := res.Returnval.Objects
	for token := res.Returnval.Token; token != ""; {
		next, err := methods.ContinueRetrievePropertiesEx(ctx, vim, &types.ContinueRetrievePropertiesEx{
			This: collector, Token: token,
		})
		if err != nil {
			return nil, err
		}
		content = append(content, next.Returnval.Objects...)
		token = next.Returnval.Token
	}
	return content, nil
}

// assemble makes VMs of what was retrieved, in the order of the IDs.
func assemble(moids []string, content []types.ObjectContent) ([]*VM, error) {
	machines, above, unreadable, err := decode(content)
	if err == nil && len(unreadable) > 0 {
		err = unreadable[0]
	}
	if err != nil {
		return nil, err
	}
	var vms []*VM
	for _, moid := range moids {
		if vm := machines[moid]; vm != nil {
			vms = append(vms, newVM(vm, inventoryPath(vm, above)))
		}
	}
	return vms, nil
}

// decode takes apart what was retrieved: VMs by their managed object IDs,
// everything above them, and why others cannot be read.
func decode(content []types.ObjectContent) (
	machines map[string]*mo.VirtualMachine, above map[types.ManagedObjectReference]mo.ManagedEntity, unreadable []error, err error,
) {
	machines, above = map[string]*mo.VirtualMachine{}, map[types.ManagedObjectReference]mo.ManagedEntity{}
	for i := range content {
		if err := legible(content[i]); err != nil {
			unreadable = append(unreadable, err)
			continue
		}
		content[i].MissingSet = nil
		object, err := mo.ObjectContentToType(content[i])
		if err != nil {
			return nil, nil, nil, fmt.Errorf("read %s: %w", content[i].Obj.Value, typed(err))
		}
		if vm, ok := object.(mo.VirtualMachine); ok {
			machines[vm.Self.Value] = &vm
		} else if entity, ok := object.(mo.IsManagedEntity); ok {
			above[content[i].Obj] = entity.GetManagedEntity()
		}
	}
	return machines, above, unreadable, nil
}

// legible says which property could not be read, and why: without its
// configuration nothing true can be said of a VM.
func legible(content types.ObjectContent) error {
	for _, missing := range content.MissingSet {
		if f, ok := missing.Fault.Fault.(*types.NoPermission); ok {
			return fmt.Errorf("read %s: %w", missing.Path,
				&NoPermissionError{Privilege: f.PrivilegeId, Object: content.Obj.Value})
		}
	}
	if content.Obj.Type != "VirtualMachine" {
		return nil
	}
	for _, property := range content.PropSet {
		if strings.HasPrefix(property.Name, "config.") {
			return nil
		}
	}
	return fmt.Errorf("read %s: vCenter has no configuration to show, the virtual machine is not accessible", content.Obj.Value)
}

// inventoryPath joins the names from below the root folder down to the VM.
func inventoryPath(vm *mo.VirtualMachine, above map[types.ManagedObjectReference]mo.ManagedEntity) string {
	names := []string{vm.Name}
	parent := vm.Parent
	if parent == nil {
		parent = vm.ParentVApp
	}
	for range len(above) {
		if parent == nil {
			break
		}
		entity, ok := above[*parent]
		if !ok || entity.Parent == nil { // the root folder has a name and no parent
			break
		}
		names = append([]string{entity.Name}, names...)
		parent = entity.Parent
	}
	return "/" + strings.Join(names, "/")
}
