package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// ImportState implements resource.ResourceWithImportState: by inventory path,
// managed object ID, BIOS or instance UUID, or identity. Read does the rest.
func (r *cbtResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	id := req.ID
	if id == "" && req.Identity != nil {
		var identity identityModel
		resp.Diagnostics.Append(req.Identity.Get(ctx, &identity)...)
		id = identity.ID.ValueString()
	}
	if resp.Diagnostics.HasError() {
		return
	}
	if r.services == nil || !r.services.known {
		resp.Diagnostics.AddError("Unable to Import Change Tracking",
			"The provider's configuration depends on values that are known only after apply. Give it values that are known now.")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	vm, err := r.imported(ctx, id)
	if err != nil {
		resp.Diagnostics.AddError("Unable to Import Change Tracking",
			fmt.Sprintf("There is no single virtual machine %q. Import by inventory path (/DC0/vm/prod/web01), managed object ID (vm-123), BIOS UUID or instance UUID.\n\n%v", id, err))
		return
	}
	var names vmNames
	names.fill(vm)
	for attribute, value := range map[string]types.String{
		"id": names.ID, "vm_name": names.VMName, attributePath: names.VMPath, attributeUUID: names.VMUUID, attributeMoid: names.VMMoid,
		"on_destroy": types.StringValue(onDestroyKeep),
	} {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(attribute), value)...)
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("allow_existing_snapshots"), false)...)
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, names.ID)...)
}

func (r *cbtResource) imported(ctx context.Context, id string) (*vsphere.VM, error) {
	var names []vsphere.Name
	switch {
	case strings.HasPrefix(id, "/"):
		names = []vsphere.Name{{Path: id}}
	case uuidPattern.MatchString(id):
		id = strings.ToLower(id)
		names = []vsphere.Name{{InstanceUUID: id}, {UUID: id}}
	default:
		names = []vsphere.Name{{Moid: id}}
	}
	var err error
	for _, name := range names {
		var vm *vsphere.VM
		if vm, err = r.services.vcenter.Find(ctx, name); err == nil {
			return vm, nil
		}
		if !errors.Is(err, vsphere.ErrNotFound) {
			return nil, err
		}
	}
	return nil, err
}
