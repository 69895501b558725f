package vspheretest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// The tests name the CBT facts that they guard. They use plain govmomi, not this project's client.

const gib = 1 << 30

type fixture struct {
	*vspheretest.Machine
	vcenter *vspheretest.VCenter
	client  *govmomi.Client
	vm      *object.VirtualMachine
}

func setUp(t *testing.T, spec vspheretest.Spec, options ...vspheretest.Option) *fixture {
	t.Helper()
	vcenter, err := vspheretest.Start(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	spec.Path = "/DC0/vm/vm"
	machine, err := vcenter.AddVM(spec)
	if err != nil {
		t.Fatal(err)
	}
	client := logIn(t, vcenter)
	return &fixture{
		Machine: machine, vcenter: vcenter, client: client,
		vm: object.NewVirtualMachine(client.Client, types.ManagedObjectReference{Type: "VirtualMachine", Value: machine.Moid()}),
	}
}

func logIn(t *testing.T, vcenter *vspheretest.VCenter) *govmomi.Client {
	t.Helper()
	u := *vcenter.URL
	u.User = url.UserPassword(vspheretest.Username, vspheretest.Password)
	client, err := govmomi.NewClient(t.Context(), &u, true)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (f *fixture) enable(t *testing.T, enabled bool) error {
	t.Helper()
	task, err := f.vm.Reconfigure(t.Context(), types.VirtualMachineConfigSpec{ChangeTrackingEnabled: &enabled})
	if err != nil {
		return err
	}
	return task.Wait(t.Context())
}

func (f *fixture) snapshot(t *testing.T, name string) (types.ManagedObjectReference, error) {
	t.Helper()
	task, err := f.vm.CreateSnapshot(t.Context(), name, "", false, false)
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	info, err := task.WaitForResult(t.Context())
	if err != nil {
		return types.ManagedObjectReference{}, err
	}
	ref, _ := info.Result.(types.ManagedObjectReference)
	return ref, nil
}

func (f *fixture) keptIDs(t *testing.T, ref types.ManagedObjectReference) map[int32]string {
	t.Helper()
	var snapshot mo.VirtualMachineSnapshot
	if err := f.vm.Properties(t.Context(), ref, []string{"config.hardware.device"}, &snapshot); err != nil {
		t.Fatal(err)
	}
	ids := map[int32]string{}
	for _, device := range snapshot.Config.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			if b, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo); ok {
				ids[disk.Key] = b.ChangeId
			}
		}
	}
	return ids
}

func epoch(id string) string { return id[:max(0, strings.LastIndex(id, "/"))] }

func wantFault[T types.BaseMethodFault](t *testing.T, err error) T {
	t.Helper()
	var want T
	if _, ok := fault.As(err, &want); !ok {
		t.Errorf("got %v, want a %T", err, want)
	}
	return want
}

// Facts 1, 3 and 4: on a running VM the flag and the change IDs wait for a stun.
func TestRunningVMWaitsForAStun(t *testing.T) {
	t.Parallel()
	for _, atOnce := range []bool{false, true} {
		var options []vspheretest.Option
		if atOnce {
			options = append(options, vspheretest.FlagAtOnce())
		}
		f := setUp(t, vspheretest.Spec{}, options...)
		if err := f.enable(t, true); err != nil {
			t.Fatal(err)
		}
		if enabled, ids := f.Tracking(); enabled != atOnce || ids[2000] != "" {
			t.Errorf("before the stun: flag %t (at once: %t), IDs %v", enabled, atOnce, ids)
		}
		f.Stun()
		if enabled, ids := f.Tracking(); !enabled || ids[2000] == "" {
			t.Errorf("after the stun: flag %t, IDs %v", enabled, ids)
		}
	}
}

// Fact 3.
func TestPoweredOffVMIsTrackedAtOnce(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{Off: true})
	if err := f.enable(t, true); err != nil {
		t.Fatal(err)
	}
	if enabled, ids := f.Tracking(); !enabled || ids[2000] == "" {
		t.Errorf("flag %t, IDs %v", enabled, ids)
	}
}

// Fact 3: power on, snapshot creation and snapshot removal are stuns.
func TestStuns(t *testing.T) {
	t.Parallel()
	t.Run("power on", func(t *testing.T) {
		t.Parallel()
		f := setUp(t, vspheretest.Spec{})
		if err := errors.Join(f.enable(t, true), f.PowerOff(), f.PowerOn()); err != nil {
			t.Fatal(err)
		}
		if enabled, ids := f.Tracking(); !enabled || ids[2000] == "" {
			t.Errorf("flag %t, IDs %v", enabled, ids)
		}
	})
	t.Run("snapshot removal", func(t *testing.T) {
		t.Parallel()
		f := setUp(t, vspheretest.Spec{})
		if err := errors.Join(f.AddSnapshot("s", ""), f.enable(t, true)); err != nil {
			t.Fatal(err)
		}
		task, err := f.vm.RemoveSnapshot(t.Context(), "s", false, nil)
		if err == nil {
			err = task.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if enabled, ids := f.Tracking(); !enabled || ids[2000] == "" {
			t.Errorf("flag %t, IDs %v", enabled, ids)
		}
	})
}

// Fact 2: virtual hardware before version 7, and a host without CBT support.
func TestUnsupportedHardware(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	f.SetHardware("vmx-06")
	wantFault[*types.InvalidVmConfig](t, f.enable(t, true))
	f.SetHardware("vmx-07")
	if err := f.enable(t, true); err != nil {
		t.Error(err)
	}
	f.Change(func(vm *simulator.VirtualMachine) { vm.Capability.ChangeTrackingSupported = false })
	wantFault[*types.InvalidVmConfig](t, f.enable(t, false))
}

// Facts 7 and 9: each disk has its own epoch, the sequence grows with each snapshot, and a snapshot keeps its IDs.
func TestSequenceGrowsAndSnapshotsKeepTheirIDs(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{Disks: []vspheretest.Disk{{}, {}}})
	f.SetTracking(true)
	_, first := f.Tracking()
	ref, err := f.snapshot(t, "s")
	if err != nil {
		t.Fatal(err)
	}
	kept := f.keptIDs(t, ref)
	if _, err := f.snapshot(t, "t"); err != nil {
		t.Fatal(err)
	}
	_, now := f.Tracking()
	for key := range first {
		if epoch(first[key]) != epoch(kept[key]) || epoch(kept[key]) != epoch(now[key]) {
			t.Errorf("disk %d: the epoch changed: %s, %s, %s", key, first[key], kept[key], now[key])
		}
		if first[key] == kept[key] || kept[key] == now[key] {
			t.Errorf("disk %d: the sequence did not grow: %s, %s, %s", key, first[key], kept[key], now[key])
		}
		if again := f.keptIDs(t, ref); again[key] != kept[key] {
			t.Errorf("disk %d: the snapshot's ID changed from %s to %s", key, kept[key], again[key])
		}
	}
	if epoch(now[2000]) == epoch(now[2001]) {
		t.Error("two disks share an epoch")
	}
}

// Facts 8 and 16: which disks get a change ID.
func TestKindsOfDisks(t *testing.T) {
	t.Parallel()
	kinds := []vspheretest.Kind{
		vspheretest.Flat, vspheretest.SeSparse, vspheretest.SparseVer2, vspheretest.VirtualRDM,
		vspheretest.PhysicalRDM, vspheretest.IndependentPersistent, vspheretest.IndependentNonpersistent,
		vspheretest.MultiWriter, vspheretest.LocalPMem, vspheretest.FlatVer1,
	}
	const trackable = 4
	var disks []vspheretest.Disk
	for _, kind := range kinds {
		disks = append(disks, vspheretest.Disk{Kind: kind})
	}
	f := setUp(t, vspheretest.Spec{Disks: disks})
	f.SetTracking(true)
	_, ids := f.Tracking()
	for i, kind := range kinds {
		if got := ids[2000+int32(i)] != ""; got != (i < trackable) {
			t.Errorf("%q: has a change ID: %t", kind, got)
		}
	}
}

func (f *fixture) query(t *testing.T, snapshot *types.ManagedObjectReference, key int32, since string, offset int64) (*types.DiskChangeInfo, error) {
	t.Helper()
	res, err := methods.QueryChangedDiskAreas(t.Context(), f.client, &types.QueryChangedDiskAreas{
		This: f.vm.Reference(), Snapshot: snapshot, DeviceKey: key, ChangeId: since, StartOffset: offset,
	})
	if err != nil {
		return nil, err
	}
	return &res.Returnval, nil
}

// Fact 11: pages can be empty, and a query at the end of the disk is a fault.
func TestChangedAreasComeInPages(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{Disks: []vspheretest.Disk{{Size: gib}}})
	f.vcenter.SetPageSize(gib / 4)
	f.SetTracking(true)
	_, since := f.Tracking()
	f.Write(2000, 0, 4096)
	f.Write(2000, 2048, 4096) // overlaps
	f.Write(2000, gib-8192, 4096)
	ref, err := f.snapshot(t, "s")
	if err != nil {
		t.Fatal(err)
	}
	f.Write(2000, gib/2, 4096) // after the snapshot, so not reported
	var areas []string
	pages := 0
	for offset := int64(0); offset < gib; pages++ {
		page, err := f.query(t, &ref, 2000, since[2000], offset)
		if err != nil {
			t.Fatal(err)
		}
		if page.StartOffset != offset || page.Length != gib/4 {
			t.Fatalf("page %+v", page)
		}
		for _, area := range page.ChangedArea {
			areas = append(areas, fmt.Sprintf("%d+%d", area.Start, area.Length))
		}
		offset = page.StartOffset + page.Length
	}
	if got := strings.Join(areas, " "); pages != 4 || got != fmt.Sprintf("0+6144 %d+4096", gib-8192) {
		t.Errorf("%d pages, areas %s", pages, got)
	}
	_, err = f.query(t, &ref, 2000, since[2000], gib)
	if f := wantFault[*types.InvalidArgument](t, err); f.InvalidProperty != "startOffset" {
		t.Errorf("property %q", f.InvalidProperty)
	}
}

// Facts 10 and 12: the faults.
func TestChangedAreasFaults(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{Disks: []vspheretest.Disk{{}, {Kind: vspheretest.IndependentPersistent}}})
	f.SetTracking(true)
	_, stale := f.Tracking()
	f.ResetTracking() // fact 15: a new epoch
	ref, err := f.snapshot(t, "s")
	if err != nil {
		t.Fatal(err)
	}
	since := f.keptIDs(t, ref)
	argument := func(property string, err error) {
		t.Helper()
		if f := wantFault[*types.InvalidArgument](t, err); f != nil && f.InvalidProperty != property {
			t.Errorf("property %q, want %q", f.InvalidProperty, property)
		}
	}
	_, err = f.query(t, &ref, 2000, stale[2000], 0)
	argument("changeId", err)
	_, err = f.query(t, &ref, 2009, since[2000], 0)
	argument("deviceKey", err)
	_, err = f.query(t, &ref, 2001, "*", 0)
	wantFault[*types.FileFault](t, err)
	_, err = f.query(t, nil, 2000, since[2000], 0) // no snapshot, and the VM is running
	wantFault[*types.FileFault](t, err)
	f.MakeUnreadable(2000)
	_, err = f.query(t, &ref, 2000, since[2000], 0)
	wantFault[*types.FileFault](t, err)
	gone := types.ManagedObjectReference{Type: "VirtualMachineSnapshot", Value: "snapshot-0"}
	_, err = f.query(t, &gone, 2000, since[2000], 0)
	wantFault[*types.NotFound](t, err)
	f.vcenter.Revoke("VirtualMachine.Provisioning.DiskRandomRead")
	_, err = f.query(t, &ref, 2000, since[2000], 0)
	if f := wantFault[*types.NoPermission](t, err); f.PrivilegeId != "VirtualMachine.Provisioning.DiskRandomRead" {
		t.Errorf("privilege %q", f.PrivilegeId)
	}
}

// Fact 6: a snapshot changes the file of a disk, and its removal changes it back.
func TestSnapshotsMoveFiles(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{Disks: []vspheretest.Disk{{}, {Kind: vspheretest.IndependentPersistent}}})
	files := func() (names [2]string) {
		f.Look(func(vm *simulator.VirtualMachine) {
			for _, device := range vm.Config.Hardware.Device {
				if disk, ok := device.(*types.VirtualDisk); ok {
					names[disk.Key-2000] = disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo).FileName
				}
			}
		})
		return names
	}
	before := files()
	if err := f.AddSnapshot("s", ""); err != nil {
		t.Fatal(err)
	}
	if got := files(); got[0] != strings.TrimSuffix(before[0], ".vmdk")+"-000001.vmdk" || got[1] != before[1] {
		t.Errorf("files %q, %q before", got, before)
	}
	if err := f.RemoveSnapshots(); err != nil {
		t.Fatal(err)
	}
	if got := files(); got != before {
		t.Errorf("files %q, %q before", got, before)
	}
}

// Fact 15.
func TestRevertStartsANewEpoch(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	f.SetTracking(true)
	_, before := f.Tracking()
	if _, err := f.snapshot(t, "s"); err != nil {
		t.Fatal(err)
	}
	task, err := f.vm.RevertToSnapshot(t.Context(), "s", true)
	if err == nil {
		err = task.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, after := f.Tracking(); after[2000] == "" || epoch(after[2000]) == epoch(before[2000]) {
		t.Errorf("change ID %s before, %s after", before[2000], after[2000])
	}
}

// Fact 17: VMs without snapshot support.
func TestSnapshotRefusals(t *testing.T) {
	t.Parallel()
	yes := true
	tests := map[string]struct {
		change func(vm *simulator.VirtualMachine)
		check  func(t *testing.T, err error)
	}{
		"template":      {func(vm *simulator.VirtualMachine) { vm.Config.Template = true }, func(t *testing.T, err error) { t.Helper(); wantFault[*types.NotSupported](t, err) }},
		"locked":        {func(vm *simulator.VirtualMachine) { vm.Config.Flags.SnapshotLocked = &yes }, func(t *testing.T, err error) { t.Helper(); wantFault[*types.SnapshotLocked](t, err) }},
		"not supported": {func(vm *simulator.VirtualMachine) { vm.Capability.SnapshotOperationsSupported = false }, func(t *testing.T, err error) { t.Helper(); wantFault[*types.NotSupported](t, err) }},
		"Fault Tolerance": {func(vm *simulator.VirtualMachine) {
			vm.Runtime.FaultToleranceState = types.VirtualMachineFaultToleranceStateRunning
		}, func(t *testing.T, err error) { t.Helper(); wantFault[*types.NotSupported](t, err) }},
		"a shared bus": {func(vm *simulator.VirtualMachine) {
			for _, device := range vm.Config.Hardware.Device {
				if c, ok := device.(types.BaseVirtualSCSIController); ok {
					c.GetVirtualSCSIController().SharedBus = types.VirtualSCSISharingPhysicalSharing
				}
			}
		}, func(t *testing.T, err error) { t.Helper(); wantFault[*types.SnapshotIncompatibleDeviceInVm](t, err) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setUp(t, vspheretest.Spec{})
			f.Change(test.change)
			_, err := f.snapshot(t, "s")
			test.check(t, err)
		})
	}
}

// Fact 17: a snapshot chain has at most 32 levels.
func TestSnapshotDepth(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	for i := range 32 {
		if _, err := f.snapshot(t, fmt.Sprint(i)); err != nil {
			t.Fatalf("snapshot %d: %v", i+1, err)
		}
	}
	_, err := f.snapshot(t, "one too many")
	wantFault[*types.TooManySnapshotLevels](t, err)
}

// Fact 19: writes to a busy VM fail, and the fault names the task.
func TestTaskInProgress(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	release := f.Occupy()
	in := wantFault[*types.TaskInProgress](t, f.enable(t, true))
	if in == nil || in.Task.Type != "Task" {
		t.Fatalf("fault %+v", in)
	}
	release()
	if err := object.NewTask(f.client.Client, in.Task).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.enable(t, true); err != nil {
		t.Error(err)
	}
}

// Fact 20: the fault names who disabled the method.
func TestMethodDisabled(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	f.DisableMethod("CreateSnapshot_Task", "com.example.backup")
	_, err := f.snapshot(t, "s")
	if f := wantFault[*types.MethodDisabled](t, err); f.Source != "com.example.backup" {
		t.Errorf("source %q", f.Source)
	}
	var vm mo.VirtualMachine
	if err := f.vm.Properties(t.Context(), f.vm.Reference(), []string{"disabledMethod"}, &vm); err != nil || len(vm.DisabledMethod) != 1 {
		t.Errorf("disabledMethod %v, %v", vm.DisabledMethod, err)
	}
}

// Fact 21: names are escaped and not unique, and a removal keeps the children.
func TestSnapshotNames(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	first, err := f.snapshot(t, "50% / half")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.snapshot(t, "50% / half"); err != nil {
		t.Fatal(err)
	}
	if got := f.Snapshots(); len(got) != 2 || got[0] != "50%25 %2f half" || got[1] != got[0] {
		t.Errorf("names %q", got)
	}
	res, err := methods.RemoveSnapshot_Task(t.Context(), f.client, &types.RemoveSnapshot_Task{This: first})
	if err == nil {
		err = object.NewTask(f.client.Client, res.Returnval).Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Snapshots(); len(got) != 1 {
		t.Errorf("left %q", got)
	}
}

// Fact 23: each operation needs its privilege, and HasUserPrivilegeOnEntities reports a missing one in advance.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	ref, err := f.snapshot(t, "s")
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]func() error{
		"VirtualMachine.Config.ChangeTracking": func() error { return f.enable(t, true) },
		"VirtualMachine.State.CreateSnapshot":  func() error { _, err := f.snapshot(t, "t"); return err },
		"VirtualMachine.State.RemoveSnapshot": func() error {
			_, err := methods.RemoveSnapshot_Task(t.Context(), f.client, &types.RemoveSnapshot_Task{This: ref})
			return err
		},
	}
	for privilege, call := range calls {
		f.vcenter.Revoke(privilege)
		if f := wantFault[*types.NoPermission](t, call()); f.PrivilegeId != privilege {
			t.Errorf("privilege %q, want %q", f.PrivilegeId, privilege)
		}
		granted, err := object.NewAuthorizationManager(f.client.Client).HasUserPrivilegeOnEntities(
			t.Context(), []types.ManagedObjectReference{f.vm.Reference()}, vspheretest.Username, []string{privilege, "System.Read"})
		if err != nil {
			t.Fatal(err)
		}
		answer := granted[0].PrivAvailability
		if answer[0].IsGranted || !answer[1].IsGranted {
			t.Errorf("%+v", answer)
		}
		f.vcenter.Grant(privilege)
	}
}

// Fact 24: with an independent disk a memory snapshot is refused, so initialization uses none.
func TestMemorySnapshotWithIndependentDisk(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{Disks: []vspheretest.Disk{{}, {Kind: vspheretest.IndependentPersistent}}})
	task, err := f.vm.CreateSnapshot(t.Context(), "s", "", true, false)
	if err == nil {
		err = task.Wait(t.Context())
	}
	wantFault[*types.SnapshotIncompatibleDeviceInVm](t, err)
}

// Fact 28, and only a login works without a session.
func TestCredentialsAndSessions(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	bad := *f.vcenter.URL
	bad.User = url.UserPassword(vspheretest.Username, "wrong")
	_, err := govmomi.NewClient(t.Context(), &bad, true)
	wantFault[*types.InvalidLogin](t, err)
	if got := f.vcenter.Sessions(); got != 1 {
		t.Errorf("%d sessions", got)
	}
	f.vcenter.DropSessions()
	var vm mo.VirtualMachine
	err = f.vm.Properties(t.Context(), f.vm.Reference(), []string{"name"}, &vm)
	wantFault[*types.NotAuthenticated](t, err)
	f.vcenter.RefuseLogins(true)
	good := *f.vcenter.URL
	good.User = url.UserPassword(vspheretest.Username, vspheretest.Password)
	_, err = govmomi.NewClient(t.Context(), &good, true)
	wantFault[*types.InvalidLogin](t, err)
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	dial := func(roots *x509.CertPool) error {
		conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots}}).DialContext(t.Context(), "tcp", f.vcenter.URL.Host)
		if err == nil {
			state := conn.(*tls.Conn).ConnectionState()
			if got := soap.ThumbprintSHA256(state.PeerCertificates[0]); got != f.vcenter.Thumbprint() {
				t.Errorf("fingerprint %s", got)
			}
			_ = conn.Close()
		}
		return err
	}
	roots := x509.NewCertPool()
	if err := dial(roots); err == nil {
		t.Error("the certificate is trusted without its CA")
	}
	if !roots.AppendCertsFromPEM(f.vcenter.CA()) {
		t.Fatal("CA is not a PEM certificate")
	}
	if err := dial(roots); err != nil {
		t.Error(err)
	}
}

func TestInterceptors(t *testing.T) {
	t.Parallel()
	f := setUp(t, vspheretest.Spec{})
	f.vcenter.ResetCalls()
	f.vcenter.DropAfter("CreateSnapshot_Task", 0, 1)
	if _, err := f.snapshot(t, "s"); err == nil {
		t.Error("the answer came although the connection was cut")
	}
	f.vcenter.DropBefore("CreateSnapshot_Task", 0, 1)
	if _, err := f.snapshot(t, "never"); err == nil {
		t.Error("the answer came although the connection was cut")
	}
	if got := f.vcenter.Calls()["CreateSnapshot_Task"]; got != 2 {
		t.Errorf("%d calls counted", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.vcenter.Hang("ReconfigVM_Task", 0, 0)
	f.vcenter.Observe("ReconfigVM_Task", 0, 1, cancel) // added last, so it runs first
	_, err := f.vm.Reconfigure(ctx, types.VirtualMachineConfigSpec{ChangeTrackingEnabled: new(true)})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a call that hangs: %v", err)
	}
	names := strings.Join(f.Snapshots(), " ")
	if names != "s" {
		t.Errorf("snapshots %q", names)
	}
}
