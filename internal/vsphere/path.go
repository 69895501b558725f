package vsphere

import (
	"context"
	"fmt"
	"maps"
	"path"
	"strings"
	"sync"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// paths caches managed object IDs by inventory path, from folder listings. An entry may be outdated: the caller
// checks that the VM still has that path.
type paths struct {
	mu    sync.Mutex
	moids map[string]string
}

func (p *paths) get(path string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.moids[path]
}

func (p *paths) put(moids map[string]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(p.moids, moids)
}

func (p *paths) drop(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.moids, path)
}

// escapes are the characters that vCenter escapes in names, in either case of the digits.
var escapes = strings.NewReplacer("%2F", "%2f", "%5C", "%5c")

// CanonicalPath returns an inventory path in vCenter's own spelling: a slash in a name is %2f, a backslash %5c, a percent sign %25.
func CanonicalPath(path string) string { return escapes.Replace(path) }

func (c *Client) findByPath(ctx context.Context, path string) (*VM, error) {
	path = CanonicalPath(path)
	if moid := c.paths.get(path); moid != "" {
		if vm, found, err := c.reads.do(ctx, moid); err == nil && found && vm.Path == path {
			return vm, nil
		}
		c.paths.drop(path)
	}
	before := ""
	for {
		moid, found, err := c.lookups.do(ctx, path)
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
		vm, found, err := c.reads.do(ctx, moid)
		// Another path means a rename between the two calls, unless two lookups returned this VM.
		if err != nil || found && (vm.Path == path || moid == before) {
			return vm, err
		}
		if !found && moid == before {
			break
		}
		c.paths.drop(path)
		before = moid
	}
	return nil, fmt.Errorf("virtual machine %s: %w", Name{Path: path}, ErrNotFound)
}

// lookUp finds managed object IDs by path. It lists a folder if several of the VMs are in it.
func (c *Client) lookUp(ctx context.Context, wanted []string) (map[string]answer[string], error) {
	inFolder := map[string][]string{}
	for _, p := range wanted {
		folder := path.Dir(p)
		inFolder[folder] = append(inFolder[folder], p)
	}
	answers := map[string]answer[string]{}
	err := c.do(ctx, "look up virtual machines", func(vim *vim25.Client) error {
		for folder, in := range inFolder {
			listed := map[string]string{}
			if len(in) > 1 {
				var err error
				if listed, err = list(ctx, vim, folder); err != nil {
					return err
				}
				c.paths.put(listed)
			}
			for _, p := range in {
				if moid, ok := listed[p]; ok {
					answers[p] = answer[string]{value: moid}
				} else if err := lookUpOne(ctx, vim, p, answers); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return answers, err
}

// list returns the VMs in a folder by path, or nil if it is not a folder.
func list(ctx context.Context, vim *vim25.Client, folder string) (map[string]string, error) {
	found, err := findByInventoryPath(ctx, vim, folder)
	if err != nil || found == nil || found.Type != "Folder" {
		return nil, err
	}
	listed := map[string]string{}
	err = retrieve(ctx, vim, types.PropertyFilterSpec{
		PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"name"}}},
		ObjectSet: []types.ObjectSpec{{
			Obj: *found, Skip: new(true),
			SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: "Folder", Path: "childEntity", Skip: new(false)}},
		}},
	}, func(page []types.ObjectContent) {
		for _, object := range page {
			for _, property := range object.PropSet {
				if name, ok := property.Val.(string); ok {
					listed[strings.TrimSuffix(folder, "/")+"/"+name] = object.Obj.Value
				}
			}
		}
	})
	return listed, err
}

func lookUpOne(ctx context.Context, vim *vim25.Client, path string, answers map[string]answer[string]) error {
	found, err := findByInventoryPath(ctx, vim, path)
	switch {
	case err != nil:
		return err
	case found == nil:
	case found.Type != "VirtualMachine":
		answers[path] = answer[string]{err: &NotVMError{Path: path, Type: found.Type}}
	default:
		answers[path] = answer[string]{value: found.Value}
	}
	return nil
}

// findByInventoryPath returns nil if no object has that path.
func findByInventoryPath(ctx context.Context, vim *vim25.Client, path string) (*types.ManagedObjectReference, error) {
	res, err := methods.FindByInventoryPath(ctx, vim, &types.FindByInventoryPath{
		This: *vim.ServiceContent.SearchIndex, InventoryPath: strings.TrimPrefix(path, "/"),
	})
	if err != nil {
		return nil, err
	}
	return res.Returnval, nil
}
