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

// reader is Look or Recent of the manager.
type reader func(context.Context, vsphere.Name) (*cbt.Status, error)

// current reads the VM of a resource that exists: by its managed object ID, and
// where that is gone or another VM's, by its instance UUID.
func current(ctx context.Context, read reader, names vmNames) (*cbt.Status, error) {
	id := names.ID.ValueString()
	if moid := names.VMMoid.ValueString(); moid != "" {
		status, err := read(ctx, vsphere.Name{Moid: moid})
		if err == nil && (vmID(status.VM) == id || id == "") {
			return status, nil
		}
		if err != nil && !errors.Is(err, vsphere.ErrNotFound) {
			return nil, err
		}
	}
	return read(ctx, vsphere.Name{InstanceUUID: id})
}

// mistaken is for a name that was written since the last apply and is none of
// the VM's.
func mistaken(stray givenName, vm *vsphere.VM) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(stray.at, "Virtual Machine Not Found",
		fmt.Sprintf("There is no virtual machine %s, or it is not the one that the other names name. The one that this resource manages is %q, with the managed object ID %s. "+
			"Write one of its names, or that of another virtual machine to replace it.", stray, vm.Path, vm.Moid))
}

// planned reads the VM that a plan is about: that of the configuration for a
// resource to create, that of the state for one to update. Where the
// configuration now names another VM it asks for a replacement; where it names
// none any more, it says where the VM went.
func (s *services) planned(
	ctx context.Context, config vmNames, state *vmNames, applied private, resp *resource.ModifyPlanResponse,
) *cbt.Status {
	given := config.given()
	if state == nil {
		if len(given) == 0 {
			return nil // not known before apply
		}
		status, err := s.manager.Recent(ctx, given[0].Name)
		if errors.Is(err, vsphere.ErrNotFound) && s.wasGone(given[0].Name) {
			return nil // there is a warning already, and a destroy plans too
		}
		if err != nil {
			resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", given[0].at, err))
			return nil
		}
		resp.Diagnostics.Append(config.contradictions(status.VM)...)
		return status
	}
	if len(given) == 0 {
		return nil // it may be another one
	}
	status, err := current(ctx, s.manager.Recent, *state)
	if errors.Is(err, vsphere.ErrNotFound) {
		if other, _ := s.plannedAnother(ctx, config, state.ID.ValueString(), resp); other != nil || resp.Diagnostics.HasError() {
			return other
		}
	}
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", config.at(), err))
		return nil
	}
	strays := config.strays(status.VM)
	if len(strays) > 0 && len(strays) == len(given) {
		other, found := s.plannedAnother(ctx, config, vmID(status.VM), resp)
		if other != nil {
			return other
		}
		if found {
			return status
		}
	}
	before := recallNames(ctx, applied)
	for _, stray := range strays {
		if before == nil || before[stray.attribute()] == stray.String() {
			resp.Diagnostics.Append(movedWarning(stray, status.VM))
		} else {
			resp.Diagnostics.Append(mistaken(stray, status.VM))
		}
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
	other, err := s.manager.Recent(ctx, name)
	switch {
	case errors.Is(err, vsphere.ErrNotFound):
		return nil, false
	case err != nil:
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", at, err))
		return nil, true
	case vmID(other.VM) == id:
		return nil, true
	}
	resp.Diagnostics.Append(config.contradictions(other.VM)...)
	if !s.wasRefreshed(id) {
		resp.Diagnostics.AddAttributeError(at, "Another Virtual Machine",
			fmt.Sprintf("The virtual machine %s is not the one that this resource manages, and that was not known when the plan was made: "+
				"its name depended on something that was applied first, or the plan was made without a refresh. Nothing was done to either. Plan and apply again: the resource is replaced then.", name))
		return nil, true
	}
	resp.RequiresReplace = append(resp.RequiresReplace, at)
	resp.Diagnostics.AddAttributeWarning(at, "Another Virtual Machine",
		fmt.Sprintf("The virtual machine %s is not the one that this resource manages. The resource will be replaced: "+
			"the old virtual machine is let go as a destroy would, and the new one is taken up.", name))
	return other, true
}

func movedWarning(stray givenName, vm *vsphere.VM) diag.Diagnostic {
	now := map[string]string{attributePath: vm.Path, attributeUUID: vm.UUID, attributeMoid: vm.Moid}[stray.attribute()]
	return diag.NewAttributeWarningDiagnostic(stray.at, "Virtual Machine Moved",
		fmt.Sprintf("The virtual machine %s is not, or not any more, the one that this resource manages. That one is now %q, with the managed object ID %s. Write in the configuration: %s = %q",
			stray, vm.Path, vm.Moid, stray.attribute(), now))
}

// rememberGone keeps the names of a VM that is gone, for the plan that follows in
// the same process.
func (s *services) rememberGone(state vmNames) {
	for _, name := range state.given() {
		s.gone.Store(name.Name, true)
	}
}

func (s *services) wasGone(name vsphere.Name) bool {
	_, ok := s.gone.Load(name)
	return ok
}

// goneWarning is for a resource whose VM is in vCenter no more.
func goneWarning(state vmNames) diag.Diagnostic {
	return diag.NewWarningDiagnostic("Virtual Machine Gone",
		fmt.Sprintf("The virtual machine %s, with the managed object ID %s, is not in vCenter any more, or the account may not see it. "+
			"The resource that managed it is taken out of state. An apply fails until the configuration has it no more, or names the virtual machine that takes its place.", state.VMPath, state.VMMoid.ValueString()))
}
