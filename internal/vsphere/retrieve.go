package vsphere

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// readVMs reads VMs by managed object ID, with their ancestors for the paths, in one call per page. The result
// omits missing VMs.
func (c *Client) readVMs(ctx context.Context, moids []string) (map[string]answer[*VM], error) {
	spec := types.PropertyFilterSpec{
		PropSet:                       vmPropertySet(),
		ReportMissingObjectsInResults: new(true),
	}
	above := ancestors()
	for _, moid := range moids {
		spec.ObjectSet = append(spec.ObjectSet, types.ObjectSpec{Obj: vmRef(moid), Skip: new(false), SelectSet: above})
		above = ancestorRefs() // a filter may define a name only once
	}
	found := newCollected()
	err := c.do(ctx, "read virtual machines", func(vim *vim25.Client) error {
		return retrieve(ctx, vim, spec, found.add)
	})
	return found.vms(), err
}

// ancestors walks from a VM up to the root folder; from a VM in a vApp, through the vApp's folder.
func ancestors() []types.BaseSelectionSpec {
	up := &types.SelectionSpec{Name: "parent"}
	beside, around := &types.SelectionSpec{Name: "parentFolder"}, &types.SelectionSpec{Name: "outerVApp"}
	return []types.BaseSelectionSpec{
		&types.TraversalSpec{
			SelectionSpec: *up, Type: "ManagedEntity", Path: "parent",
			Skip: new(false), SelectSet: []types.BaseSelectionSpec{up},
		},
		&types.TraversalSpec{
			SelectionSpec: types.SelectionSpec{Name: "parentVApp"}, Type: "VirtualMachine", Path: "parentVApp",
			Skip: new(false), SelectSet: []types.BaseSelectionSpec{
				&types.TraversalSpec{
					SelectionSpec: *beside, Type: "VirtualApp", Path: "parentFolder",
					Skip: new(false), SelectSet: []types.BaseSelectionSpec{up},
				},
				&types.TraversalSpec{ // a vApp in a vApp
					SelectionSpec: *around, Type: "VirtualApp", Path: "parent",
					Skip: new(false), SelectSet: []types.BaseSelectionSpec{beside, around},
				},
			},
		},
	}
}

// ancestorRefs refers to the traversals of ancestors by name.
func ancestorRefs() []types.BaseSelectionSpec {
	return []types.BaseSelectionSpec{&types.SelectionSpec{Name: "parent"}, &types.SelectionSpec{Name: "parentVApp"}}
}

func vmPropertySet() []types.PropertySpec {
	return []types.PropertySpec{
		{Type: "VirtualMachine", PathSet: vmProperties},
		{Type: "ManagedEntity", PathSet: []string{"name", "parent"}},
		{Type: "VirtualApp", PathSet: []string{"parentFolder"}},
	}
}

const pageSize = 500

// retrieve calls page for each page of objects that spec selects.
func retrieve(
	ctx context.Context, vim *vim25.Client, spec types.PropertyFilterSpec, page func([]types.ObjectContent),
) error {
	collector := vim.ServiceContent.PropertyCollector
	res, err := methods.RetrievePropertiesEx(ctx, vim, &types.RetrievePropertiesEx{
		This: collector, SpecSet: []types.PropertyFilterSpec{spec}, Options: types.RetrieveOptions{MaxObjects: pageSize},
	})
	if err != nil || res.Returnval == nil {
		return err
	}
	page(res.Returnval.Objects)
	for token := res.Returnval.Token; token != ""; {
		next, err := methods.ContinueRetrievePropertiesEx(ctx, vim, &types.ContinueRetrievePropertiesEx{
			This: collector, Token: token,
		})
		if err != nil {
			return err
		}
		page(next.Returnval.Objects)
		token = next.Returnval.Token
	}
	return nil
}

// collected has the retrieved VMs, their ancestors and the errors of unreadable objects.
type collected struct {
	machines   map[string]*VM
	parents    map[string]*types.ManagedObjectReference // of the VMs
	ancestors  map[types.ManagedObjectReference]mo.ManagedEntity
	unreadable map[types.ManagedObjectReference]error
}

func newCollected() *collected {
	return &collected{
		machines:   map[string]*VM{},
		parents:    map[string]*types.ManagedObjectReference{},
		ancestors:  map[types.ManagedObjectReference]mo.ManagedEntity{},
		unreadable: map[types.ManagedObjectReference]error{},
	}
}

func (s *collected) add(page []types.ObjectContent) {
	for _, content := range page {
		if err := s.addObject(content); err != nil {
			s.unreadable[content.Obj] = err
		}
	}
}

func (s *collected) addObject(content types.ObjectContent) error {
	unreadable := checkReadable(content)
	if _, inaccessible := errors.AsType[*InaccessibleError](unreadable); unreadable != nil && !inaccessible {
		return unreadable
	}
	content.MissingSet = nil
	object, err := mo.ObjectContentToType(content)
	if err != nil {
		return fmt.Errorf("read %s: %w", content.Obj.Value, typed(err))
	}
	if vm, ok := object.(mo.VirtualMachine); ok {
		s.machines[vm.Self.Value] = newVM(&vm)
		s.parents[vm.Self.Value] = cmp.Or(vm.Parent, vm.ParentVApp)
		return unreadable
	} else if entity, ok := object.(mo.IsManagedEntity); ok {
		ancestor := entity.GetManagedEntity()
		if vApp, ok := object.(mo.VirtualApp); ok && vApp.ParentFolder != nil {
			ancestor.Parent = vApp.ParentFolder // instead of the resource pool
		}
		s.ancestors[content.Obj] = ancestor
	}
	return nil
}

// vms returns the VMs, or their errors, by managed object ID. Call it after the last page: a VM's ancestors may
// come after the VM.
func (s *collected) vms() map[string]answer[*VM] {
	vms := map[string]answer[*VM]{}
	for ref, err := range s.unreadable {
		if ref.Type == "VirtualMachine" {
			if inaccessible, ok := errors.AsType[*InaccessibleError](err); ok && s.machines[ref.Value] != nil {
				inaccessible.Path, _ = s.path(ref.Value)
			}
			vms[ref.Value] = answer[*VM]{err: err}
		}
	}
	for moid, vm := range s.machines {
		if vms[moid].err != nil {
			continue
		}
		var err error
		if vm.Path, err = s.path(moid); err != nil {
			vms[moid] = answer[*VM]{err: err}
		} else {
			vms[moid] = answer[*VM]{value: vm}
		}
	}
	return vms
}

// checkReadable returns an error if a property could not be read or a VM has no configuration.
func checkReadable(content types.ObjectContent) error {
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
	return &InaccessibleError{Moid: content.Obj.Value}
}

// InaccessibleError is returned when vCenter has no configuration of a VM: the VM is orphaned, or its host or
// datastore is disconnected.
type InaccessibleError struct {
	Moid string
	// Path is the inventory path, "" if vCenter does not tell it.
	Path string
}

func (e *InaccessibleError) Error() string {
	return fmt.Sprintf("read %s: the virtual machine is inaccessible, vCenter has no configuration of it", cmp.Or(e.Path, e.Moid))
}

// path joins the names of a VM and its ancestors, without the root folder.
func (s *collected) path(moid string) (string, error) {
	names := []string{s.machines[moid].Name}
	parent := s.parents[moid]
	for range len(s.ancestors) + 1 {
		if parent == nil {
			break
		}
		if err := s.unreadable[*parent]; err != nil {
			return "", err
		}
		entity, ok := s.ancestors[*parent]
		if !ok || entity.Parent == nil { // the root folder has no parent
			break
		}
		names = append([]string{entity.Name}, names...)
		parent = entity.Parent
	}
	return "/" + strings.Join(names, "/"), nil
}
