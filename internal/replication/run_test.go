package replication

import (
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/nbd"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/process"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// stage has a VM, an export and a migratekit.
type stage struct {
	vcenter *vspheretest.VCenter
	vm      *vspheretest.Machine
	runner  *Runner
	cycle   *Cycle
	runs    string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	vcenter, err := vspheretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	vm, err := vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/web01", Disks: []vspheretest.Disk{{Size: size}}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := vsphere.NewClient(vsphere.Config{
		Server: vcenter.URL.Host, Username: vspheretest.Username, Password: vspheretest.Password, Thumbprint: vcenter.Thumbprint(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(t.Context()) })
	server, err := nbdtest.Start(nbdtest.Newstyle, map[string]nbdtest.Export{"web01-0": {Size: size}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	uri, err := nbd.ParseURI(server.URI("web01-0"))
	if err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	program, err := migratekittest.Install(directory)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	runs := filepath.Join(directory, "runs")
	return &stage{
		vcenter: vcenter, vm: vm, runs: runs,
		runner: NewRunner(client, cbt.NewManager(client, log), process.NewMachine(log), log, Limits{}, "test"),
		cycle: &Cycle{
			Moid: vm.Moid(), Target: &NBD{Exports: map[int32]nbd.URI{2000: uri}}, Program: program, AutoCBT: true,
			Environment:  map[string]string{migratekittest.Record: runs, "PATH": directory},
			LogDirectory: filepath.Join(directory, "logs"), StopGrace: time.Minute,
		},
	}
}

func (s *stage) started(t *testing.T) int {
	t.Helper()
	runs, err := migratekittest.Invocations(s.runs)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return len(runs)
}

// The first cycle is full, and the next one copies what changed since.
func TestRunCycles(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first, err := s.runner.Run(t.Context(), s.cycle)
	if err != nil || first.Kind != cbt.Full || first.ChangedBytes() != size {
		t.Fatalf("%s, %d bytes, %v", first.Kind, first.ChangedBytes(), err)
	}
	s.vm.Write(2000, 0, 4096)
	s.cycle.Previous = first.ChangeIDs
	second, err := s.runner.Run(t.Context(), s.cycle)
	if err != nil || second.Kind != cbt.Incremental || second.ChangedBytes() != 4096 {
		t.Fatalf("%s, %d bytes, %v", second.Kind, second.ChangedBytes(), err)
	}
	if maps.Equal(first.ChangeIDs, second.ChangeIDs) {
		t.Errorf("both cycles end at %v", first.ChangeIDs)
	}
	if left := s.vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
	info, err := os.Stat(second.LogFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("log: %v, %v", info, err)
	}
	content, err := os.ReadFile(second.LogFile)
	if err != nil || !strings.HasPrefix(string(content), "# started at ") || !strings.Contains(string(content), "\n# ended at ") {
		t.Errorf("%s, %v", content, err)
	}
	if strings.Contains(string(content), vspheretest.Password) {
		t.Error("the log has the password")
	}
}

// Nothing is written to the VM, and migratekit is not started, if the cycle cannot succeed.
func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(t *testing.T, s *stage)
		want   func(error) bool
	}{
		"no migratekit": {
			func(_ *testing.T, s *stage) { s.cycle.Program += "-missing" },
			func(err error) bool { return errors.Is(err, process.ErrNotInstalled) },
		},
		"no log": {
			func(t *testing.T, s *stage) {
				t.Helper()
				s.cycle.LogDirectory = filepath.Join(s.runs, "x")
				if err := os.WriteFile(s.runs, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			},
			func(err error) bool { _, ok := errors.AsType[*LogDirectoryError](err); return ok },
		},
		"no temporary files": {
			func(_ *testing.T, s *stage) { s.cycle.Environment["TMPDIR"] = s.runs },
			func(err error) bool { _, ok := errors.AsType[*process.TemporaryError](err); return ok },
		},
		"a disk that the VM does not have": {
			func(_ *testing.T, s *stage) { s.cycle.Target = exports(2000, 2001) },
			func(err error) bool { _, ok := errors.AsType[*ImpossibleError](err); return ok },
		},
		"a leftover snapshot": {
			func(t *testing.T, s *stage) {
				t.Helper()
				if err := s.vm.AddSnapshot("migratekit", ""); err != nil {
					t.Fatal(err)
				}
			},
			func(err error) bool { _, ok := errors.AsType[*LeftoverError](err); return ok },
		},
		"a template": {
			func(t *testing.T, s *stage) {
				t.Helper()
				if err := s.vm.PowerOff(); err != nil {
					t.Fatal(err)
				}
				s.vm.SetTemplate(true)
			},
			func(err error) bool { _, ok := errors.AsType[*GateError](err); return ok },
		},
		"lost increments": {
			func(_ *testing.T, s *stage) {
				s.vm.SetTracking(true)
				s.vm.Stun()
				s.cycle.Previous, s.cycle.FailOnReset = map[int32]string{2000: "another epoch/1"}, true
			},
			func(err error) bool { _, ok := errors.AsType[*TrackingResetError](err); return ok },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			test.change(t, s)
			s.vcenter.ResetCalls()
			result, err := s.runner.Run(t.Context(), s.cycle)
			if !test.want(err) || result.Started {
				t.Errorf("started %t, error %v", result.Started, err)
			}
			calls := s.vcenter.Calls()
			if calls["ReconfigVM_Task"]+calls["CreateSnapshot_Task"]+calls["RemoveSnapshot_Task"] > 0 {
				t.Errorf("it wrote to the VM: %v", calls)
			}
			if name != "no log" && s.started(t) > 0 {
				t.Error("migratekit was started")
			}
		})
	}
}

// A snapshot that a failed run leaves is removed, and the old change IDs stay.
func TestRunFails(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.cycle.Previous = map[int32]string{2000: "another epoch/1"}
	s.cycle.Environment[migratekittest.Fail] = "2000"
	s.cycle.Environment[migratekittest.KeepSnapshot] = "1"
	result, err := s.runner.Run(t.Context(), s.cycle)
	run, ok := errors.AsType[*RunError](err)
	if !ok || !result.Started || run.LogFile != result.LogFile || len(result.Tail) == 0 {
		t.Errorf("started %t, error %v, tail %q", result.Started, err, result.Tail)
	}
	if !maps.Equal(result.ChangeIDs, s.cycle.Previous) || len(result.Disks) > 0 {
		t.Errorf("change IDs %v, disks %v", result.ChangeIDs, result.Disks)
	}
	if left := s.vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}

func TestRunByAProgramThatDoesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.cycle.Program = "/bin/true"
	if _, err := s.runner.Run(t.Context(), s.cycle); !errors.Is(err, ErrIncomplete) {
		t.Errorf("error %v", err)
	}
}

// Names with special characters lead to this VM, although migratekit reads its path as a pattern.
func TestRunCopiesTheRightVM(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/DC0/vm/[ab]/web01", "/DC0/vm/db[12]", "/DC0/vm/web*", "/DC0/vm/open[x", "/DC0/vm/a?"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			for _, decoy := range []string{"/DC0/vm/a/web01", "/DC0/vm/db1", "/DC0/vm/website", "/DC0/vm/ab"} {
				if _, err := s.vcenter.AddVM(vspheretest.Spec{Path: decoy, Disks: []vspheretest.Disk{{Size: size}}}); err != nil {
					t.Fatal(err)
				}
			}
			vm, err := s.vcenter.AddVM(vspheretest.Spec{Path: path, Disks: []vspheretest.Disk{{Size: size}}})
			if err != nil {
				t.Fatal(err)
			}
			s.cycle.Moid = vm.Moid()
			if result, err := s.runner.Run(t.Context(), s.cycle); err != nil || result.Kind != cbt.Full {
				t.Errorf("%s, %v", result.Kind, err)
			}
		})
	}
}

// A program that says that it completed, but made no snapshot of this VM, has copied another one, or none.
func TestRunNeedsEvidence(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.cycle.Program = filepath.Join(t.TempDir(), "liar")
	script := "#!/bin/sh\necho 'level=info msg=\"Migration completed\"'\n"
	if err := os.WriteFile(s.cycle.Program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	result, err := s.runner.Run(t.Context(), s.cycle)
	if !errors.Is(err, ErrNoEvidence) || len(result.ChangeIDs) > 0 {
		t.Errorf("error %v, change IDs %v", err, result.ChangeIDs)
	}
}

// A snapshot that was gone before anybody saw it is evidence too.
func TestSnapshotTasksAreEvidence(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	before, err := s.runner.vcenter.SnapshotTasks(t.Context(), s.vm.Moid())
	if err != nil {
		t.Fatal(err)
	}
	if s.runner.madeSnapshot(t.Context(), s.vm.Moid(), before) {
		t.Error("evidence of nothing")
	}
	if err := errors.Join(s.vm.AddSnapshot("migratekit", ""), s.vm.RemoveSnapshots()); err != nil {
		t.Fatal(err)
	}
	if !s.runner.madeSnapshot(t.Context(), s.vm.Moid(), before) {
		t.Error("no evidence of a snapshot that is gone")
	}
}

// A snapshot of migratekit may belong to a run of another process, which holds the lock: nothing is changed then.
func TestRunLeavesTheSnapshotOfAnotherRun(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.cycle.RemoveLeftovers = true
	status, err := s.runner.manager.ReadUncached(t.Context(), s.cycle.Moid)
	if err != nil {
		t.Fatal(err)
	}
	held, err := s.runner.lock(t.Context(), status.VM.Identity(), migratekit.Job{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.vm.AddSnapshot("migratekit", ""); err != nil {
		t.Fatal(err)
	}
	if _, err := s.runner.Run(t.Context(), s.cycle); !s.runner.InUse(t.Context(), status.VM.Identity()) || !isLocked(err) {
		t.Errorf("%v", err)
	}
	if enabled, _ := s.vm.Tracking(); enabled || len(s.vm.Snapshots()) != 1 {
		t.Errorf("CBT is on: %t; snapshots: %v", enabled, s.vm.Snapshots())
	}
	held.Release()
	if _, err := s.runner.Run(t.Context(), s.cycle); err != nil || s.runner.InUse(t.Context(), status.VM.Identity()) {
		t.Errorf("%v", err)
	}
}

func isLocked(err error) bool {
	_, ok := errors.AsType[*process.LockedError](err)
	return ok
}

func TestRunRefusesAnEncryptedVMThatItMayNotRead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.vm.Encrypt()
	s.vcenter.Revoke("Cryptographer.Access")
	_, err := s.runner.Run(t.Context(), s.cycle)
	if refused, ok := errors.AsType[*PreflightError](err); !ok || !strings.Contains(refused.Error(), "no privilege Cryptographer.Access") {
		t.Fatalf("%v", err)
	}
	if enabled, _ := s.vm.Tracking(); enabled || s.started(t) > 0 {
		t.Errorf("migratekit was started %d times, CBT is on: %t", s.started(t), enabled)
	}
	s.vcenter.Grant("Cryptographer.Access")
	if _, err := s.runner.Run(t.Context(), s.cycle); err != nil {
		t.Error(err)
	}
}
