package vspheretest

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// addDeltas puts a delta file on each disk that a snapshot includes, with the previous file as its parent. The VM's
// lock must be held.
func addDeltas(ctx *simulator.Context, vm *simulator.VirtualMachine, number int32) {
	for _, disk := range disksOf(vm.Config.Hardware.Device) {
		flat, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		if !ok || strings.HasPrefix(flat.DiskMode, "independent_") {
			continue
		}
		parent := *flat
		top := *flat
		top.Parent = &parent
		top.FileName = fmt.Sprintf("%s-%06d.vmdk", strings.TrimSuffix(base(flat).FileName, ".vmdk"), number)
		disk.Backing = &top
	}
	ctx.Update(vm, []types.PropertyChange{{Name: "config.hardware.device", Val: vm.Config.Hardware.Device}})
}

// dropDeltas merges one delta of each disk, or all. The VM's lock must be held.
func dropDeltas(ctx *simulator.Context, vm *simulator.VirtualMachine, all bool) {
	for _, disk := range disksOf(vm.Config.Hardware.Device) {
		flat, ok := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
		for ok && isDelta(flat) {
			id := flat.ChangeId
			flat = flat.Parent
			flat.ChangeId = id
			disk.Backing = flat
			if !all {
				break
			}
		}
	}
	ctx.Update(vm, []types.PropertyChange{{Name: "config.hardware.device", Val: vm.Config.Hardware.Device}})
}

// base returns the file below all deltas. In a linked clone that file has a parent too: another VM's file.
func base(flat *types.VirtualDiskFlatVer2BackingInfo) *types.VirtualDiskFlatVer2BackingInfo {
	for isDelta(flat) {
		flat = flat.Parent
	}
	return flat
}

var deltaPattern = regexp.MustCompile(`-[0-9]{6}\.vmdk$`)

func isDelta(flat *types.VirtualDiskFlatVer2BackingInfo) bool {
	return flat.Parent != nil && deltaPattern.MatchString(flat.FileName)
}
