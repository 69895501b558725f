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

// each does something with every VM, ten at a time, as Terraform does.
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

// However many tasks there are, one collector waits for them.
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
	// A task needs at most to be put into the view, and to be told of once.
	if calls["ModifyListView"] > 150 || calls["WaitForUpdatesEx"] > 151 || calls["DestroyPropertyCollector"] > 0 {
		t.Errorf("calls: %v", calls)
	}
}

// A task that has ended is not asked about again, however often it is waited
// for: in a view it would show up only once.
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
	// Whoever gives up and comes again is still told.
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

// A wait that hangs ends with whoever waits, and the next one has one of its
// own.
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

// Whatever of a wait fails once, the task is told of: connections drop, the
// session expires.
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

// A view that is replaced while a long task is waited for keeps nobody waiting:
// neither the long task nor a short one that comes.
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
			// vCenter holds a wait for a minute where nothing changes; the test gives up
			// before.
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

// A fault of the wait that all share is about none of their tasks.
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
			// What stays is told.
			vm := addVM(t, vcenter, "/DC0/vm/last")
			vcenter.Fail(method, 0, 0)
			vcenter.DropSessions() // so that a view is made anew
			var fault *vsphere.FaultError
			if err := client.SetChangeTracking(t.Context(), known(vm), true); !errors.As(err, &fault) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Two VMs that swap their names while one is looked up are not taken for each
// other.
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

// A view of everything that ends with its session is made anew.
func TestFolderOutlivesItsSession(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	addVMs(t, vcenter, 3)
	client := newClient(t, config(vcenter))
	vcenter.ExpireBefore("RetrievePropertiesEx", 0, 1)
	if vms, _, err := client.FolderVMs(t.Context(), ""); err != nil || len(vms) != 3 {
		t.Errorf("%d, %v", len(vms), err)
	}
}

// Reads that come together share a call, and what cannot be read among them is
// told to whoever asked for it.
func TestReadsShareACall(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vms := addVMs(t, vcenter, 100)
	client := newClient(t, config(vcenter))
	if err := vms[7].Destroy(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first ones know of no crowd yet
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

// Several lookups in one folder cost a listing, and those after it nothing. What
// a listing said is not believed of a VM that has moved since.
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
