package vsphere

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// readVMs reads VMs by their managed object IDs, with the folders above them
// for their paths: one call, and one more per page where vCenter answers in
// pages. Those that are not there are left out.
func (c *Client) readVMs(ctx context.Context, moids []string) (map[string]answer[*VM], error) {
	spec := types.PropertyFilterSpec{
		PropSet:                       vmPropertySet(),
		ReportMissingObjectsInResults: new(true),
	}
	above := ancestors()
	for _, moid := range moids {
		spec.ObjectSet = append(spec.ObjectSet, types.ObjectSpec{Obj: vmRef(moid), Skip: new(false), SelectSet: above})
		above = ancestorsAgain() // a name is defined once in a filter
	}
	shown := newShown()
	err := c.do(ctx, "read virtual machines", func(vim *vim25.Client) error {
		return retrieve(ctx, vim, spec, shown.add)
	})
	return shown.vms(), err
}

// ancestors walks from a VM up to the root folder, from one in a vApp by the
// folder that the vApp is in.
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

// ancestorsAgain are the same by their names.
func ancestorsAgain() []types.BaseSelectionSpec {
	return []types.BaseSelectionSpec{&types.SelectionSpec{Name: "parent"}, &types.SelectionSpec{Name: "parentVApp"}}
}

// vmPropertySet is what VMs are made of, and the names of what is above them.
func vmPropertySet() []types.PropertySpec {
	return []types.PropertySpec{
		{Type: "VirtualMachine", PathSet: vmProperties},
		{Type: "ManagedEntity", PathSet: []string{"name", "parent"}},
		{Type: "VirtualApp", PathSet: []string{"parentFolder"}},
	}
}

// pageSize is how many objects vCenter answers with at a time.
const pageSize = 500

// retrieve hands on what a filter selects, page by page.
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

// shown is what was retrieved: VMs, everything above them, and why others
// cannot be read.
type shown struct {
	machines   map[string]*VM
	parents    map[string]*types.ManagedObjectReference // of the VMs
	above      map[types.ManagedObjectReference]mo.ManagedEntity
	unreadable map[types.ManagedObjectReference]error
}

func newShown() *shown {
	return &shown{
		machines:   map[string]*VM{},
		parents:    map[string]*types.ManagedObjectReference{},
		above:      map[types.ManagedObjectReference]mo.ManagedEntity{},
		unreadable: map[types.ManagedObjectReference]error{},
	}
}

// add takes a page apart.
func (s *shown) add(page []types.ObjectContent) {
	for _, content := range page {
		if err := s.addObject(content); err != nil {
			s.unreadable[content.Obj] = err
		}
	}
}

func (s *shown) addObject(content types.ObjectContent) error {
	if err := legible(content); err != nil {
		return err
	}
	content.MissingSet = nil
	object, err := mo.ObjectContentToType(content)
	if err != nil {
		return fmt.Errorf("read %s: %w", content.Obj.Value, typed(err))
	}
	if vm, ok := object.(mo.VirtualMachine); ok {
		s.machines[vm.Self.Value] = newVM(&vm)
		s.parents[vm.Self.Value] = cmp.Or(vm.Parent, vm.ParentVApp)
	} else if entity, ok := object.(mo.IsManagedEntity); ok {
		above := entity.GetManagedEntity()
		if vApp, ok := object.(mo.VirtualApp); ok && vApp.ParentFolder != nil {
			above.Parent = vApp.ParentFolder // and not the resource pool
		}
		s.above[content.Obj] = above
	}
	return nil
}

// vms are the VMs by their managed object IDs, or why they cannot be read. To
// be called when all pages are there: what is above a VM may come after it.
func (s *shown) vms() map[string]answer[*VM] {
	vms := map[string]answer[*VM]{}
	for ref, err := range s.unreadable {
		if ref.Type == "VirtualMachine" {
			vms[ref.Value] = answer[*VM]{err: err}
		}
	}
	for moid, vm := range s.machines {
		var err error
		if vm.Path, err = s.path(moid); err != nil {
			vms[moid] = answer[*VM]{err: err}
		} else {
			vms[moid] = answer[*VM]{value: vm}
		}
	}
	return vms
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
	return &InaccessibleError{Moid: content.Obj.Value}
}

// InaccessibleError says that vCenter has no configuration of a VM to show: it is
// orphaned, or its host or datastore is not connected.
type InaccessibleError struct {
	// Moid is its managed object ID.
	Moid string
}

func (e *InaccessibleError) Error() string {
	return fmt.Sprintf("read %s: vCenter has no configuration to show, the virtual machine is not accessible", e.Moid)
}

// path joins the names from below the root folder down to the VM.
func (s *shown) path(moid string) (string, error) {
	names := []string{s.machines[moid].Name}
	parent := s.parents[moid]
	for range len(s.above) + 1 {
		if parent == nil {
			break
		}
		if err := s.unreadable[*parent]; err != nil {
			return "", err
		}
		entity, ok := s.above[*parent]
		if !ok || entity.Parent == nil { // the root folder has a name and no parent
			break
		}
		names = append([]string{entity.Name}, names...)
		parent = entity.Parent
	}
	return "/" + strings.Join(names, "/"), nil
}
