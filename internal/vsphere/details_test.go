package vsphere

import (
	"maps"
	"testing"

	"github.com/vmware/govmomi/vim25/types"
)

func TestUsedBytes(t *testing.T) {
	t.Parallel()
	const descriptor, extent = "diskDescriptor", "diskExtent"
	file := func(key int32, kind string, size int64) types.VirtualMachineFileLayoutExFileInfo {
		return types.VirtualMachineFileLayoutExFileInfo{Key: key, Name: "[ds] vm/disk.vmdk", Type: kind, Size: size}
	}
	tracking := types.VirtualMachineFileLayoutExFileInfo{Key: 9, Name: "[ds] vm/disk-ctk.vmdk", Type: extent, Size: 1 << 20}
	chain := func(units ...[]int32) []types.VirtualMachineFileLayoutExDiskLayout {
		layout := types.VirtualMachineFileLayoutExDiskLayout{Key: 2000}
		for _, keys := range units {
			layout.Chain = append(layout.Chain, types.VirtualMachineFileLayoutExDiskUnit{FileKey: keys})
		}
		return []types.VirtualMachineFileLayoutExDiskLayout{layout}
	}
	const capacity, unknown = 1000, -1
	for name, test := range map[string]struct {
		layout  *types.VirtualMachineFileLayoutEx
		backing Backing
		want    int64
	}{
		"no layout":                      {nil, BackingFlatVer2, unknown},
		"an extent":                      {&types.VirtualMachineFileLayoutEx{File: []types.VirtualMachineFileLayoutExFileInfo{file(1, descriptor, 5), file(2, extent, 300)}, Disk: chain([]int32{1, 2})}, BackingFlatVer2, 300},
		"a tracking file":                {&types.VirtualMachineFileLayoutEx{File: []types.VirtualMachineFileLayoutExFileInfo{file(2, extent, 300), tracking}, Disk: chain([]int32{2, 9})}, BackingFlatVer2, 300},
		"a snapshot adds to it":          {&types.VirtualMachineFileLayoutEx{File: []types.VirtualMachineFileLayoutExFileInfo{file(1, extent, 300), file(2, extent, 40)}, Disk: chain([]int32{1}, []int32{2})}, BackingFlatVer2, 340},
		"never more than the capacity":   {&types.VirtualMachineFileLayoutEx{File: []types.VirtualMachineFileLayoutExFileInfo{file(1, extent, 900), file(2, extent, 900)}, Disk: chain([]int32{1}, []int32{2})}, BackingFlatVer2, capacity},
		"an object store":                {&types.VirtualMachineFileLayoutEx{File: []types.VirtualMachineFileLayoutExFileInfo{file(1, descriptor, 700)}, Disk: chain([]int32{1})}, BackingFlatVer2, 700},
		"a file that is not listed":      {&types.VirtualMachineFileLayoutEx{File: []types.VirtualMachineFileLayoutExFileInfo{file(1, extent, 300)}, Disk: chain([]int32{1}, []int32{7})}, BackingFlatVer2, unknown},
		"an empty chain":                 {&types.VirtualMachineFileLayoutEx{Disk: chain()}, BackingFlatVer2, unknown},
		"a disk that is new":             {&types.VirtualMachineFileLayoutEx{File: []types.VirtualMachineFileLayoutExFileInfo{file(1, extent, 0)}, Disk: chain([]int32{1})}, BackingFlatVer2, 0},
		"a raw device, which is no file": {&types.VirtualMachineFileLayoutEx{File: []types.VirtualMachineFileLayoutExFileInfo{file(1, extent, 300)}, Disk: chain([]int32{1})}, BackingRDM, unknown},
	} {
		want := map[int32]int64{2000: test.want}
		if test.want == unknown {
			want = map[int32]int64{}
		}
		if got := usedBytes(test.layout, []Disk{{Key: 2000, Capacity: capacity, Backing: test.backing}}); !maps.Equal(got, want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAgentNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"vCLS (1)": true, "vCLS (12)": true, "vCLS-4C4C4544-0043-4410-8053-B4C04F335133": true, "vCLS-0a1b2c3d-1111-2222-3333-444455556666": true,
		"vCLS": false, "vCLS-tools": false, "my vCLS (1)": false, "vCLS (1) copy": false,
	} {
		if got := agentName.MatchString(name); got != want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
