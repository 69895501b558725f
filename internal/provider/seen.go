package provider

import (
	"context"
	"encoding/json"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// privateSeen is the key of private state that holds the VM as it was read
// last. A plan is made of it, and not of another look at vCenter: Terraform
// plans again during an apply, and a plan must then come out the same although
// another resource has changed the VM meanwhile.
const privateSeen = "seen"

// private is the part of private state that seen needs; the framework's type
// for it is not exported.
type private interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
	SetKey(ctx context.Context, key string, value []byte) diag.Diagnostics
}

// remember keeps the VM as it was read.
func remember(ctx context.Context, to private, vm *vsphere.VM) diag.Diagnostics {
	encoded, err := json.Marshal(vm)
	if err != nil {
		return diag.Diagnostics{diag.NewErrorDiagnostic("Unable to Save Virtual Machine", err.Error())}
	}
	return to.SetKey(ctx, privateSeen, encoded)
}

// recall gives the VM as it was read last, nil where that was never kept or is
// another VM.
func recall(ctx context.Context, from private, id string) *cbt.Status {
	encoded, _ := from.GetKey(ctx, privateSeen)
	var vm vsphere.VM
	if len(encoded) == 0 || json.Unmarshal(encoded, &vm) != nil || vmID(&vm) != id {
		return nil
	}
	return cbt.NewStatus(&vm)
}
