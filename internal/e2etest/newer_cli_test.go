package e2etest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/go-version"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// These tests need features of newer CLIs. Older CLIs skip them.

func (w *workspace) needs(oldest string) {
	w.t.Helper()
	output, err := w.command("version", "-json").Output()
	if err != nil {
		w.t.Fatal(err)
	}
	var cli struct {
		Version string `json:"terraform_version"`
	}
	if err := json.Unmarshal(output, &cli); err != nil {
		w.t.Fatal(err)
	}
	if version.Must(version.NewVersion(cli.Version)).LessThan(version.Must(version.NewVersion(oldest))) {
		w.t.Skipf("Terraform %s is older than %s", cli.Version, oldest)
	}
}

// prodVMs adds a VM with working CBT, one with CBT disabled, one that cannot be tracked, and a template.
// prodVMs adds four VMs and returns the one on which tracking is off.
func prodVMs(t *testing.T, vcenter *vspheretest.VCenter) *vspheretest.Machine {
	t.Helper()
	add := func(name string, disks ...vspheretest.Disk) *vspheretest.Machine {
		vm, err := vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/prod/" + name, Disks: disks})
		if err != nil {
			t.Fatal(err)
		}
		return vm
	}
	works := add("web01")
	works.SetTracking(true)
	works.Stun()
	off := add("web02")
	add("db01", vspheretest.Disk{Kind: vspheretest.PhysicalRDM})
	add("golden").SetTemplate(true)
	return off
}

func TestGeneratedConfiguration(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	before := newWorkspace(t, "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n}\n")
	before.use(vcenter)
	before.terraform(0, "apply", "-auto-approve")
	text := func(name string) string {
		s, _ := before.attribute("vma_cbt.web", name).(string)
		return fmt.Sprintf("%q", s)
	}
	for name, by := range map[string]string{
		"path":          "id = " + text("vm_path"),
		"moid":          "id = " + text("vm_moid"),
		"BIOS UUID":     "id = " + text("vm_uuid"),
		"instance UUID": "id = " + text("id"),
		"identity":      "identity = { id = " + text("id") + " }",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorkspace(t, "")
			w.use(vcenter)
			if name == "identity" {
				w.needs("1.12.0")
			}
			block := func(provider string) {
				w.write(filepath.Join(w.dir, "import.tf"), "import {\n  to = vma_cbt.web\n  "+by+"\n"+provider+"}\n")
			}
			block("  provider = vma\n") // newer CLIs require it, but only to generate configuration
			w.terraform(2, "plan", "-detailed-exitcode", "-generate-config-out=generated.tf")
			block("")
			if output := w.terraform(0, "apply", "-auto-approve"); !strings.Contains(output, "1 imported, 0 added, 0 changed, 0 destroyed") {
				t.Errorf("apply:\n%s", output)
			}
			w.terraform(0, "plan", "-detailed-exitcode")
			if got := w.attribute("vma_cbt.web", "vm_moid"); got != vm.Moid() {
				t.Errorf("imported %v", got)
			}
		})
	}
}

func TestGeneratedNamesMustAgree(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	other, err := vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/web02"})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorkspace(t, "data \"vma_cbt_status\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n}\n")
	w.use(vcenter)
	configure := func(path, moid string) {
		w.write(filepath.Join(w.dir, "cbt.tf"), fmt.Sprintf(
			"resource \"vma_cbt\" \"web\" {\n  vm_path = %q\n  vm_moid = %q\n  vm_uuid = data.vma_cbt_status.web.vm_uuid\n}\n", path, moid))
	}
	plan := func(want int) string { return strings.Join(strings.Fields(w.terraform(want, "plan")), " ") }
	configure("/DC0/vm/web01", other.Moid())
	if output := plan(1); !strings.Contains(output, "Invalid vm_moid") || !strings.Contains(output, "Keep one of vm_path, vm_uuid and vm_moid") {
		t.Errorf("plan:\n%s", output)
	}
	configure("/DC0/vm/web01", vm.Moid())
	w.terraform(0, "apply", "-auto-approve")
	w.terraform(0, "plan", "-detailed-exitcode")
	// A stale name is a warning and causes no replacement.
	if err := vm.Rename("web03"); err != nil {
		t.Fatal(err)
	}
	w.write(filepath.Join(w.dir, "main.tf"), strings.ReplaceAll(read(t, filepath.Join(w.dir, "main.tf")), "web01", "web03"))
	if output := plan(0); !strings.Contains(output, `vm_path = "/DC0/vm/web03"`) || !strings.Contains(output, "1 to change, 0 to destroy") {
		t.Errorf("plan:\n%s", output)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestQuery(t *testing.T) {
	t.Parallel()
	vcenter, _ := startVCenter(t)
	off := prodVMs(t, vcenter)
	w := newWorkspace(t, "")
	w.use(vcenter)
	w.needs("1.14.0")
	query := func(config string) {
		w.write(filepath.Join(w.dir, "estate.tfquery.hcl"), "list \"vma_cbt\" \"prod\" {\n  provider = vma\n"+config+"\n}\n")
	}
	query("config {\n    folder = \"/DC0/vm/prod\"\n  }")
	output := w.terraform(0, "query")
	for _, want := range []string{
		"/DC0/vm/prod/web01 (tracking works)",
		"/DC0/vm/prod/web02 (tracking is off)",
		"/DC0/vm/prod/db01 (tracking cannot work: none of its disks can be tracked: ",
	} {
		if !strings.Contains(output, want) {
			t.Errorf("%q is not in:\n%s", want, output)
		}
	}
	for _, no := range []string{"golden", "/DC0/vm/web01"} {
		if strings.Contains(output, no) {
			t.Errorf("%q is in:\n%s", no, output)
		}
	}
	if n := len(regexp.MustCompile(`id=[0-9a-f-]{36}`).FindAllString(output, -1)); n != 3 {
		t.Errorf("%d identities are in:\n%s", n, output)
	}
	noSession(t, vcenter, "a query")

	vcenter.Revoke("VirtualMachine.Config.ChangeTracking")
	if output := w.terraform(0, "query"); !strings.Contains(output, "web02 (tracking cannot work: the account has no privilege VirtualMachine.Config.ChangeTracking on it") {
		t.Errorf("it does not name the missing privilege:\n%s", output)
	}
	vcenter.Grant("VirtualMachine.Config.ChangeTracking")
	off.SetConnectionState(types.VirtualMachineConnectionStateDisconnected)
	if output := w.terraform(0, "query"); !strings.Contains(output, "web02 (tracking cannot work: its host is disconnected from vCenter") {
		t.Errorf("it does not name the state of the connection:\n%s", output)
	}
	off.SetConnectionState(types.VirtualMachineConnectionStateConnected)

	query("limit = 1\n  include_resource = true\n  config {\n    folder  = \"/DC0/vm/prod\"\n    name    = \"web*\"\n  }")
	if output := w.terraform(0, "query"); strings.Count(output, "list.vma_cbt.prod") != 1 {
		t.Errorf("a limit of one lists:\n%s", output)
	}
	query("config {\n    folder = \"/DC0/vm/none\"\n  }")
	if output := w.terraform(1, "query"); !strings.Contains(output, "Folder Not Found") {
		t.Errorf("query:\n%s", output)
	}

	query("config {\n    folder  = \"/DC0/vm/prod\"\n    enabled = true\n  }")
	w.terraform(0, "query", "-generate-config-out=generated.tf")
	generated := read(t, filepath.Join(w.dir, "generated.tf"))
	if !regexp.MustCompile(`vm_path\s+= "/DC0/vm/prod/web01"`).MatchString(generated) || regexp.MustCompile(`vm_(moid|uuid)\s+= "`).MatchString(generated) {
		t.Errorf("generated:\n%s", generated)
	}
	if output := w.terraform(0, "apply", "-auto-approve"); !strings.Contains(output, "1 imported, 0 added, 0 changed, 0 destroyed") {
		t.Errorf("apply:\n%s", output)
	}
	w.terraform(0, "plan", "-detailed-exitcode")
}

const resetAction = "action \"vma_cbt_reset\" \"web\" {\n  config {\n    vm_path = \"/DC0/vm/web01\"\n  }\n}\n"

func TestResetAction(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w := newWorkspace(t, resetAction+"resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n}\n")
	w.use(vcenter)
	w.needs("1.14.0")
	w.terraform(0, "apply", "-auto-approve")
	_, before := vm.Tracking()
	output := w.terraform(0, "apply", "-auto-approve", "-invoke=action.vma_cbt_reset.web")
	for _, want := range []string{
		"Writing changeTrackingEnabled: enabled false", "Task completed: operation create snapshot, task ",
		"Writing changeTrackingEnabled: enabled true", "has a new epoch on every disk; the next copy is full",
	} {
		if !strings.Contains(output, want) {
			t.Errorf("%q is not in:\n%s", want, output)
		}
	}
	if _, after := vm.Tracking(); after[2000] == "" || cbt.Epoch(after[2000]) == cbt.Epoch(before[2000]) {
		t.Errorf("change ID %q before, %q after", before[2000], after[2000])
	}
	w.terraform(0, "plan", "-detailed-exitcode")
	noSession(t, vcenter, "an action")

	if err := vm.AddSnapshot("nightly", ""); err != nil {
		t.Fatal(err)
	}
	vcenter.ResetCalls()
	output = strings.Join(strings.Fields(w.terraform(1, "plan", "-invoke=action.vma_cbt_reset.web")), " ")
	if !strings.Contains(output, `it has 1 snapshot ("nightly" of `) {
		t.Errorf("plan:\n%s", output)
	}
	if n := vcenter.Calls()["ReconfigVM_Task"]; n > 0 {
		t.Error("a plan wrote to the VM")
	}
}

// An interrupted action must leave no snapshot, and CBT enabled.
func TestInterruptedAction(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w := newWorkspace(t, resetAction)
	w.use(vcenter)
	w.needs("1.14.0")
	vm.SetTracking(true)
	vm.Stun()
	reached := make(chan struct{})
	release := vm.HoldTasks("CreateSnapshot_Task")
	vcenter.Observe("CreateSnapshot_Task", 0, 1, func() { close(reached) })
	apply := w.start("apply", "-auto-approve", "-invoke=action.vma_cbt_reset.web")
	apply.until(reached)
	apply.interrupt()
	release()
	if got := apply.wait(); got != 1 || !strings.Contains(apply.output.String(), "The operation was interrupted") {
		t.Errorf("exit status %d:\n%s", got, apply.output.String())
	}
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
	vm.Stun() // as any later snapshot does
	if enabled, ids := vm.Tracking(); !enabled || ids[2000] == "" {
		t.Errorf("tracking stays off: flag %t, change IDs %v", enabled, ids)
	}
	noSession(t, vcenter, "an interrupted action")
}
