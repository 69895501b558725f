package e2etest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

func TestZZ(t *testing.T) {
	vcenter, err := vspheretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	start := time.Now()
	for i := range 600 {
		vm, err := vcenter.AddVM(vspheretest.Spec{Path: fmt.Sprintf("/DC0/vm/estate/customer-production-vm%04d", i), Disks: []vspheretest.Disk{{}, {}}, MACs: []string{fmt.Sprintf("00:50:56:00:%02x:%02x", i/256, i%256)}})
		if err != nil {
			t.Fatal(err)
		}
		if i%5 == 0 {
			_ = vm.AddSnapshot("nightly", "")
		}
		if i%7 == 0 {
			vm.SetTools(false)
		}
	}
	t.Log("made in", time.Since(start))
	w := newWorkspace(t, `data "vma_assessment" "x" {}`)
	w.use(vcenter)
	vcenter.ResetCalls()
	start = time.Now()
	w.terraform(0, "apply", "-auto-approve")
	t.Log("took", time.Since(start), vcenter.Calls())
	s := read(t, filepath.Join(w.dir, "terraform.tfstate"))
	t.Log("state", len(s))
	_ = os.WriteFile("/tmp/assess.tfstate", []byte(s), 0o600)
}
