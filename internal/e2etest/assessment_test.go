package e2etest

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// 2,000 VMs may cost 12 calls, 60 MB of answers and 8 MB of state. The last two grow with the VMs, so a tenth of them may take a tenth.
func TestAssessmentIsSmall(t *testing.T) {
	t.Parallel()
	const vms, of = 200, 2000
	vcenter, err := vspheretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	for i := range vms {
		vm, err := vcenter.AddVM(vspheretest.Spec{
			Path:  fmt.Sprintf("/DC0/vm/customers/customer %02d/production-database-%04d", i/20, i),
			Disks: []vspheretest.Disk{{}, {}, {}}, MACs: []string{fmt.Sprintf("00:50:56:00:00:%02x", i), fmt.Sprintf("00:50:56:00:01:%02x", i)},
		})
		if err != nil {
			t.Fatal(err)
		}
		vm.SetUsed(2000, int64(i)<<20)
		vm.SetTools(i%4 > 0)
		vm.Change(func(vm *simulator.VirtualMachine) {
			vm.Config.GuestId, vm.Config.GuestFullName = "rhel9_64Guest", "Red Hat Enterprise Linux 9 (64-bit)"
			if i%10 == 0 {
				vm.Config.Version = "vmx-04"
			}
			for range 25 { // a VM has about 30 files: logs, swap, configuration
				vm.LayoutEx.File = append(vm.LayoutEx.File, types.VirtualMachineFileLayoutExFileInfo{
					Key: int32(5000 + len(vm.LayoutEx.File)), Name: "[LocalDS_0] production-database/vmware-17.log", Type: "log", Size: 1 << 20, UniqueSize: 1 << 20, Accessible: new(true),
				})
			}
		})
		if i%5 == 0 {
			if err := vm.AddSnapshot("nightly", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	w := newWorkspace(t, "data \"vma_assessment\" \"all\" {}\noutput \"report\" {\n  value = sha256(\"${data.vma_assessment.all.html}${data.vma_assessment.all.markdown}\")\n}\n")
	w.use(vcenter)
	vcenter.ResetCalls()
	w.terraform(0, "plan")
	calls, total := vcenter.Calls(), 0
	for _, n := range calls {
		total += n
	}
	// These VMs are one page. 2,000 of them and 1,000 other objects are two pages more.
	if calls["ContinueRetrievePropertiesEx"] != 0 || total+2 > 12 {
		t.Errorf("%v", calls)
	}
	if allowed := 60 << 20 * vms / of; vcenter.Answered() > allowed {
		t.Errorf("%d bytes of answers, and %d are allowed", vcenter.Answered(), allowed)
	}
	w.terraform(0, "apply", "-auto-approve")
	state := read(t, filepath.Join(w.dir, "terraform.tfstate"))
	if allowed := 8 << 20 * vms / of; len(state) > allowed {
		t.Errorf("%d bytes of state, and %d are allowed", len(state), allowed)
	}
	t.Logf("%d calls, %d bytes of answers, %d bytes of state", total, vcenter.Answered(), len(state))
	w.terraform(0, "plan", "-detailed-exitcode") // byte for byte the same
}

// The report goes to files, and names cannot inject markup in them.
func TestAssessmentExample(t *testing.T) {
	t.Parallel()
	s := newShowcase(t)
	s.besideOthers()
	if err := s.web.Rename("<b>web|01"); err != nil {
		t.Fatal(err)
	}
	s.web.SetUsed(2000, 80*1000*1000*3600*5) // limited by the capacity of 1 GiB
	s.take("examples/guides/assessment/main.tf", "")
	s.terraform(0, "apply", "-auto-approve")
	page, summary := read(t, filepath.Join(s.dir, "assessment.html")), read(t, filepath.Join(s.dir, "assessment.md"))
	if !strings.Contains(page, "<td>&lt;b&gt;web|01<td>") || !strings.Contains(summary, `| &lt;b>web\|01 |`) {
		t.Errorf("%s\n%s", page, summary)
	}
	var waves map[string]struct{ VMs, Bytes, Hours int64 }
	if err := json.Unmarshal([]byte(s.terraform(0, "output", "-json", "waves")), &waves); err != nil {
		t.Fatal(err)
	}
	if wave := waves["<"]; wave.VMs != 1 || wave.Bytes != 1<<30 || wave.Hours != 1 {
		t.Errorf("%+v", waves)
	}
	s.terraform(0, "plan", "-detailed-exitcode")
}
