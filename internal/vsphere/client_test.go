package vsphere_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

func startVCenter(t *testing.T) *vspheretest.VCenter {
	t.Helper()
	vcenter, err := vspheretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	return vcenter
}

func config(vcenter *vspheretest.VCenter) vsphere.Config {
	return vsphere.Config{
		Server: vcenter.URL.Host, Username: vspheretest.Username, Password: vspheretest.Password, Thumbprint: vcenter.Thumbprint(),
	}
}

func newClient(t *testing.T, config vsphere.Config) *vsphere.Client {
	t.Helper()
	client, err := vsphere.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(context.Background()) })
	return client
}

func addVM(t *testing.T, vcenter *vspheretest.VCenter, path string) *vspheretest.Machine {
	t.Helper()
	vm, err := vcenter.AddVM(vspheretest.Spec{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func known(vm *vspheretest.Machine) *vsphere.VM { return &vsphere.VM{Moid: vm.Moid()} }

func TestOneLoginAndOneLogout(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vm := addVM(t, vcenter, "/DC0/vm/a")
	client := newClient(t, config(vcenter))
	if vcenter.Calls()["Login"] != 0 {
		t.Fatal("a client that nobody used has logged in")
	}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if _, err := client.VM(t.Context(), vm.Moid()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := vcenter.Calls()["Login"]; got != 1 {
		t.Errorf("%d logins", got)
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := vcenter.Sessions(); got != 0 {
		t.Errorf("%d sessions left", got)
	}
	if _, err := client.VM(t.Context(), vm.Moid()); !errors.Is(err, vsphere.ErrClosed) {
		t.Errorf("a call after Close: %v", err)
	}
	if err := client.Close(t.Context()); err != nil {
		t.Errorf("a second Close: %v", err)
	}
}

func TestCloseOfAnUnusedClient(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	if err := newClient(t, config(vcenter)).Close(t.Context()); err != nil {
		t.Error(err)
	}
	if calls := vcenter.Calls(); len(calls) != 0 {
		t.Errorf("calls: %v", calls)
	}
}

func TestPathOfAVMInAVApp(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vm := addVM(t, vcenter, "/DC0/vm/prod/web01")
	client := newClient(t, config(vcenter))
	if err := vm.PutIntoVApp("shop"); err != nil {
		t.Fatal(err)
	}
	read, err := client.VM(t.Context(), vm.Moid())
	if err != nil || read.Path != "/DC0/vm/prod/shop/web01" {
		t.Errorf("path %q, %v", read.Path, err)
	}
	vms, unreadable, err := client.FolderVMs(t.Context(), "", false)
	if err != nil || len(unreadable) > 0 || len(vms) != 1 || vms[0].Path != "/DC0/vm/prod/shop/web01" {
		t.Errorf("%+v, %v, %v", vms, unreadable, err)
	}
}

func TestDroppedSessionIsRenewed(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vm := addVM(t, vcenter, "/DC0/vm/a")
	client := newClient(t, config(vcenter))
	if _, err := client.VM(t.Context(), vm.Moid()); err != nil {
		t.Fatal(err)
	}
	vcenter.DropSessions()
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			if _, err := client.VM(t.Context(), vm.Moid()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if got := vcenter.Calls()["Login"]; got != 2 {
		t.Errorf("%d logins", got)
	}
	vcenter.ExpireBefore("ReconfigVM_Task", 0, 1)
	if err := client.SetChangeTracking(t.Context(), known(vm), true); err != nil {
		t.Error(err)
	}
	vcenter.RefuseLogins(true)
	vcenter.DropSessions()
	var refused *vsphere.InvalidLoginError
	if _, err := client.VM(t.Context(), vm.Moid()); !errors.As(err, &refused) {
		t.Errorf("got %v", err)
	}
}

func TestWaitSurvivesADroppedSession(t *testing.T) {
	t.Parallel()
	for name, strike := range map[string]func(*vspheretest.VCenter) error{
		"session":   func(v *vspheretest.VCenter) error { v.DropSessions(); return nil },
		"restarted": (*vspheretest.VCenter).Restart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vcenter := startVCenter(t)
			vm := addVM(t, vcenter, "/DC0/vm/a")
			client := newClient(t, config(vcenter))
			release := vm.HoldTasks("CreateSnapshot_Task")
			struck := make(chan error, 1)
			vcenter.Observe("WaitForUpdatesEx", 1, 1, func() { // the client is waiting now
				go func() {
					struck <- strike(vcenter)
					release()
				}()
			})
			ref, err := client.CreateSnapshot(t.Context(), known(vm), "s", "")
			if err != nil || ref == "" {
				t.Errorf("snapshot %q, %v", ref, err)
			}
			if err := <-struck; err != nil {
				t.Error(err)
			}
		})
	}
}

// vCenter locks accounts after repeated failures.
func TestRefusedPasswordIsTriedOnce(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	c := config(vcenter)
	c.Password = "wrong"
	client := newClient(t, c)
	for range 3 {
		_, err := client.VM(t.Context(), "vm-1")
		var refused *vsphere.InvalidLoginError
		var connect *vsphere.ConnectError
		if !errors.As(err, &refused) || !errors.As(err, &connect) {
			t.Errorf("got %v", err)
		}
	}
	if got := vcenter.Calls()["Login"]; got != 1 {
		t.Errorf("%d logins were tried", got)
	}
}

func TestCancelledLoginLeavesNoSession(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	client := newClient(t, config(vcenter))
	ctx, cancel := context.WithCancel(t.Context())
	vcenter.Observe("Login", 0, 1, cancel)
	if _, err := client.VM(ctx, "vm-1"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if err := client.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := vcenter.Sessions(); got != 0 {
		t.Errorf("%d sessions left", got)
	}
}

func TestTrust(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vm := addVM(t, vcenter, "/DC0/vm/a")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, vcenter.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	plain := config(vcenter)
	plain.Thumbprint = ""
	with := func(change func(c *vsphere.Config)) vsphere.Config {
		c := plain
		change(&c)
		return c
	}
	trusted := map[string]vsphere.Config{
		"fingerprint": config(vcenter),
		"fingerprint, other manner": with(func(c *vsphere.Config) {
			c.Thumbprint = strings.ToLower(strings.ReplaceAll(vcenter.Thumbprint(), ":", ""))
		}),
		"its CA":   with(func(c *vsphere.Config) { c.CAFile = ca }),
		"anything": with(func(c *vsphere.Config) { c.Insecure = true }),
		"a URL":    with(func(c *vsphere.Config) { c.CAFile, c.Server = ca, vcenter.URL.String() }),
	}
	for name, c := range trusted {
		if _, err := newClient(t, c).VM(t.Context(), vm.Moid()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := newClient(t, plain).VM(t.Context(), vm.Moid())
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("the system's roots: %v", err)
	}
	_, err = newClient(t, with(func(c *vsphere.Config) { c.Thumbprint = strings.Repeat("00:", 31) + "00" })).VM(t.Context(), vm.Moid())
	var thumbprint *vsphere.ThumbprintError
	if !errors.As(err, &thumbprint) || thumbprint.Got != vcenter.Thumbprint() {
		t.Errorf("another fingerprint: %v", err)
	}
	if vcenter.Calls()["Login"] != len(trusted) {
		t.Error("the password went to a server that is not trusted")
	}
}

func TestNewClientRefuses(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"", "https://", "http://vc", "https://u:p@vc/sdk", "https://vc:port", "ftp://vc"} {
		_, err := vsphere.NewClient(vsphere.Config{Server: server})
		if err == nil {
			t.Errorf("%q was accepted", server)
		} else if strings.Contains(err.Error(), "u:p") {
			t.Errorf("the error shows the credentials: %v", err)
		}
	}
	for _, c := range []vsphere.Config{
		{Server: "vc", Thumbprint: "12:34"},
		{Server: "vc", Thumbprint: strings.Repeat("g", 64)},
		{Server: "vc", CAFile: "/does/not/exist"},
		{Server: "vc", CAFile: os.DevNull},
	} {
		if _, err := vsphere.NewClient(c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

func TestSilentHost(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	client, err := vsphere.NewClient(vsphere.Config{Server: listener.Addr().String(), Username: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := client.VM(ctx, "vm-1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vm := addVM(t, vcenter, "/DC0/vm/prod/web/a")
	addVM(t, vcenter, "/DC0/vm/b")
	client := newClient(t, config(vcenter))
	byPath, err := client.Find(t.Context(), vsphere.Name{Path: "/DC0/vm/prod/web/a"})
	if err != nil {
		t.Fatal(err)
	}
	if byPath.Moid != vm.Moid() || byPath.Path != "/DC0/vm/prod/web/a" || byPath.Name != "a" {
		t.Errorf("%+v", byPath)
	}
	for _, name := range []vsphere.Name{{Moid: byPath.Moid}, {UUID: byPath.UUID}, {InstanceUUID: byPath.InstanceUUID}} {
		found, err := client.Find(t.Context(), name)
		if err != nil || found.Moid != byPath.Moid {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
	for _, name := range []vsphere.Name{{Path: "/DC0/vm/none"}, {Moid: "vm-0"}, {UUID: "00000000-0000-0000-0000-000000000000"}} {
		if _, err := client.Find(t.Context(), name); !errors.Is(err, vsphere.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var notVM *vsphere.NotVMError
	if _, err := client.Find(t.Context(), vsphere.Name{Path: "/DC0/vm/prod"}); !errors.As(err, &notVM) || notVM.Type != "Folder" {
		t.Errorf("a folder: %v", err)
	}
}

func TestFindRefusesTwoOfOneUUID(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	a, b := addVM(t, vcenter, "/DC0/vm/a"), addVM(t, vcenter, "/DC0/vm/copies/b")
	const uuid = "423f6f0a-0000-4000-8000-000000000001"
	a.SetUUID(uuid)
	b.SetUUID(uuid)
	_, err := newClient(t, config(vcenter)).Find(t.Context(), vsphere.Name{UUID: uuid})
	var ambiguous *vsphere.AmbiguousError
	if !errors.As(err, &ambiguous) || !slices.Equal(ambiguous.Paths, []string{"/DC0/vm/a", "/DC0/vm/copies/b"}) {
		t.Errorf("got %v", err)
	}
}

func TestCallsOfARead(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vm := addVM(t, vcenter, "/DC0/vm/a")
	client := newClient(t, config(vcenter))
	if _, err := client.VM(t.Context(), vm.Moid()); err != nil {
		t.Fatal(err)
	}
	vcenter.ResetCalls()
	if _, err := client.VM(t.Context(), vm.Moid()); err != nil {
		t.Fatal(err)
	}
	if calls := vcenter.Calls(); len(calls) != 1 || calls["RetrievePropertiesEx"] != 1 {
		t.Errorf("by managed object ID: %v", calls)
	}
	if _, err := client.Find(t.Context(), vsphere.Name{Path: "/DC0/vm/a"}); err != nil {
		t.Fatal(err)
	}
	if calls := vcenter.Calls(); calls["FindByInventoryPath"] != 1 || calls["RetrievePropertiesEx"] != 2 {
		t.Errorf("by path too: %v", calls)
	}
}

func TestChangedBytes(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vcenter.SetPageSize(100 << 20)
	vm := addVM(t, vcenter, "/DC0/vm/a")
	vm.SetTracking(true)
	_, since := vm.Tracking()
	vm.Write(2000, 0, 1000)
	vm.Write(2000, 950<<20, 24) // after eight empty pages
	client := newClient(t, config(vcenter))
	snapshot, err := client.CreateSnapshot(t.Context(), known(vm), "s", "")
	if err != nil {
		t.Fatal(err)
	}
	disks, err := client.SnapshotDisks(t.Context(), snapshot)
	if err != nil {
		t.Fatal(err)
	}
	vcenter.ResetCalls()
	got, err := client.ChangedBytes(t.Context(), vm.Moid(), snapshot, disks[0], since[2000])
	if err != nil || got.Bytes != 1024 || got.Below[0] != 0 || got.Below[100] != 1024 {
		t.Errorf("%+v, %v", got, err)
	}
	if calls := vcenter.Calls()["QueryChangedDiskAreas"]; calls != 11 { // 1 GiB in pages of 100 MiB
		t.Errorf("%d pages", calls)
	}
	_, err = client.ChangedBytes(t.Context(), vm.Moid(), snapshot, disks[0], "of another epoch/1")
	var unusable *vsphere.ChangeTrackingUnusableError
	if !errors.As(err, &unusable) || unusable.Key != 2000 {
		t.Errorf("a stale epoch: %v", err)
	}
	if err := client.RemoveSnapshot(t.Context(), known(vm), snapshot); err != nil {
		t.Fatal(err)
	}
	if err := client.RemoveSnapshot(t.Context(), known(vm), snapshot); err != nil {
		t.Errorf("a snapshot that is gone: %v", err)
	}
	if _, err := client.SnapshotDisks(t.Context(), snapshot); !errors.Is(err, vsphere.ErrNotFound) {
		t.Errorf("a snapshot that is gone: %v", err)
	}
}

func TestTypedFaults(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vm := addVM(t, vcenter, "/DC0/vm/a")
	client := newClient(t, config(vcenter))
	release := vm.Occupy()
	var busy *vsphere.TaskInProgressError
	if err := client.SetChangeTracking(t.Context(), known(vm), true); !errors.As(err, &busy) || busy.Task == "" {
		t.Errorf("a busy VM: %v", err)
	}
	release()
	if err := client.WaitTask(t.Context(), busy.Task); err != nil {
		t.Errorf("wait for the other task: %v", err)
	}
	vcenter.Revoke("VirtualMachine.Config.ChangeTracking")
	var denied *vsphere.NoPermissionError
	if err := client.SetChangeTracking(t.Context(), known(vm), true); !errors.As(err, &denied) || denied.Privilege != "VirtualMachine.Config.ChangeTracking" {
		t.Errorf("a missing privilege: %v", err)
	}
	missing, err := client.MissingPrivileges(t.Context(), map[string][]string{vm.Moid(): {"System.Read", "VirtualMachine.Config.ChangeTracking"}})
	if err != nil || !slices.Equal(missing[vm.Moid()], []string{"VirtualMachine.Config.ChangeTracking"}) {
		t.Errorf("missing %v, %v", missing, err)
	}
	vcenter.Grant("VirtualMachine.Config.ChangeTracking")
	vm.DisableMethod("ReconfigVM_Task", "backup")
	var disabled *vsphere.MethodDisabledError
	if err := client.SetChangeTracking(t.Context(), known(vm), true); !errors.As(err, &disabled) || disabled.Source != "backup" {
		t.Errorf("a disabled method: %v", err)
	}
}

func TestCallsOfAnEstate(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	for i := range 30 {
		addVM(t, vcenter, fmt.Sprintf("/DC0/vm/f%d/vm%d", i%3, i))
	}
	client := newClient(t, config(vcenter))
	for _, folder := range []string{"", "/", "/DC0", "/DC0/vm"} {
		vms, unreadable, err := client.FolderVMs(t.Context(), folder, false)
		if err != nil || len(vms) != 30 || len(unreadable) != 0 {
			t.Fatalf("%q: %d VMs, %v, %v", folder, len(vms), unreadable, err)
		}
		if !slices.IsSortedFunc(vms, func(a, b *vsphere.VM) int { return strings.Compare(a.Path, b.Path) }) || vms[0].Path != "/DC0/vm/f0/vm0" {
			t.Errorf("%q: the first is %s", folder, vms[0].Path)
		}
	}
	vcenter.ResetCalls()
	if _, _, err := client.FolderVMs(t.Context(), "/DC0/vm/f1", false); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, calls := range vcenter.Calls() {
		n += calls
	}
	if n != 4 { // lookup, create the view, one page, destroy the view
		t.Errorf("calls: %v", vcenter.Calls())
	}
}

// A call that is cancelled while a busy vCenter is tried again does not wait until it gives in.
func TestCancelWhileVCenterIsBusy(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	vm := addVM(t, vcenter, "/DC0/vm/a")
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	dropped := vcenter.Intercept(&vspheretest.Interceptor{
		Method: "Login",
		Before: func(w http.ResponseWriter, _ *http.Request) bool {
			if tries++; tries == 2 {
				cancel()
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
	})
	client := newClient(t, config(vcenter))
	_, err := client.VM(ctx, vm.Moid())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	dropped.Release()
	if _, err := client.VM(t.Context(), vm.Moid()); err != nil {
		t.Error(err)
	}
}

// A token of the next page is valid in its session only.
func TestSessionIsLostBetweenTwoPages(t *testing.T) {
	t.Parallel()
	vcenter := startVCenter(t)
	for i := range 3 {
		addVM(t, vcenter, fmt.Sprintf("/DC0/vm/vm%d", i))
	}
	client := newClient(t, config(vcenter))
	vcenter.SetMaxObjects(2)
	vcenter.ExpireBefore("ContinueRetrievePropertiesEx", 0, 1)
	vms, unreadable, err := client.FolderVMs(t.Context(), "", false)
	if err != nil || len(vms) != 3 || len(unreadable) > 0 {
		t.Errorf("%d VMs, %v, %v", len(vms), unreadable, err)
	}
}
