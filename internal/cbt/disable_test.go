package cbt_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// A suspended VM needs a stun, like a running one.
func TestSuspendedVM(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	if err := vm.Suspend(); err != nil {
		t.Fatal(err)
	}
	before, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{})
	if err != nil || !before.Initialized() {
		t.Fatalf("ensure: %v", err)
	}
	after, err := manager.Reset(t.Context(), vm.Moid())
	if err != nil || !after.Initialized() || cbt.Epoch(after.Disks[0].ChangeID) == cbt.Epoch(before.Disks[0].ChangeID) {
		t.Fatalf("reset: %v", err)
	}
	if err := manager.Disable(t.Context(), vm.Moid()); err != nil {
		t.Fatal(err)
	}
	if enabled, ids := vm.Tracking(); enabled || ids[2000] != "" {
		t.Errorf("after Disable: flag %t, %v", enabled, ids)
	}
	vcenter.Revoke("VirtualMachine.State.CreateSnapshot")
	status, err := manager.ReadUncached(t.Context(), vm.Moid())
	if err != nil {
		t.Fatal(err)
	}
	if got := manager.Blockers(t.Context(), status, false); len(got) != 1 || !strings.Contains(got[0], "CreateSnapshot") {
		t.Errorf("blockers: %q", got)
	}
}

// Disable also cancels an enable that waits for a stun (fact 4).
func TestDisableTakesBackWhatWaitsForAStun(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	vcenter.FailTasks("CreateSnapshot_Task", 1)
	if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err == nil {
		t.Fatal("no error")
	}
	if enabled, _ := vm.Tracking(); enabled {
		t.Fatal("the flag is set already, but this test needs it to wait for a stun")
	}
	if err := manager.Disable(t.Context(), vm.Moid()); err != nil {
		t.Fatal(err)
	}
	vm.Stun()
	if enabled, ids := vm.Tracking(); enabled || ids[2000] != "" {
		t.Errorf("CBT was enabled by the stun: flag %t, %v", enabled, ids)
	}
}

// If CBT is disabled already, a refused write is not an error.
func TestDisableWhereItIsOffAndHeld(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	for name, hold := range map[string]func(vm *vspheretest.Machine){
		"disabled": func(vm *vspheretest.Machine) { vm.DisableMethod("ReconfigVM_Task", "com.example.backup") },
		"hardware": func(vm *vspheretest.Machine) { vm.SetHardware("vmx-06") },
		"denied":   func(*vspheretest.Machine) { vcenter.Revoke("VirtualMachine.Config.ChangeTracking") },
	} {
		vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/" + name})
		hold(vm)
		if err := manager.Disable(t.Context(), vm.Moid()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		vcenter.Grant("VirtualMachine.Config.ChangeTracking")
	}
}

// If vCenter forgets a task, the VM is read to see what the task did.
func TestForgottenTask(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]struct {
		method string
		run    func(*cbt.Manager, *vspheretest.Machine) error
		want   bool
	}{
		"switched off": {"ReconfigVM_Task", func(m *cbt.Manager, vm *vspheretest.Machine) error { return m.Disable(t.Context(), vm.Moid()) }, false},
		"reset": {"ReconfigVM_Task", func(m *cbt.Manager, vm *vspheretest.Machine) error {
			_, err := m.Reset(t.Context(), vm.Moid())
			return err
		}, true},
		"snapshot of a reset": {"CreateSnapshot_Task", func(m *cbt.Manager, vm *vspheretest.Machine) error {
			_, err := m.Reset(t.Context(), vm.Moid())
			return err
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vcenter, manager := start(t)
			vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
			if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
				t.Fatal(err)
			}
			release := vm.HoldTasks(do.method)
			vcenter.Observe(do.method, 0, 1, func() {
				vcenter.Observe("WaitForUpdatesEx", 1, 1, func() { // the wait for the task
					go func() {
						vcenter.ForgetTasks()
						release()
					}()
				})
			})
			if err := do.run(manager, vm); err != nil {
				t.Error(err)
			}
			if enabled, ids := vm.Tracking(); enabled != do.want || (ids[2000] != "") != do.want || len(vm.Snapshots()) > 0 {
				t.Errorf("flag %t, %v, snapshots %v", enabled, ids, vm.Snapshots())
			}
		})
	}
}

// A reset that waited for a cycle uses the state after the cycle.
func TestResetAfterACycle(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
		t.Fatal(err)
	}
	reset := make(chan error, 1)
	err := manager.Exclusive(t.Context(), vm.Moid(), func() error {
		if err := vm.AddSnapshot("migratekit", ""); err != nil {
			return err
		}
		if _, err := manager.ReadCached(t.Context(), vsphere.Name{Moid: vm.Moid()}); err != nil { // as a plan does
			return err
		}
		go func() {
			_, err := manager.Reset(t.Context(), vm.Moid())
			reset <- err
		}()
		return vm.RemoveSnapshots()
	})
	if err := errors.Join(err, <-reset); err != nil {
		t.Error(err)
	}
}

func TestResetRefusesSnapshots(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := vm.AddSnapshot("nightly", ""); err != nil {
		t.Fatal(err)
	}
	vcenter.ResetCalls()
	var blocked *cbt.BlockedError
	if _, err := manager.Reset(t.Context(), vm.Moid()); !errors.As(err, &blocked) || !strings.Contains(err.Error(), `"nightly" of `) {
		t.Errorf("got %v", err)
	}
	if calls := vcenter.Calls(); calls["ReconfigVM_Task"]+calls["CreateSnapshot_Task"] > 0 {
		t.Errorf("the refused reset wrote to the VM: %v", calls)
	}
}

// At whichever call a reset fails: no temporary snapshot is left unless the error names it, CBT stays enabled unless
// the error says otherwise, and a second reset works.
func TestResetSurvivesEveryCall(t *testing.T) {
	t.Parallel()
	// The other blows hit the calls shared with Ensure, which are tested there.
	for _, blow := range []blow{blows[1], blows[3], blows[4]} {
		t.Run(blow.name, func(t *testing.T) {
			t.Parallel()
			vcenter, ensurer := start(t)
			calls := 1 // a minimum; the clean run sets the number
			for skip := 0; skip <= calls; skip++ {
				vm := addVM(t, vcenter, vspheretest.Spec{Path: fmt.Sprintf("/DC0/vm/vm%d", skip)})
				if _, err := ensurer.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
					t.Fatal(err)
				}
				manager, closeClient := connected(t, vcenter)
				vcenter.ResetCalls()
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				at := skip - 1
				var struck *vspheretest.Interceptor
				if at >= 0 {
					struck = blow.strike(vcenter, at, cancel)
				}
				_, err := manager.Reset(ctx, vm.Moid())
				cancel()
				if struck != nil {
					struck.Release()
				}
				if at < 0 {
					if err != nil {
						t.Fatal(err)
					}
					calls = total(vcenter.Calls())
				}
				var left *cbt.LeftSnapshotError
				if names := vm.Snapshots(); len(names) > 0 && (!errors.As(err, &left) || !strings.Contains(err.Error(), names[0])) {
					t.Errorf("call %d: snapshots %v are left, but the error is %v", at, names, err)
				}
				vm.Stun()
				if enabled, _ := vm.Tracking(); !enabled && (err == nil || !strings.Contains(err.Error(), "is switched off now")) {
					t.Errorf("call %d: CBT is disabled, but the error is %v", at, err)
				}
				status, err := manager.Reset(t.Context(), vm.Moid())
				if err != nil || !status.Initialized() || len(vm.Snapshots()) > 0 {
					t.Errorf("call %d: second reset: %v, snapshots %v", at, err, vm.Snapshots())
				}
				closeClient()
			}
			if calls < 15 {
				t.Errorf("a clean run made only %d calls", calls)
			}
		})
	}
}

// Blockers also reports what blocks the removal of a snapshot left by an earlier run.
func TestLeftoverBlockers(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := vm.AddSnapshot("vma-cbt-init-left", "[terraform-provider-vma:cbt-init]"); err != nil {
		t.Fatal(err)
	}
	blockers := func() string {
		status, err := manager.ReadUncached(t.Context(), vm.Moid())
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(manager.Blockers(t.Context(), status, false), "\n")
	}
	if got := blockers(); got != "" {
		t.Errorf("blockers: %s", got)
	}
	vcenter.Revoke("VirtualMachine.State.RemoveSnapshot")
	vm.DisableMethod("RemoveSnapshot_Task", "com.example.backup")
	if got := blockers(); !strings.Contains(got, "no privilege VirtualMachine.State.RemoveSnapshot") || !strings.Contains(got, "RemoveSnapshot_Task is disabled") {
		t.Errorf("blockers: %s", got)
	}
}

// A cached status is never modified, and a read that began before a write is not used after it.
func TestRecentIsNobodysElse(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	name := vsphere.Name{Moid: vm.Moid()}
	if err := vm.AddSnapshot("vma-cbt-init-left", "[terraform-provider-vma:cbt-init]"); err != nil {
		t.Fatal(err)
	}
	read, err := manager.ReadCached(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
			t.Error(err)
		}
	})
	for range 100 {
		if len(read.VM.Snapshots) != 1 || read.VM.Snapshots[0].Name != "vma-cbt-init-left" {
			t.Fatalf("the cached status has changed: %+v", read.VM.Snapshots)
		}
	}
	group.Wait()

	// A slow answer, with the state before the write.
	slow := make(chan struct{})
	answered := make(chan struct{})
	vcenter.Intercept(&vspheretest.Interceptor{Method: "RetrievePropertiesEx", Times: 1, After: func(http.ResponseWriter, *http.Request) bool {
		close(answered)
		<-slow
		return false
	}})
	group.Go(func() {
		if _, err := manager.Read(t.Context(), name); err != nil {
			t.Error(err)
		}
	})
	<-answered
	if err := manager.Disable(t.Context(), vm.Moid()); err != nil {
		t.Fatal(err)
	}
	close(slow)
	group.Wait()
	if status, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil || !status.Initialized() {
		t.Errorf("%v", err)
	}
	if enabled, _ := vm.Tracking(); !enabled {
		t.Error("Ensure used a stale status")
	}
}
