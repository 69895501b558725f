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
		PropSet: []types.PropertySpec{
			{Type: "VirtualMachine", PathSet: vmProperties},
			{Type: "ManagedEntity", PathSet: []string{"name", "parent"}},
		},
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

func (c *Client) retrieve(ctx context.Context, spec types.PropertyFilterSpec) ([]types.ObjectContent, error) {
	var content []types.ObjectContent
	err := c.do(ctx, "read virtual machines", func(vim *vim25.Client) error {
		collector := vim.ServiceContent.PropertyCollector
		res, err := methods.RetrievePropertiesEx(ctx, vim, &types.RetrievePropertiesEx{
			This: collector, SpecSet: []types.PropertyFilterSpec{spec},
		})
		if err != nil || res.Returnval == nil {
			return err
		}
		content = res.Returnval.Objects
		for token := res.Returnval.Token; token != ""; {
			next, err := methods.ContinueRetrievePropertiesEx(ctx, vim, &types.ContinueRetrievePropertiesEx{
				This: collector, Token: token,
			})
			if err != nil {
				return err
			}
			content = append(content, next.Returnval.Objects...)
			token = next.Returnval.Token
		}
		return nil
	})
	return content, err
}

// assemble makes VMs of what was retrieved: the VMs and everything above them.
func assemble(moids []string, content []types.ObjectContent) ([]*VM, error) {
	machines := map[string]*mo.VirtualMachine{}
	above := map[types.ManagedObjectReference]mo.ManagedEntity{}
	for i := range content {
		if err := unreadable(content[i]); err != nil {
			return nil, err
		}
		content[i].MissingSet = nil
		object, err := mo.ObjectContentToType(content[i])
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", content[i].Obj.Value, typed(err))
		}
		if vm, ok := object.(mo.VirtualMachine); ok {
			machines[vm.Self.Value] = &vm
			continue
		}
		if entity, ok := object.(mo.IsManagedEntity); ok {
			above[content[i].Obj] = entity.GetManagedEntity()
		}
	}
	var vms []*VM
	for _, moid := range moids {
		if vm := machines[moid]; vm != nil {
			vms = append(vms, newVM(vm, inventoryPath(vm, above)))
		}
	}
	return vms, nil
}

// unreadable says which property could not be read, and why: without its
// configuration nothing true can be said of a VM.
func unreadable(content types.ObjectContent) error {
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
