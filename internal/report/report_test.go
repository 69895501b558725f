package report_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/report"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

const (
	gib     = int64(1) << 30
	hostile = `</td></table><script>document.title="owned"</script><img src=x onerror=alert(1)> & "web" | *web* [x](http://x)`
)

// troubles change VMs so that the inventory has many kinds of findings. The first number is that of the VMs that have it, of 300.
var troubles = []struct {
	vms    int
	change func(vm *vsphere.VM)
}{
	{47, func(vm *vsphere.VM) {
		vm.Snapshots = []vsphere.Snapshot{{Name: "before the update", Created: time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC), Depth: 1}}
	}},
	{31, func(vm *vsphere.VM) { vm.HardwareVersion = 4 }},
	{22, func(vm *vsphere.VM) { vm.ToolsRunning = false }},
	{18, func(vm *vsphere.VM) { vm.Disks[1].PhysicalMode, vm.Disks[1].Backing = true, vsphere.BackingRDM }},
	{12, func(vm *vsphere.VM) { vm.Disks[1].Mode = "independent_persistent" }},
	{9, func(vm *vsphere.VM) { vm.ConsolidationNeeded = true }},
	{8, func(vm *vsphere.VM) { vm.Details.VTPM, vm.EFI, vm.Details.SecureBoot = true, true, true }},
	{6, func(vm *vsphere.VM) { vm.Template, vm.PowerState = true, "poweredOff" }},
	{5, func(vm *vsphere.VM) { vm.ConnectionState = "disconnected" }},
	{4, func(vm *vsphere.VM) { vm.HostProduct = vsphere.Product{Version: "6.0.0", Build: "3073146"} }},
	{3, func(vm *vsphere.VM) { vm.FaultTolerant = true }},
	{2, func(vm *vsphere.VM) { vm.SharedBus = []string{"SCSI controller 1"} }},
}

// inventory makes an assessment of n VMs. The first has a name that tries to be markup.
func inventory(n int) cbt.Assessed {
	assessed := cbt.Assessed{LeftOut: 3}
	next, of := 0, 0
	for i := range n {
		vm := &vsphere.VM{
			Moid: fmt.Sprintf("vm-%d", i), Name: fmt.Sprintf("customer%03d-app%02d", i/7, i%7), InstanceUUID: fmt.Sprintf("503c5a3e-0000-0000-0000-%012d", i),
			PowerState: "poweredOn", ConnectionState: "connected", HardwareVersion: 19, ChangeTrackingSupported: true, ToolsRunning: true,
			CPUs: 2, MemoryMB: 4096, HostProduct: vsphere.Product{Version: "8.0.2", Build: "21997540"},
			Disks: []vsphere.Disk{
				{Key: 2000, Label: "Hard disk 1", Backing: vsphere.BackingFlatVer2, Capacity: 40 * gib, File: fmt.Sprintf("[gold-%d] vm%d/vm.vmdk", i%3, i)},
				{Key: 2001, Label: "Hard disk 2", Backing: vsphere.BackingFlatVer2, Capacity: 200 * gib, File: fmt.Sprintf("[silver-%d] vm%d/data.vmdk", i%5, i)},
			},
			Details: &vsphere.Details{
				Configured: true,
				GuestName:  "Red Hat Enterprise Linux 9 (64-bit)", Host: fmt.Sprintf("esx%02d.example.com", i%12),
				Used: map[int32]int64{2000: 18 * gib, 2001: int64(i%100) * gib},
			},
		}
		if i == 0 {
			vm.Name = hostile
		}
		vm.Path = "/DC0/vm/prod/" + vm.Name
		if next < len(troubles) && i%2 == 1 { // every other VM has the next trouble
			troubles[next].change(vm)
			if of++; of == troubles[next].vms {
				next, of = next+1, 0
			}
		}
		status := cbt.NewStatus(vm)
		assessed.VMs = append(assessed.VMs, cbt.Assessment{Status: status, Findings: status.Findings()})
	}
	return assessed
}

func page(t *testing.T, n int) string {
	t.Helper()
	html, err := report.HTML(inventory(n), "/DC0/vm/prod")
	if err != nil {
		t.Fatal(err)
	}
	return html
}

func TestSummary(t *testing.T) {
	t.Parallel()
	got := report.Summarize(inventory(4))
	// The VMs 1 and 3 have a snapshot; all have two disks of 40 and 200 GiB, of which 18 GiB and their number in GiB are used.
	if got.Total != 4 || got.Ready != 2 || got.LeftOut != 3 || got.Capacity != 4*240*gib || got.Used != (4*18+0+1+2+3)*gib || got.Unknown != 0 {
		t.Errorf("%+v", got)
	}
	if got.Findings["existing_snapshots"] != 2 || got.Findings["cbt_disabled"] != 4 {
		t.Errorf("%v", got.Findings)
	}
	if got := report.Summarize(cbt.Assessed{}); got.Total != 0 || got.Capacity != 0 {
		t.Errorf("%+v", got)
	}
}

func TestReportsAreTheSameEachTime(t *testing.T) {
	t.Parallel()
	first, markdown := page(t, 120), report.Markdown(inventory(120), "x")
	for range 5 {
		if page(t, 120) != first || report.Markdown(inventory(120), "x") != markdown {
			t.Fatal("it differs")
		}
	}
}

func TestPageSaysWhatToDoFirst(t *testing.T) {
	t.Parallel()
	html := page(t, 700)
	for _, want := range []string{
		"576 of 700 virtual machines", "3 system virtual machines", "What to do first", "What to check before the cutover",
		"47 virtual machines</span><b>Snapshots in the way of CBT", "Remove the snapshots, or set allow_existing_snapshots",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("no %q", want)
		}
	}
	order := []string{"Snapshots in the way of CBT", "Virtual hardware too old", "Raw device in physical mode", "Independent disk"}
	for i := 1; i < len(order); i++ {
		if !strings.Contains(html, order[i-1]) || strings.Index(html, order[i-1]) > strings.Index(html, order[i]) {
			t.Errorf("%q comes after %q", order[i-1], order[i])
		}
	}
	if strings.Contains(html, "<script") || strings.Contains(html, "<img") || strings.Contains(html, " style=") {
		t.Error("there is markup that the page must not have")
	}
}

func TestEmptyReport(t *testing.T) {
	t.Parallel()
	html, err := report.HTML(cbt.Assessed{}, "/DC0/vm/none")
	if err != nil || !strings.Contains(html, "0 of 0 virtual machines") {
		t.Errorf("%v: %s", err, html)
	}
	if text := report.Markdown(cbt.Assessed{}, "x"); !strings.Contains(text, "0 of 0 virtual machines") {
		t.Error(text)
	}
}

func TestMarkdownEscapesNames(t *testing.T) {
	t.Parallel()
	assessed := inventory(2)
	assessed.VMs[1].VM.Path = "/DC0/vm/prod/a\nb\x1b[31m"
	text := report.Markdown(assessed, "/DC0/vm/*")
	for _, want := range []string{`&lt;script>`, `\|`, `\*web\*`, `\[x\]`, `/DC0/vm/\*`, "| a b \\[31m"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if cells := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); (strings.HasPrefix(line, "| a b") || strings.Contains(line, "script")) && cells != 7 {
			t.Errorf("%d cells: %s", cells, line)
		}
	}
}

// A VM without a path, of which vCenter tells nothing, does not keep the report from ending.
func TestVMsWithoutACommonFolder(t *testing.T) {
	t.Parallel()
	assessed := inventory(3)
	for i, path := range []string{"", "/DC1/vm/a", "/DC2/vm/b"} {
		assessed.VMs[i].VM.Path = path
	}
	if _, err := report.HTML(assessed, "x"); err != nil {
		t.Error(err)
	}
}

// Labels come from vCenter in its language.
func TestLabelsThatAreNotLatin(t *testing.T) {
	t.Parallel()
	assessed := inventory(2)
	for i := range assessed.VMs {
		assessed.VMs[i].Findings = []cbt.Finding{{Severity: cbt.Error, Code: "c", Title: "T", Problem: "硬盘 2 cannot be copied", Cure: "x"}}
	}
	html, err := report.HTML(assessed, "x")
	if err != nil || !utf8.ValidString(html) || !strings.Contains(html, "硬盘 2 cannot be copied.") {
		t.Errorf("%v: %s", err, html)
	}
}

// What could not be read is said.
func TestUnreadableVMsAreCounted(t *testing.T) {
	t.Parallel()
	assessed := inventory(2)
	assessed.Unreadable = []error{errors.New("a"), errors.New("b")}
	html, err := report.HTML(assessed, "x")
	if err != nil || !strings.Contains(html, "2 virtual machines could not be read") || !strings.Contains(report.Markdown(assessed, "x"), "2 virtual machines could not be read") {
		t.Errorf("%v", err)
	}
}

// Datastores of the same name in two datacenters are two.
func TestDatastoresOfTheSameName(t *testing.T) {
	t.Parallel()
	assessed := inventory(2)
	for i, dc := range []string{"Europe/DC1", "Europe/DC2"} {
		vm := assessed.VMs[i].VM
		vm.Path = "/" + dc + "/vm/x"
		for j := range vm.Disks {
			assessed.VMs[i].Disks[j].File = "[shared] x.vmdk"
		}
	}
	if text := report.Markdown(assessed, "x"); !strings.Contains(text, "| shared (Europe/DC1) | 1 |") || !strings.Contains(text, "| shared (Europe/DC2) | 1 |") {
		t.Error(text)
	}
}

func TestMarkdownHasNoLinksAndMentions(t *testing.T) {
	t.Parallel()
	assessed := inventory(2)
	assessed.VMs[1].VM.Path = "/DC0/vm/prod/https://x www.x @team #12 a\u202eb"
	text := report.Markdown(assessed, "x")
	if want := "https&#58;//x www&#46;x &#64;team &#35;12 a b"; !strings.Contains(text, want) {
		t.Errorf("no %s in %s", want, text)
	}
}

// A VM without a configuration is not an empty VM.
func TestVMWithoutAConfiguration(t *testing.T) {
	t.Parallel()
	assessed := inventory(1)
	vm := &vsphere.VM{Path: "/DC0/vm/orphan", ConnectionState: "orphaned", Details: &vsphere.Details{}}
	assessed.VMs = append(assessed.VMs, cbt.Assessment{Status: cbt.NewStatus(vm), Findings: cbt.NewStatus(vm).Findings()})
	html, err := report.HTML(assessed, "x")
	if err != nil || !strings.Contains(html, "<td>?<td>?<td>?<td>?<td>?") || !strings.Contains(report.Markdown(assessed, "x"), "at least 18 GiB used") {
		t.Errorf("%v: %s", err, html)
	}
}
