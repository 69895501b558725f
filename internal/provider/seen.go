package provider

import (
	"context"
	"encoding/json"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// privateSeen is the key of private state that holds tracking as it was read
// last. What a cycle is planned to copy is made of it, and not of another look
// at vCenter: Terraform plans again during an apply, and a plan must then come
// out the same although another resource has changed the VM meanwhile.
const privateSeen = "seen"

// privateSizes is the key of private state that holds how large the disks were
// when they were copied last, in bytes, by device key.
const privateSizes = "sizes"

// seen has nothing in it that moves by itself: Terraform compares private state
// too when it looks for drift.
type seen struct {
	Enabled bool       `json:"enabled"`
	Disks   []seenDisk `json:"disks"`
}

type seenDisk struct {
	Key   int32  `json:"key"`
	Label string `json:"label"`
	Epoch string `json:"epoch"`
}

// private is the part of private state that is needed here; the framework's
// type for it is not exported.
type private interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
	SetKey(ctx context.Context, key string, value []byte) diag.Diagnostics
}

// remember keeps tracking as it was read.
func remember(ctx context.Context, to private, status *cbt.Status) diag.Diagnostics {
	s := seen{Enabled: status.Enabled(), Disks: []seenDisk{}}
	for _, disk := range status.Disks {
		s.Disks = append(s.Disks, seenDisk{Key: disk.Key, Label: disk.Label, Epoch: cbt.Epoch(disk.ChangeID)})
	}
	encoded, err := json.Marshal(s)
	if err != nil {
		return diag.Diagnostics{diag.NewErrorDiagnostic("Unable to Save Change Tracking", err.Error())}
	}
	return to.SetKey(ctx, privateSeen, encoded)
}

// recall gives tracking as it was read last, enough to plan a cycle; otherwise
// the status that is given.
func recall(ctx context.Context, from private, otherwise *cbt.Status) *cbt.Status {
	encoded, _ := from.GetKey(ctx, privateSeen)
	var s seen
	if len(encoded) == 0 || json.Unmarshal(encoded, &s) != nil {
		return otherwise
	}
	vm := &vsphere.VM{Name: otherwise.VM.Name, Path: otherwise.VM.Path, ChangeTracking: s.Enabled}
	for _, disk := range s.Disks {
		d := vsphere.Disk{Key: disk.Key, Label: disk.Label, Backing: vsphere.BackingFlatVer2}
		if disk.Epoch != "" {
			d.ChangeID = disk.Epoch + "/0"
		}
		vm.Disks = append(vm.Disks, d)
	}
	return cbt.NewStatus(vm)
}

// rememberSizes keeps how large the disks are that a cycle copied.
func rememberSizes(ctx context.Context, to private, result *replication.Result) diag.Diagnostics {
	sizes := recallSizes(ctx, to)
	for key := range result.Disks {
		sizes[key] = result.Status.Disk(key).Capacity
	}
	encoded, err := json.Marshal(sizes)
	if err != nil {
		return diag.Diagnostics{diag.NewErrorDiagnostic("Unable to Save the Sizes of Disks", err.Error())}
	}
	return to.SetKey(ctx, privateSizes, encoded)
}

func recallSizes(ctx context.Context, from private) map[int32]int64 {
	sizes := map[int32]int64{}
	if encoded, _ := from.GetKey(ctx, privateSizes); len(encoded) > 0 {
		_ = json.Unmarshal(encoded, &sizes) // what is not known warns of nothing
	}
	return sizes
}
