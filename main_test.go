package main_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vmware/govmomi/simulator"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// These tests run the built provider under the terraform in PATH: signals,
// exits and logouts do not happen to a provider in the test's own process.

func TestNoSessionIsLeft(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w := newWorkspace(t, "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n}\n")
	w.use(vcenter)
	w.terraform(2, "plan", "-detailed-exitcode")
	noSession(t, vcenter, "plan")
	vcenter.ResetCalls()
	w.terraform(0, "apply", "-auto-approve")
	noSession(t, vcenter, "apply")
	// Two processes, one plans and one applies: each looks the VM up and reads
	// it once, and asks about privileges once; the second reads it back.
	if calls := vcenter.Calls(); calls["FindByInventoryPath"] != 2 || calls["RetrievePropertiesEx"] != 3 || calls["HasUserPrivilegeOnEntities"] != 2 {
		t.Errorf("an apply made these calls: %v", calls)
	}
	vcenter.ResetCalls()
	w.terraform(0, "plan", "-detailed-exitcode")
	noSession(t, vcenter, "a plan without changes")
	if calls := vcenter.Calls(); calls["Login"] != 1 || calls["Logout"] != 1 || calls["RetrievePropertiesEx"] != 1 {
		t.Errorf("a plan without changes made these calls: %v", calls)
	}
	w.terraform(0, "validate")
	noSession(t, vcenter, "validate")

	vm.SetTracking(false)
	reached := make(chan struct{})
	release := vm.HoldTasks("CreateSnapshot_Task")
	vcenter.Observe("CreateSnapshot_Task", 0, 1, func() { close(reached) })
	apply := w.start("apply", "-auto-approve")
	apply.until(reached)
	apply.interrupt()
	release()
	if got := apply.wait(); got != 1 {
		t.Errorf("an interrupted apply exited with %d:\n%s", got, apply.output.String())
	}
	noSession(t, vcenter, "Ctrl-C")
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left after Ctrl-C: %v", left)
	}
	w.terraform(0, "apply", "-auto-approve")
	if enabled, _ := vm.Tracking(); !enabled {
		t.Error("the apply after Ctrl-C did not switch tracking on")
	}
}

// A create that is interrupted is not lost: the resource is in state, the
// next apply goes on in place, and what was there before is restored at the end.
func TestInterruptedCreateGoesOn(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w := newWorkspace(t, "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n  on_destroy = \"restore\"\n}\n")
	w.use(vcenter)
	if output := w.interruptAt("ReconfigVM_Task", vcenter, vm); !strings.Contains(output, "Change Tracking Interrupted") ||
		strings.Contains(output, "inconsistent result") {
		t.Errorf("apply:\n%s", output)
	}
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
	noSession(t, vcenter, "an interrupted create")
	if output := w.terraform(0, "apply", "-auto-approve"); strings.Contains(output, "destroyed, ") || !strings.Contains(output, "0 destroyed") {
		t.Errorf("apply:\n%s", output)
	}
	if got := w.attribute("vma_cbt.web", "initialized"); got != true {
		t.Errorf("initialized: %v", got)
	}
	w.terraform(0, "destroy", "-auto-approve")
	if enabled, _ := vm.Tracking(); enabled {
		t.Error("tracking was off before, and is on now")
	}
}

// A process that is killed between making and removing its snapshot leaves it;
// the next run knows it by name and mark, removes it first, and nothing else.
func TestKilledBetweenCreateAndRemove(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w := newWorkspace(t, "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n  allow_existing_snapshots = true\n}\n")
	w.use(vcenter)
	reached := make(chan struct{})
	hang := vcenter.Hang("RemoveSnapshot_Task", 0, 0)
	vcenter.Observe("RemoveSnapshot_Task", 0, 1, func() { close(reached) })
	apply := w.startGroup("apply", "-auto-approve")
	apply.until(reached)
	apply.signalGroup(syscall.SIGKILL)
	apply.wait()
	hang.Release()
	left := vm.Snapshots()
	if len(left) != 1 || !strings.HasPrefix(left[0], "vma-cbt-init-") {
		t.Fatalf("snapshots after the kill: %v", left)
	}
	others := []string{left[0], "mine"} // by name alone, and by mark alone, they are somebody else's
	for i, description := range []string{"", "[terraform-provider-vma:cbt-init]"} {
		if err := vm.AddSnapshot(others[i], description); err != nil {
			t.Fatal(err)
		}
	}
	if output := w.terraform(0, "apply", "-auto-approve"); !strings.Contains(output, "1 added") {
		t.Errorf("apply:\n%s", output)
	}
	if got := vm.Snapshots(); !slices.Equal(got, others) {
		t.Errorf("snapshots now: %v, want %v", got, others)
	}
	w.terraform(0, "plan", "-detailed-exitcode")
}

// Disks that were not merged are somebody's to look after: a plan that has work
// to do says so, and the apply too.
func TestConsolidationNeededIsAWarning(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	vm.SetConsolidationNeeded(true)
	w := newWorkspace(t, "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n}\n")
	w.use(vcenter)
	warned := func(args ...string) {
		t.Helper()
		if output := w.terraform(0, args...); !strings.Contains(output, "Warning: Consolidation Needed") {
			t.Errorf("%s:\n%s", args[0], output)
		}
	}
	warned("plan")
	vm.SetConsolidationNeeded(false)
	vcenter.Observe("RemoveSnapshot_Task", 0, 1, func() { vm.SetConsolidationNeeded(true) }) // as where the merge fails
	warned("apply", "-auto-approve")
}

// Snapshots of other tools move change IDs and files: no drift.
func TestForeignSnapshotsAreNoDrift(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w, _ := replicated(t, vcenter, "")
	w.write(filepath.Join(w.dir, "cbt.tf"), "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n}\n")
	w.terraform(0, "apply", "-auto-approve")
	look := func(when string) {
		t.Helper()
		w.terraform(0, "plan", "-detailed-exitcode")
		w.terraform(0, "plan", "-refresh-only", "-detailed-exitcode")
		noSession(t, vcenter, "plans "+when)
	}
	look("after the apply")
	if err := errors.Join(vm.AddSnapshot("nightly", ""), vm.AddSnapshot("nightly", "")); err != nil {
		t.Fatal(err)
	}
	look("with snapshots of another tool")
	if err := vm.RemoveSnapshots(); err != nil {
		t.Fatal(err)
	}
	look("after they were removed")
}

// A plan that was saved and is applied after tracking was lost copies
// everything, and says that this is not what was planned.
func TestSavedPlanIsOvertaken(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w, _ := replicated(t, vcenter, "  triggers = { run = terraform_data.run.output }\n")
	run := func(n string) {
		w.write(filepath.Join(w.dir, "run.tf"), "resource \"terraform_data\" \"run\" {\n  input = \""+n+"\"\n}\n")
	}
	run("1")
	w.terraform(0, "apply", "-auto-approve")
	run("2")
	if output := w.terraform(0, "plan", "-out=saved"); !strings.Contains(output, `"full: no change ID yet" -> "incremental"`) {
		t.Errorf("plan:\n%s", output)
	}
	vm.ResetTracking()
	output := strings.Join(strings.Fields(w.terraform(0, "apply", "saved")), " ")
	if !strings.Contains(output, "was copied whole, and incrementally was planned") {
		t.Errorf("apply:\n%s", output)
	}
	w.terraform(0, "plan", "-detailed-exitcode")
}

// An interrupt in the middle of a copy is not a loss: the state says so, the
// snapshot is gone, and the next apply goes on in place.
func TestInterruptedReplication(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w, steer := replicated(t, vcenter, "")
	pause := filepath.Join(steer, "pause")
	w.write(pause, "")
	w.env[migratekittest.Pause] = pause
	copying := make(chan struct{})
	vcenter.Observe("CreateSnapshot_Task", 1, 1, func() { close(copying) }) // the first one initialises tracking
	apply := w.start("apply", "-auto-approve")
	apply.until(copying)
	waitFor(t, pause+".waiting")
	apply.interrupt()
	if got := apply.wait(); got != 1 {
		t.Errorf("exit status %d:\n%s", got, apply.output.String())
	}
	if got := w.attribute("vma_replication.web", "status"); got != "interrupted" {
		t.Errorf("status %v", got)
	}
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
	noSession(t, vcenter, "an interrupted copy")
	delete(w.env, migratekittest.Pause)
	output := w.terraform(0, "apply", "-auto-approve")
	if !strings.Contains(output, "1 changed, 0 destroyed") {
		t.Errorf("the next apply did not go on in place:\n%s", output)
	}
	if got := w.attribute("vma_replication.web", "status"); got != "replicated" {
		t.Errorf("status %v", got)
	}
	w.terraform(0, "plan", "-detailed-exitcode")
}

// What migratekit would trip over is said by the plan, as far as one can know.
func TestMissingNbdkitIsAWarning(t *testing.T) {
	t.Parallel()
	vcenter, _ := startVCenter(t)
	w, steer := replicated(t, vcenter, "")
	for path, missing := range map[string]bool{t.TempDir(): true, steer: false} { // the stand-in brings one
		w.env["PATH"] = path
		if output := w.terraform(0, "plan"); strings.Contains(output, "Missing nbdkit") != missing {
			t.Errorf("a plan with PATH=%s:\n%s", path, output)
		}
	}
}

// Twenty cycles at once end well together, each with a log and change IDs of its
// own. The provider is built with the race detector, and a race ends it.
func TestReplicationsTogether(t *testing.T) {
	t.Parallel()
	const n = 20
	vcenter, _ := startVCenter(t)
	exports := map[string]nbdtest.Export{}
	for i := range n {
		if _, err := vcenter.AddVM(vspheretest.Spec{Path: fmt.Sprintf("/DC0/vm/many/vm%d", i)}); err != nil {
			t.Fatal(err)
		}
		exports[fmt.Sprintf("vm%d", i)] = nbdtest.Export{Size: 1 << 30}
	}
	server, err := nbdtest.Start(nbdtest.Newstyle, exports)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	w, steer := replicated(t, vcenter, "")
	w.provider(t, buildProvider(t, "-race"))
	w.env["GORACE"] = "halt_on_error=1"
	configure := func(run int) {
		w.write(filepath.Join(w.dir, "main.tf"), fmt.Sprintf(`
terraform {
  required_providers {
    vma = { source = "vma-project/vma" }
  }
}
resource "vma_replication" "all" {
  count    = %d
  vm_path  = "/DC0/vm/many/vm${count.index}"
  nbd      = { exports = { "2000" = "%s${count.index}" } }
  triggers = { run = "%d" }
}
`, n, server.URI("vm"), run))
	}
	configure(1)
	w.terraform(0, "apply", "-auto-approve", "-parallelism=20")
	configure(2)
	w.terraform(0, "apply", "-auto-approve", "-parallelism=20")
	ids, logs := map[any]bool{}, map[any]bool{}
	for _, resource := range w.resources() {
		cycle, _ := resource.Values["last_cycle"].(map[string]any)
		changeIDs, _ := resource.Values["change_ids"].(map[string]any)
		if resource.Values["status"] != "replicated" || cycle["kind"] != "incremental" {
			t.Errorf("%s: %v, %v", resource.Address, resource.Values["status"], cycle)
		}
		ids[changeIDs["2000"]], logs[cycle["log_file"]] = true, true
	}
	if len(ids) != n || len(logs) != n {
		t.Errorf("%d change IDs and %d logs for %d replications", len(ids), len(logs), n)
	}
	if runs, err := migratekittest.Invocations(filepath.Join(steer, "runs")); err != nil || len(runs) != 2*n {
		t.Errorf("%d runs of migratekit, %v", len(runs), err)
	}
	noSession(t, vcenter, "twenty replications")
	w.terraform(0, "plan", "-detailed-exitcode")
}

// The password is in migratekit's argument list and nowhere else.
func TestPasswordIsNowhere(t *testing.T) {
	t.Parallel()
	vcenter, _ := startVCenter(t)
	w, steer := replicated(t, vcenter, "  extra_args = [\"--debug\"]\n")
	w.env["TF_LOG"] = "TRACE"
	w.env["TF_LOG_PATH"] = filepath.Join(w.dir, "trace.log")
	w.write(filepath.Join(w.dir, "cbt.tf"), "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n}\ndata \"vma_cbt_status\" \"web\" {\n  vm_path = vma_cbt.web.vm_path\n}\n")
	var shown strings.Builder
	w.env[migratekittest.Fail] = "2000" // it prints its whole command line
	shown.WriteString(w.terraform(1, "apply", "-auto-approve"))
	delete(w.env, migratekittest.Fail)
	shown.WriteString(w.terraform(0, "plan", "-out=saved.tfplan"))
	shown.WriteString(w.terraform(0, "apply", "saved.tfplan"))
	w.env["VSPHERE_PASSWORD"] = vspheretest.Password + "-wrong"
	shown.WriteString(w.terraform(1, "plan"))
	w.write(filepath.Join(w.dir, "shown.txt"), shown.String())

	searched := map[string]bool{}
	err := filepath.WalkDir(w.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		searched[filepath.Ext(path)] = true
		if strings.HasSuffix(path, ".tfplan") {
			content = append(content, unzip(t, path)...)
		}
		if bytes.Contains(content, []byte(vspheretest.Password)) {
			t.Errorf("the password is in %s", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{".tfstate", ".tfplan", ".log", ".txt"} {
		if !searched[kind] {
			t.Errorf("there was no %s to search", kind)
		}
	}
	runs, err := migratekittest.Invocations(filepath.Join(steer, "runs"))
	if err != nil || len(runs) != 2 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	if !strings.Contains(strings.Join(runs[0].Args, " "), vspheretest.Password) {
		t.Error("migratekit did not get the password, so this test proves nothing")
	}
	for name, value := range runs[0].Env {
		if strings.Contains(value, vspheretest.Password) {
			t.Errorf("the password is in migratekit's environment, in %s", name)
		}
	}
}

// A vCenter that this project did not write: govmomi's own simulator, which
// flips the flag at once and never gives a change ID.
func TestForeignSimulator(t *testing.T) {
	t.Parallel()
	model := simulator.VPX()
	if err := model.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Remove)
	model.Service.TLS = new(tls.Config)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("admin", "secret")}
	server := model.Service.NewServer()
	t.Cleanup(server.Close)
	w := newWorkspace(t, `
data "vma_cbt_status" "vm" {
  vm_path = "/DC0/vm/DC0_H0_VM0"
}
output "enabled" { value = data.vma_cbt_status.vm.enabled }
`)
	w.env["VSPHERE_SERVER"] = server.URL.Host
	w.env["VSPHERE_USER"] = "admin"
	w.env["VSPHERE_PASSWORD"] = "secret"
	w.env["VSPHERE_ALLOW_UNVERIFIED_SSL"] = "true"
	if output := w.terraform(0, "apply", "-auto-approve"); !strings.Contains(output, "enabled = false") {
		t.Errorf("status:\n%s", output)
	}
	w.write(filepath.Join(w.dir, "cbt.tf"), "resource \"vma_cbt\" \"vm\" {\n  vm_path = \"/DC0/vm/DC0_H0_VM0\"\n}\n")
	output := w.terraform(1, "apply", "-auto-approve")
	if text := strings.Join(strings.Fields(output), " "); !strings.Contains(text, "gave no change ID to") {
		t.Errorf("the error does not say that there is no change ID:\n%s", output)
	}
	for _, entity := range model.Service.Context.Map.All("VirtualMachine") {
		vm, _ := entity.(*simulator.VirtualMachine)
		if vm.Name != "DC0_H0_VM0" {
			continue
		}
		model.Service.Context.WithLock(vm, func() {
			if vm.Config.ChangeTrackingEnabled == nil || !*vm.Config.ChangeTrackingEnabled {
				t.Error("the flag was not switched on")
			}
			if vm.Snapshot != nil {
				t.Errorf("snapshots are left: %+v", vm.Snapshot.RootSnapshotList)
			}
		})
	}
}
