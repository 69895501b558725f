package vspheretest_test

import (
	"fmt"
	"testing"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// waiting is a property collector with a filter on a list view.
type waiting struct {
	*fixture
	collector, list types.ManagedObjectReference
}

func setUpWaiting(t *testing.T) *waiting {
	t.Helper()
	w := &waiting{fixture: setUp(t, vspheretest.Spec{})}
	vim := w.client.Client
	collector, err := methods.CreatePropertyCollector(t.Context(), vim, &types.CreatePropertyCollector{This: vim.ServiceContent.PropertyCollector})
	if err != nil {
		t.Fatal(err)
	}
	list, err := methods.CreateListView(t.Context(), vim, &types.CreateListView{This: *vim.ServiceContent.ViewManager})
	if err != nil {
		t.Fatal(err)
	}
	w.collector, w.list = collector.Returnval, list.Returnval
	_, err = methods.CreateFilter(t.Context(), vim, &types.CreateFilter{This: w.collector, Spec: types.PropertyFilterSpec{
		PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"config.changeTrackingEnabled", "name"}}},
		ObjectSet: []types.ObjectSpec{{
			Obj: w.list, Skip: new(true),
			SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: "ListView", Path: "view", Skip: new(false)}},
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *waiting) modify(t *testing.T, add, remove []types.ManagedObjectReference) {
	t.Helper()
	_, err := methods.ModifyListView(t.Context(), w.client.Client, &types.ModifyListView{This: w.list, Add: add, Remove: remove})
	if err != nil {
		t.Error(err)
	}
}

// updates returns the changes since a version, nil if there are none within a second.
func (w *waiting) updates(t *testing.T, version string) (*types.UpdateSet, error) {
	t.Helper()
	res, err := methods.WaitForUpdatesEx(t.Context(), w.client.Client, &types.WaitForUpdatesEx{
		This: w.collector, Version: version, Options: &types.WaitOptions{MaxWaitSeconds: types.NewInt32(1)},
	})
	if err != nil {
		return nil, err
	}
	return res.Returnval, nil
}

func (w *waiting) objects(t *testing.T, version string) ([]types.ObjectUpdate, string) {
	t.Helper()
	set, err := w.updates(t, version)
	if err != nil {
		t.Fatal(err)
	}
	if set == nil {
		return nil, version
	}
	var objects []types.ObjectUpdate
	for _, filter := range set.FilterSet {
		objects = append(objects, filter.ObjectSet...)
	}
	return objects, set.Version
}

func TestUpdatesOfAView(t *testing.T) {
	t.Parallel()
	w := setUpWaiting(t)
	vm := w.vm.Reference()
	got, version := w.objects(t, "")
	if len(got) != 0 || version == "" {
		t.Errorf("empty view: %v, version %q", got, version)
	}
	w.modify(t, []types.ManagedObjectReference{vm}, nil)
	got, version = w.objects(t, version)
	if len(got) != 1 || got[0].Kind != types.ObjectUpdateKindEnter || len(got[0].ChangeSet) != 2 {
		t.Errorf("after adding the VM: %v", got)
	}
	if err := w.enable(t, true); err != nil {
		t.Fatal(err)
	}
	w.Stun()
	got, version = w.objects(t, version)
	if len(got) != 1 || got[0].Kind != types.ObjectUpdateKindModify || len(got[0].ChangeSet) != 1 || got[0].ChangeSet[0].Val != true {
		t.Errorf("after changing the VM: %v", got)
	}
	if got, same := w.objects(t, version); len(got) != 0 || same != version {
		t.Errorf("updates without a change: %v", got)
	}
	w.modify(t, nil, []types.ManagedObjectReference{vm})
	if got, _ = w.objects(t, version); len(got) != 1 || got[0].Kind != types.ObjectUpdateKindLeave {
		t.Errorf("after removing the VM: %v", got)
	}
}

// A version can be used once, and an answer has at most 100 objects.
func TestVersionsAndPagesOfUpdates(t *testing.T) {
	t.Parallel()
	w := setUpWaiting(t)
	var all []types.ManagedObjectReference
	for i := range 150 {
		vm, err := w.vcenter.AddVM(vspheretest.Spec{Path: fmt.Sprintf("/DC0/vm/more/vm%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, types.ManagedObjectReference{Type: "VirtualMachine", Value: vm.Moid()})
	}
	w.modify(t, all, nil)
	first, err := w.updates(t, "")
	if err != nil || len(first.FilterSet[0].ObjectSet) != 100 || first.Truncated == nil || !*first.Truncated {
		t.Fatalf("first 100 objects: %v", err)
	}
	rest, _ := w.objects(t, first.Version)
	if len(rest) != 50 {
		t.Errorf("%d objects in the second answer, want 50", len(rest))
	}
	_, err = w.updates(t, first.Version)
	wantFault[*types.InvalidCollectorVersion](t, err)
}

func TestWaitEndsWithItsSession(t *testing.T) {
	t.Parallel()
	w := setUpWaiting(t)
	_, version := w.objects(t, "")
	w.vcenter.Observe("WaitForUpdatesEx", 0, 1, func() { go w.vcenter.DropSessions() })
	_, err := w.updates(t, version)
	wantFault[*types.NotAuthenticated](t, err)
}

// A view that changes during a wait must not cause a deadlock.
func TestViewChangesDuringAWait(t *testing.T) {
	t.Parallel()
	w := setUpWaiting(t)
	vm := []types.ManagedObjectReference{w.vm.Reference()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := range 200 {
			if i%2 == 0 {
				w.modify(t, vm, nil)
			} else {
				w.modify(t, nil, vm)
			}
			w.Stun()
		}
	}()
	for version := ""; ; {
		set, err := w.updates(t, version)
		if err != nil {
			t.Fatal(err)
		}
		if set != nil {
			version = set.Version
		}
		select {
		case <-ended:
			return
		default:
		}
	}
}
