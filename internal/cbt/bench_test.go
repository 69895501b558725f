package cbt_test

import (
	"fmt"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// manyDisks returns a VM with 15 disks, the most on one SCSI controller.
func manyDisks() *vsphere.VM {
	vm := &vsphere.VM{Moid: "vm-7", Path: "/DC0/vm/web01", PowerState: "poweredOn", ChangeTracking: true, ChangeTrackingSupported: true, HardwareVersion: 21}
	for i := range 15 {
		vm.Disks = append(vm.Disks, vsphere.Disk{
			Key: int32(2000 + i), Label: fmt.Sprintf("Hard disk %d", i+1), File: fmt.Sprintf("[ds] web01/web01_%d.vmdk", i),
			Capacity: 1 << 40, Backing: vsphere.BackingFlatVer2, Mode: "persistent",
			ChangeID: fmt.Sprintf("52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/%d", i),
		})
	}
	return vm
}

func BenchmarkStatus(b *testing.B) {
	vm := manyDisks()
	for b.Loop() {
		if status := cbt.NewStatus(vm); !status.Initialized() || len(status.Blockers(false)) > 0 {
			b.Fatal(status.Blockers(false))
		}
	}
}

func BenchmarkNextCycle(b *testing.B) {
	for b.Loop() {
		kind, _ := cbt.NextCycle("52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/80", "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/81")
		if kind != cbt.Incremental {
			b.Fatal(kind)
		}
	}
}
