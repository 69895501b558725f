package replication

import (
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

func TestTraps(t *testing.T) {
	t.Parallel()
	windows := func(vm *vsphere.VM) { vm.Windows, vm.PowerState = true, "poweredOn" }
	cutover := &migratekit.OpenStack{Cutover: true}
	byHand := &migratekit.OpenStack{Cutover: true, RunV2V: new(false)}
	tests := map[string]struct {
		cycle  *Cycle
		disks  int
		change func(*vsphere.VM)
		want   []string // a part of each
	}{
		"none":                              {&Cycle{OpenStack: &migratekit.OpenStack{}, Sizes: map[int32]int64{2000: size}}, 2, nil, nil},
		"SeSparse":                          {&Cycle{Exports: exports(2000, 2001)}, 2, func(vm *vsphere.VM) { vm.Disks[1].Backing = vsphere.BackingSeSparse }, []string{"SeSparse"}},
		"SeSparse, not copied":              {&Cycle{Exports: exports(2000)}, 2, func(vm *vsphere.VM) { vm.Disks[1].Backing = vsphere.BackingSeSparse }, nil},
		"a disk that grew":                  {&Cycle{OpenStack: &migratekit.OpenStack{}, Sizes: map[int32]int64{2000: size - 1}}, 1, nil, []string{"from 1073741823 to 1073741824 bytes"}},
		"cutover of several disks":          {&Cycle{OpenStack: cutover}, 2, nil, []string{"the first one only"}},
		"cutover of several disks, by hand": {&Cycle{OpenStack: byHand}, 2, nil, nil},
		"cutover of Windows without tools":  {&Cycle{OpenStack: cutover}, 1, windows, []string{"VMware Tools do not run"}},
		"cutover of Windows with tools":     {&Cycle{OpenStack: cutover}, 1, func(vm *vsphere.VM) { windows(vm); vm.ToolsRunning = true }, nil},
		"a cycle of Windows without tools":  {&Cycle{OpenStack: &migratekit.OpenStack{}}, 1, windows, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vm := machine([]string{"A/1", "B/1"}[:test.disks]...).VM
			if test.change != nil {
				test.change(vm)
			}
			got := Traps(test.cycle, cbt.NewStatus(vm))
			if len(got) != len(test.want) {
				t.Fatalf("got %+v", got)
			}
			for i, want := range test.want {
				if !strings.Contains(got[i].Detail, want) || !strings.Contains(got[i].Detail, vm.Path) {
					t.Errorf("%q has no %q", got[i].Detail, want)
				}
			}
		})
	}
}
