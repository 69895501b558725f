package e2etest

import (
	"crypto/tls"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// govmomi's own simulator sets the flag at once and never sets a change ID.
func TestForeignSimulator(t *testing.T) {
	t.Parallel()
	model := simulator.VPX()
	if err := vspheretest.Create(model); err != nil {
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
