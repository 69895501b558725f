package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// decodePlan decodes what a plan is made of; state is nil for a resource to
// create.
func decodePlan[M any](ctx context.Context, req resource.ModifyPlanRequest, diags *diag.Diagnostics) (config, plan M, state *M) {
	diags.Append(req.Config.Get(ctx, &config)...)
	diags.Append(req.Plan.Get(ctx, &plan)...)
	if !req.State.Raw.IsNull() {
		state = new(M)
		diags.Append(req.State.Get(ctx, state)...)
	}
	return config, plan, state
}

// current reads the VM of a resource that exists: by its managed object ID, and
// where that is gone or another VM's, by its instance UUID.
func (s *services) current(ctx context.Context, names vmNames) (*cbt.Status, error) {
	id := names.ID.ValueString()
	if moid := names.VMMoid.ValueString(); moid != "" {
		status, err := s.manager.Status(ctx, moid)
		if err == nil && (vmID(status.VM) == id || id == "") {
			return status, nil
		}
		if err != nil && !errors.Is(err, vsphere.ErrNotFound) {
			return nil, err
		}
	}
	return s.manager.Find(ctx, vsphere.Name{InstanceUUID: id})
}

// planned reads the VM that a plan is about: that of the configuration for a
// resource to create, that of the state for one to update. Where the configuration now names another VM it asks for a
// replacement; where it names none any more, it says where the VM went.
func (s *services) planned(
	ctx context.Context, config vmNames, state *vmNames, resp *resource.ModifyPlanResponse,
) *cbt.Status {
	name, at, ok := config.name()
	if state == nil {
		if !ok {
			return nil // not known before apply
		}
		status, err := s.manager.Find(ctx, name)
		if err != nil {
			resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", at, err))
			return nil
		}
		return status
	}
	status, err := s.current(ctx, *state)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", at, err))
		return nil
	}
	if !ok || names(name, status.VM) {
		return status
	}
	other, found := s.plannedAnother(ctx, config, vmID(status.VM), resp)
	switch {
	case other != nil:
		return other
	case !found:
		resp.Diagnostics.Append(movedWarning(name, status.VM))
	}
	return status
}

// plannedAnother asks for a replacement where the configuration names another
// VM than the one of that ID, and gives it. Found is false where it names none.
func (s *services) plannedAnother(
	ctx context.Context, config vmNames, id string, resp *resource.ModifyPlanResponse,
) (other *cbt.Status, found bool) {
	name, at, ok := config.name()
	if !ok {
		return nil, true
	}
	other, err := s.manager.Find(ctx, name)
	switch {
	case errors.Is(err, vsphere.ErrNotFound):
		return nil, false
	case err != nil:
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", at, err))
		return nil, true
	case vmID(other.VM) == id:
		return nil, true
	}
	resp.RequiresReplace = append(resp.RequiresReplace, at)
	resp.Diagnostics.AddAttributeWarning(at, "Another Virtual Machine",
		fmt.Sprintf("The virtual machine %s is not the one that this resource manages. The resource will be replaced: "+
			"the old virtual machine is let go as a destroy would, and the new one is taken up.", name))
	return other, true
}

// names says whether a name is that VM's, as far as one can tell without asking.
func names(name vsphere.Name, vm *vsphere.VM) bool {
	return name.Path == vm.Path || (name.UUID != "" && name.UUID == vm.UUID) || (name.Moid != "" && name.Moid == vm.Moid)
}

func movedWarning(name vsphere.Name, vm *vsphere.VM) diag.Diagnostic {
	at, now := attributePath, vm.Path
	switch {
	case name.UUID != "":
		at, now = attributeUUID, vm.UUID
	case name.Moid != "":
		at, now = attributeMoid, vm.Moid
	}
	return diag.NewWarningDiagnostic("Virtual Machine Moved",
		fmt.Sprintf("There is no virtual machine %s any more. The one that this resource manages is now %q, with the managed object ID %s. Write in the configuration: %s = %q",
			name, vm.Path, vm.Moid, at, now))
}
