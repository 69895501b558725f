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
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// readVMs reads VMs by managed object ID, with their hosts and their ancestors for the paths, in one call per page. The result
// omits missing VMs.
func (c *Client) readVMs(ctx context.Context, moids []string) (map[string]answer[*VM], error) {
	spec := types.PropertyFilterSpec{
		PropSet:                       vmPropertySet(false),
		ReportMissingObjectsInResults: new(true),
	}
	around := surroundings(false)
	for _, moid := range moids {
		spec.ObjectSet = append(spec.ObjectSet, types.ObjectSpec{Obj: vmRef(moid), Skip: new(false), SelectSet: around})
		around = surroundingRefs() // a filter may define a name only once
	}
	found := newCollected(false)
	err := c.do(ctx, "read virtual machines", func(vim *vim25.Client) error {
		return found.retrieve(ctx, vim, spec)
	})
	return found.vms(), err
}

// surroundings walks from a VM to its host, and up to the root folder; from a VM in a vApp, through the vApp's folder. For details, also to its
// datastores and networks.
func surroundings(details bool) []types.BaseSelectionSpec {
	up := &types.SelectionSpec{Name: "parent"}
	beside, around := &types.SelectionSpec{Name: "parentFolder"}, &types.SelectionSpec{Name: "outerVApp"}
	from := []types.BaseSelectionSpec{
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
		fromVM("host", "runtime.host"),
	}
	if details {
		from = append(from, fromVM("datastore", "datastore"), fromVM("network", "network"))
	}
	return from
}

// fromVM walks along a property of a VM.
func fromVM(name, path string) *types.TraversalSpec {
	return &types.TraversalSpec{SelectionSpec: types.SelectionSpec{Name: name}, Type: "VirtualMachine", Path: path, Skip: new(false)}
}

// surroundingRefs refers to the traversals of surroundings without details by name.
func surroundingRefs() []types.BaseSelectionSpec {
	return []types.BaseSelectionSpec{&types.SelectionSpec{Name: "parent"}, &types.SelectionSpec{Name: "parentVApp"}, &types.SelectionSpec{Name: "host"}}
}

func vmPropertySet(details bool) []types.PropertySpec {
	ofVM := vmProperties
	if details {
		ofVM = slices.Concat(vmProperties, detailProperties)
	}
	return []types.PropertySpec{
		{Type: "VirtualMachine", PathSet: ofVM},
		{Type: "ManagedEntity", PathSet: []string{"name", "parent"}},
		{Type: "VirtualApp", PathSet: []string{"parentFolder"}},
		{Type: "HostSystem", PathSet: []string{"config.product"}},
		{Type: "OpaqueNetwork", PathSet: []string{"summary"}},
	}
}

// pageSize keeps 2,000 VMs and what is around them in three pages, of some 25 MB each on a real vCenter.
const pageSize = 1000

// retrieve calls page for each page of objects that spec selects.
func retrieve(ctx context.Context, vim *vim25.Client, spec types.PropertyFilterSpec, page func([]types.ObjectContent)) error {
	_, err := retrievePages(ctx, vim, spec, page)
	return err
}

// retrieve collects the objects that spec selects. If the session was renewed between two pages, it begins again once: a token is valid in its session only.
func (s *collected) retrieve(ctx context.Context, vim *vim25.Client, spec types.PropertyFilterSpec) error {
	stale, err := retrievePages(ctx, vim, spec, s.add)
	if stale {
		*s = *newCollected(s.details)
		_, err = retrievePages(ctx, vim, spec, s.add)
	}
	return err
}

// retrievePages returns stale = true if vCenter does not know the token of the next page.
func retrievePages(
	ctx context.Context, vim *vim25.Client, spec types.PropertyFilterSpec, page func([]types.ObjectContent),
) (stale bool, err error) {
	collector := vim.ServiceContent.PropertyCollector
	res, err := methods.RetrievePropertiesEx(ctx, vim, &types.RetrievePropertiesEx{
		This: collector, SpecSet: []types.PropertyFilterSpec{spec}, Options: types.RetrieveOptions{MaxObjects: pageSize},
	})
	if err != nil || res.Returnval == nil {
		return false, err
	}
	page(res.Returnval.Objects)
	for token := res.Returnval.Token; token != ""; {
		next, err := methods.ContinueRetrievePropertiesEx(ctx, vim, &types.ContinueRetrievePropertiesEx{
			This: collector, Token: token,
		})
		if err != nil {
			switch faultOf(err).(type) {
			case *types.InvalidProperty, *types.InvalidArgument:
				return true, err
			}
			return false, err
		}
		page(next.Returnval.Objects)
		token = next.Returnval.Token
	}
	return false, nil
}

// collected has the retrieved VMs, what is around them and the errors of unreadable objects.
type collected struct {
	details    bool
	machines   map[string]*VM
	parents    map[string]*types.ManagedObjectReference // of the VMs
	ancestors  map[types.ManagedObjectReference]mo.ManagedEntity
	products   map[string]Product // of the hosts, by managed object ID
	names      map[string]string  // of hosts, datastores and networks, by managed object ID
	unreadable map[types.ManagedObjectReference]error
}

func newCollected(details bool) *collected {
	return &collected{
		details:    details,
		machines:   map[string]*VM{},
		parents:    map[string]*types.ManagedObjectReference{},
		ancestors:  map[types.ManagedObjectReference]mo.ManagedEntity{},
		products:   map[string]Product{},
		names:      map[string]string{},
		unreadable: map[types.ManagedObjectReference]error{},
	}
}

func (s *collected) add(page []types.ObjectContent) {
	for _, content := range page {
		switch content.Obj.Type {
		case "HostSystem", "Datastore", "Network", "DistributedVirtualPortgroup", "OpaqueNetwork":
			s.addPlace(content)
			continue
		}
		if err := s.addObject(content); err != nil {
			s.unreadable[content.Obj] = err
		}
	}
}

// addPlace takes what the account may read of a host, a datastore or a network.
func (s *collected) addPlace(content types.ObjectContent) {
	for _, property := range content.PropSet {
		switch value := property.Val.(type) {
		case string:
			if property.Name == "name" {
				s.names[content.Obj.Value] = value
			}
		case types.AboutInfo:
			s.products[content.Obj.Value] = Product{Version: value.Version, Build: value.Build}
		case types.OpaqueNetworkSummary:
			s.names[value.OpaqueNetworkId] = value.Name
		}
	}
}

func (s *collected) addObject(content types.ObjectContent) error {
	unreadable := checkReadable(content)
	inaccessible, ok := errors.AsType[*InaccessibleError](unreadable)
	if unreadable != nil && !ok {
		return unreadable
	}
	content.MissingSet = nil
	object, err := mo.ObjectContentToType(content)
	if err != nil {
		return fmt.Errorf("read %s: %w", content.Obj.Value, typed(err))
	}
	if from, ok := object.(mo.VirtualMachine); ok {
		vm := newVM(&from)
		if s.details {
			vm.Details = newDetails(&from, vm.Disks)
		}
		s.machines[vm.Moid] = vm
		s.parents[vm.Moid] = cmp.Or(from.Parent, from.ParentVApp)
		if inaccessible != nil {
			inaccessible.VM = vm
		}
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

// nameSurroundings fills in what is known of the VM's host, datastores and networks.
func (s *collected) nameSurroundings(vm *VM) {
	vm.HostProduct = s.products[vm.Host]
	if vm.Details == nil {
		return
	}
	vm.Details.Host = s.names[vm.Host]
	for _, datastore := range vm.Datastores {
		if name := s.names[datastore]; name != "" {
			vm.Details.Datastores = append(vm.Details.Datastores, name)
		}
	}
	slices.Sort(vm.Details.Datastores)
	for i, card := range vm.Cards {
		vm.Cards[i].Network = s.names[card.network]
		if card.named {
			vm.Cards[i].Network = card.network
		}
	}
}

// vms returns the VMs, or their errors, by managed object ID. Call it after the last page: a VM's ancestors may
// come after the VM.
func (s *collected) vms() map[string]answer[*VM] {
	vms := map[string]answer[*VM]{}
	for moid, vm := range s.machines {
		s.nameSurroundings(vm)
		var err error
		if vm.Path, err = s.path(moid); err != nil {
			vms[moid] = answer[*VM]{err: err}
		} else {
			vms[moid] = answer[*VM]{value: vm}
		}
	}
	for ref, err := range s.unreadable {
		if ref.Type == "VirtualMachine" {
			vms[ref.Value] = answer[*VM]{err: err}
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
		if slices.Contains(vmProperties, missing.Path) { // absent is not the same: a VM whose snapshots could not be read may have some
			return fmt.Errorf("read %s of %s: %T %s", missing.Path, content.Obj.Value, missing.Fault.Fault, missing.Fault.LocalizedMessage)
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
	// VM has what vCenter tells without a configuration: the name, the path, the connection state. It is nil if even that is unknown.
	VM *VM
}

func (e *InaccessibleError) Error() string {
	name := e.Moid
	if e.VM != nil {
		name = cmp.Or(e.VM.Path, e.Moid)
	}
	return fmt.Sprintf("read %s: the virtual machine is inaccessible, vCenter has no configuration of it", name)
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
