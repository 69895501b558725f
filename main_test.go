package main_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
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
	w.terraform(0, "apply", "-auto-approve")
	noSession(t, vcenter, "apply")
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
	<-reached
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
		// Terraform 1.11 compares numbers in state by how they were decoded, so
		// its exit status says 2 here for every provider that has a number.
		output, err := w.command("plan", "-refresh-only", "-detailed-exitcode", "-no-color").CombinedOutput()
		if !strings.Contains(string(output), "No changes.") || (err != nil && !w.is111()) {
			t.Errorf("%s: %v\n%s", when, err, output)
		}
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
	<-copying
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

// Every example of a resource or data source is planned.
func TestExamples(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	for _, name := range []string{"web01", "web02", "db01"} {
		spec := vspheretest.Spec{Path: "/DC0/vm/prod/" + name, Disks: []vspheretest.Disk{{}, {}}}
		if _, err := vcenter.AddVM(spec); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob("examples/*/*/*.tf")
	if err != nil || len(files) < 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "import") {
			continue // the import tests have these
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w, _ := replicated(t, vcenter, "")
			maps.Copy(w.env, map[string]string{"OS_AUTH_URL": "u", "OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_PROJECT_ID": "p"})
			w.write(filepath.Join(w.dir, "main.tf"), "terraform {\n  required_providers {\n    vma = { source = \"vma-project/vma\" }\n  }\n}\n"+
				strings.ReplaceAll(string(content), "vm-1042", vm.Moid()))
			w.terraform(0, "validate")
			w.terraform(0, "plan")
		})
	}
}
