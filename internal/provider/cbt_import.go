package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// ImportState implements resource.ResourceWithImportState: by path, managed object ID, UUID or identity.
func (r *cbtResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	id, names := req.ID, importNames(req.ID)
	if id == "" && req.Identity != nil && !req.Identity.Raw.IsNull() {
		var identity identityModel
		resp.Diagnostics.Append(req.Identity.Get(ctx, &identity)...)
		id = identity.ID.ValueString()
		names = []vsphere.Name{{InstanceUUID: strings.ToLower(id)}}
	}
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	status := r.data.importVM(ctx, id, names, &resp.Diagnostics)
	if status == nil {
		return
	}
	resp.Diagnostics.Append(setImported(ctx, &resp.State, status)...)
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, types.StringValue(status.VM.Identity()))...)
}

// importNames returns the names that an import ID may stand for, in the order to try.
func importNames(id string) []vsphere.Name {
	switch {
	case strings.HasPrefix(id, "/"):
		return []vsphere.Name{{Path: id}}
	case uuidPattern.MatchString(id):
		id = strings.ToLower(id)
		return []vsphere.Name{{InstanceUUID: id}, {UUID: id}}
	}
	return []vsphere.Name{{Moid: id}}
}

// importVM reads the VM by the first of its names that exists, or returns nil.
func (p *providerData) importVM(ctx context.Context, id string, names []vsphere.Name, diags *diag.Diagnostics) *cbt.Status {
	if id == "" || (strings.Contains(id, "/") && !strings.HasPrefix(id, "/")) {
		diags.AddError("Invalid Import ID",
			fmt.Sprintf("%q names no virtual machine. Import by its inventory path, from the datacenter on (/DC0/vm/prod/web01), its managed object ID (vm-123), its BIOS UUID or its instance UUID.", id))
		return nil
	}
	if p == nil || !p.known {
		diags.AddError("Unable to Import",
			"The provider's configuration depends on values that are known only after apply, so the import cannot connect to vCenter. Use values that are known at plan time.")
		return nil
	}
	status, err := p.readFirst(ctx, names)
	_, ambiguous := errors.AsType[*vsphere.AmbiguousError](err)
	switch {
	case ambiguous || errors.Is(err, vsphere.ErrNotFound):
		diags.AddError("Unable to Import",
			fmt.Sprintf("%q names no virtual machine, or several. A name alone is not enough. Import by inventory path (/DC0/vm/prod/web01), managed object ID (vm-123), BIOS UUID or instance UUID.\n\n%v", id, err))
	case err != nil:
		diags.Append(vmDiagnostic("Import", path.Root("id"), err))
	}
	return status
}

// readFirst reads the VM by the first name that exists.
func (p *providerData) readFirst(ctx context.Context, names []vsphere.Name) (*cbt.Status, error) {
	var err error
	for _, name := range names {
		var status *cbt.Status
		if status, err = p.manager.Read(ctx, name); err == nil {
			return status, nil
		}
		if !errors.Is(err, vsphere.ErrNotFound) {
			return nil, err
		}
	}
	return nil, err
}

// attributeSetter is a state or a list result.
type attributeSetter interface {
	SetAttribute(ctx context.Context, at path.Path, value any) diag.Diagnostics
}

// setImported sets the attributes of a vma_cbt for the VM; optional ones get their defaults.
func setImported(ctx context.Context, to attributeSetter, status *cbt.Status) diag.Diagnostics {
	var (
		m     cbtModel
		diags diag.Diagnostics
	)
	m.fill(status.VM)
	m.setStatus(status, &diags)
	for attribute, value := range map[string]any{
		"id": m.ID, "vm_name": m.VMName, attributePath: m.VMPath, attributeUUID: m.VMUUID, attributeMoid: m.VMMoid,
		"enabled": m.Enabled, "initialized": m.Initialized, "disks": m.Disks,
		"on_destroy": onDestroyKeep, "allow_existing_snapshots": false,
	} {
		diags.Append(to.SetAttribute(ctx, path.Root(attribute), value)...)
	}
	return diags
}
