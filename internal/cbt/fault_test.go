package cbt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// blow is a fault that is injected into one call.
type blow struct {
	name string
	// strike hits one call after skip others. It may cancel the context.
	strike     func(vcenter *vspheretest.VCenter, skip int, cancel context.CancelFunc) *vspheretest.Interceptor
	losesLogin bool          // vCenter executes a login, but its answer is lost
	timeout    time.Duration // 0 if it must not be reached
}

var blows = []blow{
	{"the connection drops before it", func(v *vspheretest.VCenter, skip int, _ context.CancelFunc) *vspheretest.Interceptor {
		return v.DropBefore("", skip, 1)
	}, false, 0},
	{"the connection drops after it", func(v *vspheretest.VCenter, skip int, _ context.CancelFunc) *vspheretest.Interceptor {
		return v.DropAfter("", skip, 1)
	}, true, 0},
	{"the session expires before it", func(v *vspheretest.VCenter, skip int, _ context.CancelFunc) *vspheretest.Interceptor {
		return v.ExpireBefore("", skip, 1)
	}, false, 0},
	{"it is cancelled meanwhile", func(v *vspheretest.VCenter, skip int, cancel context.CancelFunc) *vspheretest.Interceptor {
		return v.Observe("", skip, 1, cancel)
	}, false, 0},
	{"it is answered with a fault", func(v *vspheretest.VCenter, skip int, _ context.CancelFunc) *vspheretest.Interceptor {
		return v.Fail("", skip, 1)
	}, false, 0},
	{"its answer is empty", func(v *vspheretest.VCenter, skip int, _ context.CancelFunc) *vspheretest.Interceptor {
		return v.Answer("", skip, 1, vspheretest.EmptyAnswer)
	}, true, 0},
	{"its answer is that of another service", func(v *vspheretest.VCenter, skip int, _ context.CancelFunc) *vspheretest.Interceptor {
		return v.Answer("", skip, 1, vspheretest.ForeignAnswer)
	}, true, 0},
	{"it hangs until the timeout", func(v *vspheretest.VCenter, skip int, _ context.CancelFunc) *vspheretest.Interceptor {
		return v.Hang("", skip, 1)
	}, false, time.Second},
}

// At whichever call Ensure fails: no temporary snapshot is left unless the error names it, and a second Ensure works.
func TestEnsureSurvivesEveryCall(t *testing.T) {
	t.Parallel()
	for _, blow := range blows {
		t.Run(blow.name, func(t *testing.T) {
			t.Parallel()
			vcenter, _ := start(t)
			calls := 1 // a minimum; the clean run sets the number
			for skip := 0; skip <= calls; skip++ {
				vm := addVM(t, vcenter, vspheretest.Spec{Path: fmt.Sprintf("/DC0/vm/vm%d", skip)})
				manager, closeClient := connected(t, vcenter)
				vcenter.ResetCalls()
				// The first round injects no fault and counts the calls.
				at, timeout := skip-1, 30*time.Second
				if at >= 0 && blow.timeout > 0 {
					timeout = blow.timeout
				}
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				var struck *vspheretest.Interceptor
				if at >= 0 {
					struck = blow.strike(vcenter, at, cancel)
				}
				_, err := manager.Ensure(ctx, vm.Moid(), cbt.Options{})
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
				status, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{})
				if err != nil || !status.Initialized() {
					t.Errorf("call %d: second Ensure: %v", at, err)
				}
				if names := vm.Snapshots(); len(names) > 0 {
					t.Errorf("call %d: snapshots after the second Ensure: %v", at, names)
				}
				closeClient()
			}
			if calls < 15 {
				t.Errorf("a clean run made only %d calls", calls)
			}
			// If the answer to a login is lost, its session cannot be closed.
			if n := vcenter.Sessions(); n > 1 || (n == 1 && !blow.losesLogin) {
				t.Errorf("%d sessions left", n)
			}
		})
	}
}

// A snapshot that appears after Ensure gave up is named in the error and removed by the next Ensure.
func TestEnsureNamesASnapshotThatMayYetAppear(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	given, done := make(chan struct{}), make(chan struct{})
	vcenter.Intercept(&vspheretest.Interceptor{
		Method: "CreateSnapshot_Task", Times: 1,
		Before: func(http.ResponseWriter, *http.Request) bool { cancel(); <-given; return false },
		After:  func(http.ResponseWriter, *http.Request) bool { close(done); return true },
	})
	_, err := manager.Ensure(ctx, vm.Moid(), cbt.Options{})
	close(given)
	<-done
	var left *cbt.LeftSnapshotError
	if !errors.As(err, &left) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "may yet appear") {
		t.Fatalf("got %v", err)
	}
	if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
		t.Error(err)
	}
	if names := vm.Snapshots(); len(names) > 0 {
		t.Errorf("snapshots after the second Ensure: %v", names)
	}
}

func TestRemoveSnapshotsOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	if err := vm.AddSnapshot("migratekit", ""); err != nil {
		t.Fatal(err)
	}
	status, err := manager.ReadUncached(t.Context(), vm.Moid())
	if err != nil {
		t.Fatal(err)
	}
	if err := vcenter.Restart(); err != nil {
		t.Fatal(err)
	}
	vcenter.NotReady(4)
	removed, err := manager.RemoveSnapshots(t.Context(), status.VM, func(s vsphere.Snapshot) bool { return s.Name == "migratekit" })
	if err != nil || removed != 1 || len(vm.Snapshots()) > 0 {
		t.Errorf("%d removed, %v, left: %v", removed, err, vm.Snapshots())
	}
}

func TestEnsureSurvivesEveryTask(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"ReconfigVM_Task", "CreateSnapshot_Task", "RemoveSnapshot_Task"} {
		for times := 1; times <= 3; times++ {
			t.Run(fmt.Sprintf("%s %d times", method, times), func(t *testing.T) {
				t.Parallel()
				vcenter, manager := start(t)
				vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
				vcenter.FailTasks(method, times)
				_, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{})
				var left *cbt.LeftSnapshotError
				if names := vm.Snapshots(); len(names) > 0 && (!errors.As(err, &left) || !strings.Contains(err.Error(), names[0])) {
					t.Errorf("snapshots %v are left, but the error is %v", names, err)
				}
				if method != "RemoveSnapshot_Task" && err == nil {
					t.Error("no error")
				}
				vcenter.FailTasks(method, 0)
				if status, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil || !status.Initialized() || len(vm.Snapshots()) > 0 {
					t.Errorf("second Ensure: %v, snapshots %v", err, vm.Snapshots())
				}
			})
		}
	}
}

func total(calls map[string]int) int {
	n := 0
	for _, count := range calls {
		n += count
	}
	return n
}

func connected(t *testing.T, vcenter *vspheretest.VCenter) (manager *cbt.Manager, done func()) {
	t.Helper()
	client, err := vsphere.NewClient(account(vcenter))
	if err != nil {
		t.Fatal(err)
	}
	return cbt.NewManager(client, slog.New(slog.DiscardHandler)), func() {
		if err := client.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

func TestEnsureWaitsForAnotherTask(t *testing.T) {
	t.Parallel()
	vcenter, _ := start(t)
	var story bytes.Buffer
	client, err := vsphere.NewClient(account(vcenter))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(context.Background()) })
	manager := cbt.NewManager(client, slog.New(slog.NewTextHandler(&story, nil)))
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	release := vm.Occupy()
	refused := make(chan struct{})
	vcenter.Observe("WaitForUpdatesEx", 1, 1, func() { close(refused) }) // the wait for the task
	go func() { <-refused; release() }()
	if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
		t.Error(err)
	}
	want := fmt.Sprintf(`msg="Waiting for another task on the virtual machine" vm_path=/DC0/vm/a task=task-[0-9]+ operation="VirtualMachine.backup by %s"`, vspheretest.Username)
	if !regexp.MustCompile(want).Match(story.Bytes()) {
		t.Errorf("the log does not name the other task:\n%s", story.String())
	}
}

func TestEnsureGivesUpOnAnotherTaskInTime(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	release := vm.Occupy()
	defer release()
	for timeout := 300 * time.Millisecond; ; timeout *= 2 { // until it is long enough to find the other task
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		_, err := manager.Ensure(ctx, vm.Moid(), cbt.Options{})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || t.Context().Err() != nil {
			t.Fatalf("got %v", err)
		}
		if strings.Contains(err.Error(), "which holds the virtual machine") {
			return
		}
	}
}

func TestEnsureSerializesOneVM(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	results := make(chan error, 4)
	for range cap(results) {
		go func() {
			_, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{})
			results <- err
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if got := vcenter.Calls()["CreateSnapshot_Task"]; got != 1 {
		t.Errorf("%d snapshots were made", got)
	}
}

func TestEnsureVMVanishes(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	vcenter.Observe("CreateSnapshot_Task", 0, 1, func() {
		if err := vm.Destroy(); err != nil {
			t.Error(err)
		}
	})
	if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); !errors.Is(err, vsphere.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// A cycle may take a day. Ensure does not wait for it, Disable does.
func TestEnsureDoesNotWaitForACycle(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"})
	err := manager.Exclusive(t.Context(), vm.Moid(), func() error {
		if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := manager.Disable(ctx, vm.Moid()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Disable did not wait for the cycle: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if enabled, _ := vm.Tracking(); !enabled {
		t.Error("CBT is disabled")
	}
}
