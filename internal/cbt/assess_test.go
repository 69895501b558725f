package cbt_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// tracked returns a VM whose CBT works.
func tracked() *vsphere.VM {
	vm := sound()
	vm.InstanceUUID, vm.ToolsRunning, vm.ChangeTracking = "i", true, true
	vm.Disks[0].ChangeID = "A/1"
	vm.Details = &vsphere.Details{}
	return vm
}

func TestFindings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(vm *vsphere.VM)
		want   []string // severity and code of each
	}{
		"nothing":                     {func(*vsphere.VM) {}, nil},
		"CBT disabled":                {func(vm *vsphere.VM) { vm.ChangeTracking, vm.Disks[0].ChangeID = false, "" }, []string{"info cbt_disabled"}},
		"CBT not initialized":         {func(vm *vsphere.VM) { vm.Disks[0].ChangeID = "" }, []string{"info cbt_uninitialized"}},
		"a host away":                 {func(vm *vsphere.VM) { vm.ConnectionState = "disconnected" }, []string{"error host_disconnected"}},
		"an orphan":                   {func(vm *vsphere.VM) { vm.ConnectionState = "orphaned" }, []string{"error not_accessible"}},
		"a template":                  {func(vm *vsphere.VM) { vm.Template, vm.ChangeTracking, vm.PowerState = true, false, "poweredOff" }, []string{"error template"}},
		"an RDM in physical mode":     {func(vm *vsphere.VM) { another(vm).PhysicalMode = true }, []string{"error disk_physical_rdm"}},
		"an independent disk":         {func(vm *vsphere.VM) { another(vm).Mode = "independent_persistent" }, []string{"error disk_independent"}},
		"a shared disk":               {func(vm *vsphere.VM) { another(vm).MultiWriter = true }, []string{"error disk_multi_writer"}},
		"persistent memory":           {func(vm *vsphere.VM) { another(vm).Backing = vsphere.BackingLocalPMem }, []string{"error disk_persistent_memory"}},
		"an old format":               {func(vm *vsphere.VM) { another(vm).Backing = vsphere.BackingVer1 }, []string{"error disk_old_format"}},
		"an unknown backing":          {func(vm *vsphere.VM) { another(vm).Backing = vsphere.BackingUnknown }, []string{"error disk_unknown_backing"}},
		"SeSparse":                    {func(vm *vsphere.VM) { vm.Disks[0].Backing = vsphere.BackingSeSparse }, []string{"warning disk_sesparse"}},
		"consolidation":               {func(vm *vsphere.VM) { vm.ConsolidationNeeded = true }, []string{"warning consolidation_needed"}},
		"a snapshot, while CBT works": {func(vm *vsphere.VM) { vm.Snapshots = chain(1) }, []string{"info snapshots"}},
		"migratekit's own": {func(vm *vsphere.VM) {
			vm.Snapshots = []vsphere.Snapshot{{Name: "migratekit", Created: time.Unix(0, 0), Depth: 1}}
		}, []string{"error leftover_snapshot"}},
		"no tools":      {func(vm *vsphere.VM) { vm.ToolsRunning = false }, []string{"warning tools_not_running"}},
		"no tools, off": {func(vm *vsphere.VM) { vm.ToolsRunning, vm.PowerState = false, "poweredOff" }, nil},
		"suspended":     {func(vm *vsphere.VM) { vm.PowerState = "suspended" }, []string{"warning suspended"}},
		"a virtual TPM": {func(vm *vsphere.VM) { vm.Details.VTPM = true }, []string{"warning vtpm"}},
		"Secure Boot":   {func(vm *vsphere.VM) { vm.Details.SecureBoot = true }, []string{"info secure_boot"}},
		"encrypted":     {func(vm *vsphere.VM) { vm.Encrypted = true }, []string{"info encrypted"}},
		"no configuration": {func(vm *vsphere.VM) {
			*vm = vsphere.VM{Path: vm.Path, ConnectionState: "inaccessible", Details: vm.Details}
		}, []string{"error not_accessible"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := tracked()
			test.change(vm)
			var got []string
			for _, f := range cbt.NewStatus(vm).Findings() {
				got = append(got, string(f.Severity)+" "+f.Code)
				if f.Title == "" || f.Problem == "" || f.Cure == "" {
					t.Errorf("%+v", f)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

// another adds a second disk, whose CBT works if its kind allows it.
func another(vm *vsphere.VM) *vsphere.Disk {
	vm.Disks = append(vm.Disks, vsphere.Disk{Key: 2001, Label: "Hard disk 2", Backing: vsphere.BackingFlatVer2, Mode: "persistent", ChangeID: "B/1"})
	return &vm.Disks[1]
}

// Fact 15a.
func TestESXiWithACBTDefect(t *testing.T) {
	t.Parallel()
	for product, want := range map[[2]string]string{
		{}:                   "", // the account may not read the host
		{"4.1.0", "1682698"}: "KB 2090639", {"5.0.0", "469512"}: "KB 2090639", {"5.5.0", "1331820"}: "KB 2090639",
		{"6.0.0", "2494585"}: "KB 2136854", {"6.0.0", "3247719"}: "KB 2136854", {"6.0.0", "3247720"}: "", {"6.0.0", "15169789"}: "",
		{"6.5.0", "4564106"}: "", {"7.0.3", "21424296"}: "", {"8.0.2", "21997540"}: "",
	} {
		vm := tracked()
		vm.HostProduct = vsphere.Product{Version: product[0], Build: product[1]}
		defect, found := cbt.NewStatus(vm).HostDefect()
		if found != (want != "") || !strings.Contains(defect.Problem, want) {
			t.Errorf("%v: %q", product, defect.Problem)
		}
		if got := len(cbt.NewStatus(vm).Findings()) == 1; got != found {
			t.Errorf("%v: found %v", product, cbt.NewStatus(vm).Findings())
		}
	}
}

func everything(*vsphere.VM) bool { return true }

// assess assesses everything, and returns the assessments by name.
func assess(t *testing.T, manager *cbt.Manager) (cbt.Assessed, map[string]cbt.Assessment) {
	t.Helper()
	assessed, err := manager.Assess(t.Context(), "", cbt.AssessOptions{Match: everything})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]cbt.Assessment{}
	for _, vm := range assessed.VMs {
		byName[vm.VM.Name] = vm
	}
	return assessed, byName
}

func codesOf(a cbt.Assessment) []string {
	codes := map[string]bool{}
	for _, f := range a.Findings {
		codes[f.Code] = true
	}
	return slices.Sorted(maps.Keys(codes))
}

func TestAssess(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vcenter.SetESXi("8.0.2", "21997540")
	web := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/web", Disks: []vspheretest.Disk{{}, {}}, MACs: []string{"00:50:56:AA:00:01"}, EFI: true})
	web.SetTracking(true)
	web.SetUsed(2000, 300<<20, 100<<20)
	web.SetUsed(2001, 2<<30) // more than it can hold: a snapshot takes space of its own
	web.Change(func(vm *simulator.VirtualMachine) {
		vm.Config.GuestId, vm.Config.GuestFullName = "rhel9_64Guest", "Red Hat Enterprise Linux 9 (64-bit)"
		vm.Config.BootOptions = &types.VirtualMachineBootOptions{EfiSecureBootEnabled: new(true)}
		vm.Config.Hardware.Device = append(vm.Config.Hardware.Device, &types.VirtualTPM{VirtualDevice: types.VirtualDevice{Key: 11000}})
	})
	old := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/old", Disks: []vspheretest.Disk{{}, {Kind: vspheretest.PhysicalRDM}}})
	old.SetHardware("vmx-04")
	gone := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/gone"})
	gone.RemoveConfiguration(types.VirtualMachineConnectionStateOrphaned)
	clone := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/clone"})
	clone.RemoveConfiguration(types.VirtualMachineConnectionStateConnected)
	newest := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/newest"})
	newest.Change(func(vm *simulator.VirtualMachine) { vm.Config.Uuid, vm.Config.InstanceUuid = "", "" })
	addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/vCLS-0a1b2c3d-0000-0000-0000-000000000000"})
	addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/vCLS (1)"})
	agent := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/agent"})
	agent.Change(func(vm *simulator.VirtualMachine) {
		vm.Config.ManagedBy = &types.ManagedByInfo{ExtensionKey: "com.vmware.vim.eam", Type: "cluster-agent"}
	})
	addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/vCLS-tools"}) // somebody's own
	assessed, byName := assess(t, manager)
	if got := slices.Sorted(maps.Keys(byName)); !slices.Equal(got, []string{"gone", "old", "vCLS-tools", "web"}) || assessed.LeftOut != 5 || len(assessed.Unreadable) != 0 {
		t.Fatalf("%q, %d left out, unreadable %v", got, assessed.LeftOut, assessed.Unreadable)
	}
	vm := byName["web"].VM
	if d := vm.Details; d.GuestID != "rhel9_64Guest" || d.GuestName != "Red Hat Enterprise Linux 9 (64-bit)" || !d.SecureBoot || !d.VTPM || !vm.EFI ||
		d.Host != "DC0_C0_H0" || !slices.Equal(d.Datastores, []string{"LocalDS_0"}) || !maps.Equal(d.Used, map[int32]int64{2000: 400 << 20, 2001: 1 << 30}) {
		t.Errorf("%+v", d)
	}
	if len(vm.Cards) != 1 || vm.Cards[0].MAC != "00:50:56:aa:00:01" || vm.Cards[0].Network != "VM Network" || !vm.Cards[0].Connected || vm.Cards[0].Key == 0 {
		t.Errorf("%+v", vm.Cards)
	}
	if got := codesOf(byName["web"]); !byName["web"].Ready() || !slices.Equal(got, []string{"secure_boot", "vtpm"}) {
		t.Errorf("%q", got)
	}
	if got := codesOf(byName["old"]); byName["old"].Ready() || !slices.Equal(got, []string{"cbt_disabled", "disk_physical_rdm", "hardware_version"}) {
		t.Errorf("%q", got)
	}
	if _, known := byName["old"].VM.Details.Used[2001]; known {
		t.Error("the used bytes of a raw device are known")
	}
	if got := byName["gone"]; got.Ready() || !slices.Equal(codesOf(got), []string{"not_accessible"}) || got.VM.Path != "/DC0/vm/gone" {
		t.Errorf("%+v", got)
	}
	// Errors come first.
	if first := byName["old"].Findings[0]; first.Severity != cbt.Error || byName["old"].Findings[len(byName["old"].Findings)-1].Severity != cbt.Info {
		t.Errorf("%+v", byName["old"].Findings)
	}
}

func TestNetworksHaveNames(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/web", MACs: []string{"00:50:56:00:00:01"}})
	vm.JoinPortGroup("DC0_DVPG0")
	_, byName := assess(t, manager)
	if cards := byName["web"].VM.Cards; len(cards) != 1 || cards[0].Network != "DC0_DVPG0" {
		t.Errorf("%+v", cards)
	}
}

// Every blocker is an error finding with the same text; privileges are checked in one call for all.
func TestBlockersAreFindings(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	troubled := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/troubled"})
	if err := troubled.AddSnapshot("nightly", ""); err != nil {
		t.Fatal(err)
	}
	troubled.SetTemplate(true)
	troubled.DisableMethod("ReconfigVM_Task", "backup")
	sealed := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/sealed"})
	sealed.Change(func(vm *simulator.VirtualMachine) { vm.Config.KeyId = &types.CryptoKeyId{KeyId: "k"} })
	away := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/away"})
	away.SetTracking(true)
	away.SetConnectionState(types.VirtualMachineConnectionStateDisconnected)
	vcenter.Revoke("VirtualMachine.State.CreateSnapshot", cbt.ReadEncrypted)
	vcenter.ResetCalls()
	assessed, byName := assess(t, manager)
	if calls := vcenter.Calls()["HasUserPrivilegeOnEntities"]; calls != 1 {
		t.Errorf("%d calls for privileges", calls)
	}
	for _, vm := range assessed.VMs {
		for _, blocker := range append(manager.Blockers(t.Context(), vm.Status, false), vm.ConnectionBlocker()) {
			if blocker != "" && !slices.ContainsFunc(vm.Findings, func(f cbt.Finding) bool { return f.Severity == cbt.Error && f.Text() == blocker }) {
				t.Errorf("%s: %q is no finding of %+v", vm.VM.Name, blocker, vm.Findings)
			}
		}
	}
	for name, want := range map[string][]string{
		"troubled": {"existing_snapshots", "method_disabled", "missing_privilege", "template"},
		"sealed":   {"cbt_disabled", "encrypted", "encrypted_unreadable", "missing_privilege"},
		"away":     {"host_disconnected", "missing_privilege"},
	} {
		if got := codesOf(byName[name]); !slices.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestSameUUIDIsAFinding(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	uuid := ""
	addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/a"}).Look(func(vm *simulator.VirtualMachine) { uuid = vm.Config.Uuid })
	addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/b"}).Change(func(vm *simulator.VirtualMachine) { vm.Config.Uuid = uuid })
	_, byName := assess(t, manager)
	for _, name := range []string{"a", "b"} {
		if !slices.Contains(codesOf(byName[name]), "duplicate_uuid") {
			t.Errorf("%s: %q", name, codesOf(byName[name]))
		}
	}
}

func TestAssessFolder(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/prod/web"})
	addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/prod/vCLS (2)"})
	addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/test/web"})
	assessed, err := manager.Assess(t.Context(), "/DC0/vm/prod", cbt.AssessOptions{Match: func(vm *vsphere.VM) bool { return vm.Name == "web" }})
	if err != nil || len(assessed.VMs) != 1 || assessed.VMs[0].VM.Path != "/DC0/vm/prod/web" || assessed.LeftOut != 0 {
		t.Errorf("%+v, %v", assessed, err)
	}
	if _, err := manager.Assess(t.Context(), "/DC0/vm/none", cbt.AssessOptions{Match: everything}); !errors.Is(err, vsphere.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// Where CBT works already, a copy still needs its snapshot, and the privileges to take it and to read the disks.
func TestACopyNeedsItsSnapshot(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(vm *vsphere.VM)
		want   string
	}{
		"template":        {func(vm *vsphere.VM) { vm.Template = true }, "template"},
		"locked":          {func(vm *vsphere.VM) { vm.SnapshotLocked = true }, "snapshots_locked"},
		"disabled":        {func(vm *vsphere.VM) { vm.DisabledMethods = []string{"RemoveSnapshot_Task"} }, "method_disabled"},
		"fault tolerance": {func(vm *vsphere.VM) { vm.FaultTolerant = true }, "fault_tolerance"},
		"shared bus":      {func(vm *vsphere.VM) { vm.SharedBus = []string{"SCSI controller 1"} }, "shared_scsi_bus"},
		"deep chain":      {func(vm *vsphere.VM) { vm.Snapshots = chain(32) }, "snapshot_chain"},
	} {
		vm := tracked()
		test.change(vm)
		status := cbt.NewStatus(vm)
		if assessment := (cbt.Assessment{Status: status, Findings: status.Findings()}); assessment.Ready() || !slices.Contains(codesOf(assessment), test.want) {
			t.Errorf("%s: %q", name, codesOf(assessment))
		}
		if got := status.Blockers(false); len(got) > 0 {
			t.Errorf("%s: CBT works, and is blocked: %q", name, got)
		}
	}
	vcenter, manager := start(t)
	addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/web"}).SetTracking(true)
	vcenter.Revoke("VirtualMachine.Provisioning.DiskRandomRead")
	if _, byName := assess(t, manager); !slices.Equal(codesOf(byName["web"]), []string{"missing_read_privilege"}) || !byName["web"].Ready() {
		t.Errorf("%q", codesOf(byName["web"]))
	}
	vcenter.Revoke("VirtualMachine.State.RemoveSnapshot")
	if _, byName := assess(t, manager); byName["web"].Ready() {
		t.Errorf("%q", codesOf(byName["web"]))
	}
}

// What a copy needs and CBT does not is not reported twice.
func TestCopyBlockers(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	running := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/running"})
	works := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/works"})
	works.SetTracking(true)
	off := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/off", Off: true})
	for _, vm := range []*vspheretest.Machine{running, works, off} {
		vm.DisableMethod("CreateSnapshot_Task", "backup")
	}
	for vm, want := range map[*vspheretest.Machine]int{running: 0, works: 1, off: 1} {
		status, err := manager.Read(t.Context(), vsphere.Name{Moid: vm.Moid()})
		if err != nil {
			t.Fatal(err)
		}
		if got := manager.CopyBlockers(t.Context(), status); len(got) != want {
			t.Errorf("%s: %q", status.VM.Name, got)
		}
	}
	if calls := vcenter.Calls()["HasUserPrivilegeOnEntities"]; calls > 2 {
		t.Errorf("%d calls", calls)
	}
}

// If privileges cannot be checked, the assessment says so.
func TestUncheckedPrivilegesAreKnown(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/web"})
	addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/web2"})
	vcenter.Fail("HasUserPrivilegeOnEntities", 0, 0)
	if assessed, _ := assess(t, manager); assessed.Unchecked == nil {
		t.Error("nobody knows")
	}
}

// A leftover snapshot of migratekit is no obstacle where replications remove it.
func TestRemovableLeftover(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/web"})
	vm.SetTracking(true)
	if err := vm.AddSnapshot(cbt.MigratekitSnapshot, ""); err != nil {
		t.Fatal(err)
	}
	for removes, ready := range map[bool]bool{true: true, false: false} {
		assessed, err := manager.Assess(t.Context(), "", cbt.AssessOptions{Match: everything, RemovesLeftovers: removes})
		if err != nil || assessed.VMs[0].Ready() != ready {
			t.Errorf("removes %t: %v, %v", removes, assessed.VMs[0].Findings, err)
		}
	}
}
