package vsphere_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

func addVMs(t *testing.T, vcenter *vspheretest.VCenter, n int) []*vspheretest.Machine {
	t.Helper()
	vms := make([]*vspheretest.Machine, n)
	for i := range vms {
		vms[i] = addVM(t, vcenter, fmt.Sprintf("/DC0/vm/estate/vm%03d", i))
	}
	return vms
}

// each calls do for every VM, ten at a time, as Terraform does.
func each(vms []*vspheretest.Machine, do func(vm *vspheretest.Machine)) {
	todo := make(chan *vspheretest.Machine)
	var workers sync.WaitGroup
	for range 10 {
		workers.Go(func() {
			for vm := range todo {
				do(vm)
			}
		})
	}
	for _, vm := range vms {
		todo <- vm
	}
	close(todo)
	workers.Wait()
}

func TestTasksShareOneCollector(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vms := addVMs(t, vcenter, 50)
	client := newClient(t, config(vcenter))
	each(vms, func(vm *vspheretest.Machine) {
		if err := client.SetChangeTracking(t.Context(), known(vm), true); err != nil {
			t.Error(err)
		}
		snapshot, err := client.CreateSnapshot(t.Context(), known(vm), "s", "")
		if err != nil {
			t.Error(err)
		}
		if err := client.RemoveSnapshot(t.Context(), known(vm), snapshot); err != nil {
			t.Error(err)
		}
	})
	for _, vm := range vms {
		if tracking, ids := vm.Tracking(); !tracking || ids[2000] == "" || len(vm.Snapshots()) > 0 {
			t.Errorf("%s is not tracked", vm.Moid())
		}
	}
	calls := vcenter.Calls()
	for _, method := range []string{"CreatePropertyCollector", "CreateListView", "CreateFilter"} {
		if calls[method] != 1 {
			t.Errorf("%d of %s", calls[method], method)
		}
	}
	// At most two calls per task: one adds it to the view, one reports its end.
	if calls["ModifyListView"] > 150 || calls["WaitForUpdatesEx"] > 151 || calls["DestroyPropertyCollector"] > 0 {
		t.Errorf("calls: %v", calls)
	}
}

// A view reports an ended task only once, so the client must keep the result.
func TestTaskThatEndedIsKnown(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vm := addVM(t, vcenter, "/DC0/vm/a")
	client := newClient(t, config(vcenter))
	release := vm.Occupy()
	var busy *vsphere.TaskInProgressError
	if err := client.SetChangeTracking(t.Context(), known(vm), true); !errors.As(err, &busy) {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if err := client.WaitTask(t.Context(), busy.Task); err != nil {
				t.Error(err)
			}
		})
	}
	release()
	all.Wait()
	vcenter.ResetCalls()
	if err := client.WaitTask(t.Context(), busy.Task); err != nil || len(vcenter.Calls()) > 0 {
		t.Errorf("%v, calls: %v", err, vcenter.Calls())
	}
	begun := make(chan struct{})
	vcenter.Observe("WaitForUpdatesEx", 0, 1, func() { close(begun) })
	release = vm.Occupy()
	if err := client.SetChangeTracking(t.Context(), known(vm), true); !errors.As(err, &busy) {
		t.Fatal(err)
	}
	// A caller that gives up and waits again still gets the result.
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	if err := client.WaitTask(ctx, busy.Task); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	again := make(chan error)
	go func() { again <- client.WaitTask(t.Context(), busy.Task) }()
	release()
	if err := <-again; err != nil {
		t.Error(err)
	}
}

func TestTaskThatVCenterDoesNotKnow(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vm := addVM(t, vcenter, "/DC0/vm/a")
	client := newClient(t, config(vcenter))
	vcenter.ResetCalls()
	if err := client.WaitTask(t.Context(), "task-unknown"); err != nil {
		t.Errorf("a task that vCenter has forgotten is one that ended: %v", err)
	}
	if err := client.SetChangeTracking(t.Context(), known(vm), true); err != nil {
		t.Errorf("the next task: %v", err)
	}
}

// The last caller that gives up cancels a hanging wait; the next caller starts a new one.
func TestWaitThatHangs(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vm, other := addVM(t, vcenter, "/DC0/vm/a"), addVM(t, vcenter, "/DC0/vm/b")
	client := newClient(t, config(vcenter))
	reached := make(chan struct{})
	vcenter.Hang("WaitForUpdatesEx", 0, 1)
	vcenter.Observe("WaitForUpdatesEx", 0, 1, func() { close(reached) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	if err := client.SetChangeTracking(ctx, known(vm), true); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := client.SetChangeTracking(t.Context(), known(other), true); err != nil {
		t.Error(err)
	}
}

func TestWaitSurvives(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"CreatePropertyCollector", "CreateListView", "CreateFilter", "ModifyListView", "WaitForUpdatesEx"} {
		for what, happens := range map[string]func(*vspheretest.VCenter){
			"lost before":     func(v *vspheretest.VCenter) { v.DropBefore(method, 0, 1) },
			"lost after":      func(v *vspheretest.VCenter) { v.DropAfter(method, 0, 1) },
			"session expires": func(v *vspheretest.VCenter) { v.ExpireBefore(method, 0, 1) },
			"every session":   func(v *vspheretest.VCenter) { v.ExpireBefore(method, 1, 1) },
		} {
			t.Run(method+" "+what, func(t *testing.T) {
				t.Parallel()
				vcenter := startVCenter(t)
				vms := addVMs(t, vcenter, 3)
				client := newClient(t, config(vcenter))
				happens(vcenter)
				each(vms, func(vm *vspheretest.Machine) {
					for _, on := range []bool{true, false} {
						if err := client.SetChangeTracking(t.Context(), known(vm), on); err != nil {
							t.Error(err)
						}
					}
				})
			})
		}
	}
}

// Replacing the view blocks neither the long task nor a new short one.
func TestWaitGoesOnWithAnotherView(t *testing.T) {
	t.Parallel()
	for name, strike := range map[string]func(t *testing.T, vcenter *vspheretest.VCenter, client *vsphere.Client, other *vspheretest.Machine){
		"a call is lost": func(_ *testing.T, vcenter *vspheretest.VCenter, _ *vsphere.Client, _ *vspheretest.Machine) {
			vcenter.DropBefore("ModifyListView", 0, 1)
		},
		"somebody gives up": func(t *testing.T, vcenter *vspheretest.VCenter, client *vsphere.Client, other *vspheretest.Machine) {
			ctx, cancel := context.WithCancel(t.Context())
			vcenter.Hang("ModifyListView", 0, 1)
			vcenter.Observe("ModifyListView", 0, 1, cancel)
			if err := client.SetChangeTracking(ctx, known(other), true); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vcenter := startVCenter(t)
			vms := addVMs(t, vcenter, 3)
			client := newClient(t, config(vcenter))
			release := vms[0].HoldTasks("ReconfigVM_Task")
			waits := make(chan struct{})
			vcenter.Observe("WaitForUpdatesEx", 1, 1, func() { close(waits) })
			long := make(chan error, 1)
			go func() { long <- client.SetChangeTracking(t.Context(), known(vms[0]), true) }()
			<-waits
			strike(t, vcenter, client, vms[1])
			// vCenter holds an idle wait for a minute; this test fails earlier.
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := client.SetChangeTracking(ctx, known(vms[2]), true); err != nil {
				t.Errorf("a short task beside a long one: %v", err)
			}
			release()
			if err := <-long; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFaultOfTheSharedWait(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"CreatePropertyCollector", "CreateFilter", "ModifyListView", "WaitForUpdatesEx"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			vcenter := startVCenter(t)
			client := newClient(t, config(vcenter))
			vcenter.Fail(method, 0, 1)
			each(addVMs(t, vcenter, 8), func(vm *vspheretest.Machine) {
				if err := client.SetChangeTracking(t.Context(), known(vm), true); err != nil {
					t.Error(err)
				}
			})
			// A permanent fault is returned.
			vm := addVM(t, vcenter, "/DC0/vm/last")
			vcenter.Fail(method, 0, 0)
			vcenter.DropSessions() // forces a new view
			var fault *vsphere.FaultError
			if err := client.SetChangeTracking(t.Context(), known(vm), true); !errors.As(err, &fault) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLookupMeetsASwapOfNames(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vms := addVMs(t, vcenter, 2)
	client := newClient(t, config(vcenter))
	vcenter.Observe("RetrievePropertiesEx", 0, 1, func() {
		if err := errors.Join(vms[0].Rename("x"), vms[1].Rename("vm000"), vms[0].Rename("vm001")); err != nil {
			t.Error(err)
		}
	})
	got, err := client.Find(t.Context(), vsphere.Name{Path: "/DC0/vm/estate/vm000"})
	if err != nil || got.Moid != vms[1].Moid() || got.Path != "/DC0/vm/estate/vm000" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFolderOutlivesItsSession(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	addVMs(t, vcenter, 3)
	client := newClient(t, config(vcenter))
	vcenter.ExpireBefore("RetrievePropertiesEx", 0, 1)
	if vms, _, err := client.FolderVMs(t.Context(), "", false); err != nil || len(vms) != 3 {
		t.Errorf("%d, %v", len(vms), err)
	}
}

func TestReadsShareACall(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vms := addVMs(t, vcenter, 100)
	client := newClient(t, config(vcenter))
	if err := vms[7].Destroy(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first round does not know the batch size yet
		vcenter.ResetCalls()
		each(vms, func(vm *vspheretest.Machine) {
			got, err := client.VM(t.Context(), vm.Moid())
			if vm == vms[7] {
				if !errors.Is(err, vsphere.ErrNotFound) {
					t.Errorf("one that is gone: %v", err)
				}
			} else if err != nil || got.Moid != vm.Moid() {
				t.Errorf("%s: %v", vm.Moid(), err)
			}
		})
	}
	if calls := vcenter.Calls(); calls["RetrievePropertiesEx"] > 50 {
		t.Errorf("calls for 100 reads, ten at a time: %v", calls)
	}
}

func TestLookupsShareAListing(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vms := addVMs(t, vcenter, 100)
	client := newClient(t, config(vcenter))
	path := map[*vspheretest.Machine]string{}
	for i, vm := range vms {
		path[vm] = fmt.Sprintf("/DC0/vm/estate/vm%03d", i)
	}
	find := func(vm *vspheretest.Machine) {
		got, err := client.Find(t.Context(), vsphere.Name{Path: path[vm]})
		if err != nil || got.Moid != vm.Moid() {
			t.Errorf("%s: %v", path[vm], err)
		}
	}
	each(vms, find)
	if calls := vcenter.Calls(); calls["FindByInventoryPath"] > 20 {
		t.Errorf("calls for 100 lookups: %v", calls)
	}
	if err := vms[0].MoveTo("/DC0/vm/elsewhere"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Find(t.Context(), vsphere.Name{Path: path[vms[0]]}); !errors.Is(err, vsphere.ErrNotFound) {
		t.Errorf("one that was moved: %v", err)
	}
	another := addVM(t, vcenter, path[vms[0]])
	path[another] = path[vms[0]]
	find(another)
	vcenter.ResetCalls()
	find(vms[1])
	if calls := vcenter.Calls(); len(calls) != 1 || calls["RetrievePropertiesEx"] != 1 {
		t.Errorf("one that was listed: %v", calls)
	}
	for _, wrong := range []string{"/DC0/vm/estate/none", "/DC0/vm/none/vm", "/none/vm/vm", "/none"} {
		both := make(chan error)
		for range 2 {
			go func() {
				_, err := client.Find(t.Context(), vsphere.Name{Path: wrong})
				both <- err
			}()
		}
		for range 2 {
			if err := <-both; !errors.Is(err, vsphere.ErrNotFound) {
				t.Errorf("%s: %v", wrong, err)
			}
		}
	}
}
