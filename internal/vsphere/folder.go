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

// NotFolderError says that an inventory path leads to something that holds no
// virtual machines below it.
type NotFolderError struct {
	// Type is the API's name of what is there.
	Path, Type string
}

func (e *NotFolderError) Error() string {
	return fmt.Sprintf("%q is a %s, not a folder or datacenter", e.Path, e.Type)
}

// FolderVMs reads every virtual machine and template in a folder or datacenter
// and below it, sorted by path; "" or "/" stands for all that there are. It
// costs a lookup, a view, one read for each thousand of them and the end of
// the view. Those whose configuration cannot be read are named in unreadable.
// Errors: ErrNotFound, NotFolderError and those of every call.
func (c *Client) FolderVMs(ctx context.Context, folder string) (vms []*VM, unreadable []error, err error) {
	var content []types.ObjectContent
	err = c.do(ctx, "list virtual machines", func(vim *vim25.Client) error {
		container, err := findFolder(ctx, vim, folder)
		if err != nil {
			return err
		}
		view, err := methods.CreateContainerView(ctx, vim, &types.CreateContainerView{
			This: *vim.ServiceContent.ViewManager, Container: container, Type: []string{"VirtualMachine"}, Recursive: true,
		})
		if err != nil {
			return err
		}
		defer destroyView(ctx, vim, view.Returnval)
		content, err = retrieveAll(ctx, vim, types.PropertyFilterSpec{
			PropSet: vmPropertySet(),
			ObjectSet: []types.ObjectSpec{{
				Obj: view.Returnval, Skip: new(true),
				SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{
					Type: "ContainerView", Path: "view", Skip: new(false), SelectSet: ancestors(),
				}},
			}},
		})
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	machines, above, unreadable, err := decode(content)
	if err != nil {
		return nil, nil, err
	}
	for _, vm := range machines {
		vms = append(vms, newVM(vm, inventoryPath(vm, above)))
	}
	slices.SortFunc(vms, func(a, b *VM) int { return strings.Compare(a.Path, b.Path) })
	return vms, unreadable, nil
}

func findFolder(ctx context.Context, vim *vim25.Client, folder string) (types.ManagedObjectReference, error) {
	path := strings.Trim(folder, "/")
	if path == "" {
		return vim.ServiceContent.RootFolder, nil
	}
	res, err := methods.FindByInventoryPath(ctx, vim, &types.FindByInventoryPath{
		This: *vim.ServiceContent.SearchIndex, InventoryPath: path,
	})
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	switch {
	case res.Returnval == nil:
		return types.ManagedObjectReference{}, fmt.Errorf("folder %q: %w", folder, ErrNotFound)
	case res.Returnval.Type != "Folder" && res.Returnval.Type != "Datacenter":
		return types.ManagedObjectReference{}, &NotFolderError{Path: folder, Type: res.Returnval.Type}
	}
	return *res.Returnval, nil
}

func destroyView(ctx context.Context, vim *vim25.Client, view types.ManagedObjectReference) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	// What is not destroyed here ends with the session.
	_, _ = methods.DestroyView(ctx, vim, &types.DestroyView{This: view})
}
