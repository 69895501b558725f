package vsphere

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// NotFolderError is returned when the object at an inventory path is not a folder or datacenter.
type NotFolderError struct {
	// Type is the API type of the object at Path.
	Path, Type string
}

func (e *NotFolderError) Error() string {
	return fmt.Sprintf("%q is a %s, not a folder or datacenter", e.Path, e.Type)
}

// FolderVMs reads all VMs and templates in a folder or datacenter and below it, sorted by path; "" or "/" means the
// whole inventory. details adds their Details. It makes one lookup, creates and destroys one view, and reads a page per
// pageSize objects (VMs and what is around them). If the session is lost meanwhile, it starts over once. unreadable holds an
// error for each VM that could not be read. Errors: ErrNotFound, NotFolderError and those of every call.
func (c *Client) FolderVMs(ctx context.Context, folder string, details bool) (vms []*VM, unreadable []error, err error) {
	var below *collected
	err = c.do(ctx, "list virtual machines", func(vim *vim25.Client) error {
		var view types.ManagedObjectReference
		below, view, err = listBelow(ctx, vim, folder, details)
		if gone, ok := faultOf(err).(*types.ManagedObjectNotFound); ok && gone.Obj == view {
			below, _, err = listBelow(ctx, vim, folder, details) // the view ended with its session
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	all := below.vms()
	for _, moid := range slices.Sorted(maps.Keys(all)) {
		if vm := all[moid]; vm.err == nil {
			vms = append(vms, vm.value)
		} else {
			unreadable = append(unreadable, vm.err)
		}
	}
	slices.SortStableFunc(vms, func(a, b *VM) int { return strings.Compare(a.Path, b.Path) })
	return vms, unreadable, nil
}

// listBelow reads the VMs below a folder through a view. The caller needs the view to recognize its faults.
func listBelow(ctx context.Context, vim *vim25.Client, folder string, details bool) (below *collected, view types.ManagedObjectReference, err error) {
	container, err := findFolder(ctx, vim, folder)
	if err != nil {
		return nil, view, err
	}
	res, err := methods.CreateContainerView(ctx, vim, &types.CreateContainerView{
		This: *vim.ServiceContent.ViewManager, Container: container, Type: []string{"VirtualMachine"}, Recursive: true,
	})
	if err != nil {
		return nil, view, err
	}
	view = res.Returnval
	defer destroyView(ctx, vim, view)
	below = newCollected(details)
	return below, view, below.retrieve(ctx, vim, types.PropertyFilterSpec{
		PropSet: vmPropertySet(details),
		ObjectSet: []types.ObjectSpec{{
			Obj: view, Skip: new(true),
			SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{
				Type: "ContainerView", Path: "view", Skip: new(false), SelectSet: surroundings(details),
			}},
		}},
	})
}

func findFolder(ctx context.Context, vim *vim25.Client, folder string) (types.ManagedObjectReference, error) {
	path := strings.Trim(CanonicalPath(folder), "/")
	if path == "" {
		return vim.ServiceContent.RootFolder, nil
	}
	found, err := findByInventoryPath(ctx, vim, path)
	switch {
	case err != nil:
		return types.ManagedObjectReference{}, err
	case found == nil:
		return types.ManagedObjectReference{}, fmt.Errorf("folder %q: %w", folder, ErrNotFound)
	case found.Type != "Folder" && found.Type != "Datacenter":
		return types.ManagedObjectReference{}, &NotFolderError{Path: folder, Type: found.Type}
	}
	return *found, nil
}

func destroyView(ctx context.Context, vim *vim25.Client, view types.ManagedObjectReference) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	// On failure, the view ends with the session.
	_, _ = methods.DestroyView(ctx, vim, &types.DestroyView{This: view})
}
