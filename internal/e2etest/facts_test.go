package e2etest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// facts about CBT and govmomi's simulator, each with the tests that fail if the code violates it.
var facts = []struct {
	number int
	fact   string
	guards string // <package directory>.<test>, separated by spaces
}{
	{1, "the flag may be unset, and means configured, not working", "internal/cbt.TestEnsure internal/vsphere/vspheretest.TestRunningVMWaitsForAStun"},
	{2, "the flag is written by a reconfigure, if hardware and host support CBT", "internal/cbt.TestBlockers internal/vsphere/vspheretest.TestUnsupportedHardware internal/cbt.TestBlockersAsVCenterShowsThem"},
	{3, "a running VM needs a stun, a powered-off one does not", "internal/cbt.TestEnsure internal/vsphere/vspheretest.TestPoweredOffVMIsTrackedAtOnce internal/vsphere/vspheretest.TestStuns internal/cbt.TestSuspendedVM"},
	{4, "writes are read back", "internal/cbt.TestEnsureLeavesDiskWithoutChangeID internal/e2etest.TestForeignSimulator internal/cbt.TestDisableTakesBackWhatWaitsForAStun"},
	{5, "extraConfig is not changed", "internal/cbt.TestEnsureAsksForNoMore"},
	{6, "flag and devices are read in one request", "internal/vsphere.TestCallsOfARead internal/e2etest.TestForeignSnapshotsAreNoDrift"},
	{7, "a change ID is an epoch and a sequence, and the sequence is volatile", "internal/cbt.TestChangeIDs internal/provider.TestParseChangeIDFunction internal/e2etest.TestForeignSnapshotsAreNoDrift internal/vsphere/vspheretest.TestSequenceGrowsAndSnapshotsKeepTheirIDs"},
	{8, "which backings have a change ID", "internal/cbt.TestTrackable internal/cbt.TestEnsure internal/vsphere/vspheretest.TestKindsOfDisks internal/cbt.TestDisksAsVCenterShowsThem"},
	{9, "the next cycle copies from the change ID of the copied snapshot, by device key", "internal/replication.TestBuildResult internal/provider.TestReplicationNBD"},
	{10, "changed areas need a privilege, and a snapshot while the VM runs", "internal/vsphere/vspheretest.TestChangedAreasFaults internal/vsphere/vspheretest.TestPrivileges"},
	{11, "changed areas come in pages, and a page may be empty", "internal/vsphere.TestChangedBytes internal/vsphere/vspheretest.TestChangedAreasComeInPages"},
	{12, "which faults mean that a disk must be copied in full", "internal/vsphere.TestChangedBytes internal/vsphere.TestTypedFaults internal/provider.TestReplicationUnreadableTracking internal/vsphere/vspheretest.TestChangedAreasFaults"},
	{13, "a full copy is measured by capacity, not by areas in use", "internal/replication.TestBuildResult internal/provider.TestReplicationNBD"},
	{14, "CBT is not enabled while other tools' snapshots exist", "internal/cbt.TestBlockers internal/provider.TestCBTRefusals internal/provider.TestCBTAllowsExistingSnapshots internal/cbt.TestReset internal/cbt.TestResetRefusesSnapshots"},
	{15, "epochs are compared, because CBT can be lost in many ways", "internal/replication.TestPlan internal/replication.TestIntact internal/provider.TestReplicationTrackingReset internal/vsphere/vspheretest.TestRevertStartsANewEpoch"},
	{16, "which disks cannot be tracked", "internal/cbt.TestTrackable internal/provider.TestCBTRefusals internal/vsphere/vspheretest.TestKindsOfDisks internal/cbt.TestDisksAsVCenterShowsThem"},
	{17, "which VMs cannot be tracked, or do not support snapshots", "internal/cbt.TestBlockers internal/vsphere/vspheretest.TestSnapshotRefusals internal/vsphere/vspheretest.TestSnapshotDepth internal/cbt.TestBlockersAsVCenterShowsThem internal/cbt.TestDepthAsVCenterShowsIt"},
	{18, "CBT is never disabled unless asked", "internal/provider.TestCBTOnDestroy"},
	{19, "a task in progress is awaited", "internal/cbt.TestEnsureWaitsForAnotherTask internal/cbt.TestEnsureGivesUpOnAnotherTaskInTime internal/vsphere/vspheretest.TestTaskInProgress"},
	{20, "a disabled method is reported, with the product that disabled it", "internal/cbt.TestBlockers internal/vsphere.TestTypedFaults internal/vsphere/vspheretest.TestMethodDisabled internal/cbt.TestBlockersAsVCenterShowsThem internal/provider.TestCBTRefusals"},
	{21, "snapshots are removed by reference, without their children, and only our own", "internal/cbt.TestOurLeftover internal/cbt.TestEnsureAsksForNoMore internal/e2etest.TestKilledBetweenCreateAndRemove internal/vsphere/vspheretest.TestSnapshotNames internal/cbt.TestEnsureRemovesItsLeftover internal/cbt.TestEnsureNamesASnapshotThatMayYetAppear"},
	{22, "disks that were not consolidated are a warning", "internal/e2etest.TestConsolidationNeededIsAWarning internal/provider.TestCBTStatus"},
	{23, "privileges are checked beforehand, and a missing one is named", "internal/provider.TestCBTRefusals internal/vsphere.TestTypedFaults internal/vsphere/vspheretest.TestPrivileges internal/cbt.TestEachMissingPrivilegeIsNamed"},
	{24, "the temporary snapshot is without memory and without quiescing", "internal/cbt.TestEnsureAsksForNoMore internal/vsphere/vspheretest.TestMemorySnapshotWithIndependentDisk"},
	{25, "the embedded vCenter does what the simulator does not", "internal/vsphere/vspheretest.TestRunningVMWaitsForAStun internal/vsphere/vspheretest.TestChangedAreasComeInPages internal/vsphere/vspheretest.TestTaskInProgress internal/vsphere/vspheretest.TestMethodDisabled"},
	{26, "its VMs work with the simulator's own code", "internal/vsphere/vspheretest.TestSnapshotsMoveFiles internal/vsphere/vspheretest.TestStuns"},
	{27, "calls can be failed, held and dropped one by one", "internal/vsphere/vspheretest.TestInterceptors internal/vsphere/vspheretest.TestSequenceGrowsAndSnapshotsKeepTheirIDs"},
	{28, "a wrong password is refused", "internal/vsphere/vspheretest.TestCredentialsAndSessions internal/vsphere.TestRefusedPasswordIsTriedOnce"},
}

func TestFactsAreGuarded(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	var files []string
	for depth := "internal/*"; strings.Count(depth, "/") < 4; depth += "/*" {
		more, err := filepath.Glob(depth + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, more...)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		directory := filepath.ToSlash(filepath.Dir(file))
		for _, declaration := range parsed.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil && strings.HasPrefix(function.Name.Name, "Test") {
				tests[fmt.Sprintf("%s.%s", directory, function.Name.Name)] = true
			}
		}
	}
	for i, fact := range facts {
		if fact.number != i+1 {
			t.Errorf("fact %d is at position %d", fact.number, i+1)
		}
		guards := strings.Fields(fact.guards)
		if len(guards) == 0 {
			t.Errorf("no test guards fact %d: %s", fact.number, fact.fact)
		}
		for _, guard := range guards {
			if !tests[guard] {
				t.Errorf("fact %d: there is no test %s", fact.number, guard)
			}
		}
	}
	if len(facts) != 28 {
		t.Errorf("there are %d facts", len(facts))
	}
}
