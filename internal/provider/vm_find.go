package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// decodePlan decodes the parts of a plan. state is nil for a create.
func decodePlan[M any](ctx context.Context, req resource.ModifyPlanRequest, diags *diag.Diagnostics) (config, plan M, state *M) {
	diags.Append(req.Config.Get(ctx, &config)...)
	diags.Append(req.Plan.Get(ctx, &plan)...)
	if !req.State.Raw.IsNull() {
		state = new(M)
		diags.Append(req.State.Get(ctx, state)...)
	}
	return config, plan, state
}

// reader is Manager.Read or Manager.ReadCached.
type reader func(context.Context, vsphere.Name) (*cbt.Status, error)

// current reads an existing resource's VM by managed object ID, or by instance UUID if that is gone or reused.
func current(ctx context.Context, read reader, names vmNames) (*cbt.Status, error) {
	id := names.ID.ValueString()
	if moid := names.VMMoid.ValueString(); moid != "" && id != "" {
		status, err := read(ctx, vsphere.Name{Moid: moid})
		if err == nil && status.VM.Identity() == id {
			return status, nil
		}
		_, anonymous := errors.AsType[*vsphere.NoIdentityError](err)
		if err != nil && !anonymous && !errors.Is(err, vsphere.ErrNotFound) {
			return nil, err
		}
	}
	return read(ctx, vsphere.Name{InstanceUUID: id})
}

// readNamed reads the VM that a configuration names.
func (p *providerData) readNamed(ctx context.Context, config vmNames) (*cbt.Status, path.Path, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	name, at, _ := config.name()
	status, err := p.manager.ReadCached(ctx, name)
	return status, at, err
}

// readManaged reads the VM of an existing resource.
func (p *providerData) readManaged(ctx context.Context, state vmNames) (*cbt.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return current(ctx, p.manager.ReadCached, state)
}

// refuseRead returns the diagnostics of a read that failed: with on_blocked = "warn", a warning if only this VM is blocked, and the state stays.
func (p *providerData) refuseRead(refused diag.Diagnostic, setting types.String, state vmNames) diag.Diagnostics {
	if !p.warnsBlocked(setting) {
		return diag.Diagnostics{refused}
	}
	return warnBlocked(diag.Diagnostics{refused}, "Refresh Blocked", "The state was not refreshed", state.shown(), path.Root("id"))
}

// wrongNameError is the error for a name that changed since the last apply and does not match the VM.
func wrongNameError(mismatch givenName, vm *vsphere.VM) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(mismatch.at, "Virtual Machine Not Found",
		fmt.Sprintf("There is no virtual machine %s, or the other names in the configuration belong to a different one. This resource manages %q (managed object ID %s). "+
			"Write one of its names. To replace the resource, write the name of another virtual machine.", mismatch, vm.Path, vm.Moid))
}

// findPlanned reads the VM for a plan: by the configuration for a create, by the state for an update. It requests a
// replacement if the configuration names another VM, and warns with the new name if the VM was moved.
func (p *providerData) findPlanned(
	ctx context.Context, config vmNames, state *vmNames, applied privateState, resp *resource.ModifyPlanResponse,
) *cbt.Status {
	given := config.given()
	if state == nil {
		if len(given) == 0 {
			return nil // not known before apply
		}
		status, err := p.manager.ReadCached(ctx, given[0].Name)
		if errors.Is(err, vsphere.ErrNotFound) && p.wasGone(given[0].Name) {
			return nil // Read has warned already, and an error would block a destroy
		}
		if err != nil {
			resp.Diagnostics.Append(classify(vmDiagnostic("Read Virtual Machine", given[0].at, err), err))
			return nil
		}
		resp.Diagnostics.Append(config.validateAgainst(status.VM)...)
		return status
	}
	if len(given) == 0 {
		return nil // the unknown name may be another VM's
	}
	status, err := current(ctx, p.manager.ReadCached, *state)
	if errors.Is(err, vsphere.ErrNotFound) {
		if other, _ := p.plannedAnother(ctx, config, state.ID.ValueString(), resp); other != nil || resp.Diagnostics.HasError() {
			return other
		}
	}
	if err != nil {
		resp.Diagnostics.Append(classify(vmDiagnostic("Read Virtual Machine", config.at(), err), err))
		return nil
	}
	mismatches := config.mismatches(status.VM)
	if len(mismatches) > 0 && len(mismatches) == len(given) {
		other, found := p.plannedAnother(ctx, config, status.VM.Identity(), resp)
		if other != nil {
			return other
		}
		if found {
			return status
		}
	}
	before := loadNames(ctx, applied)
	resp.Diagnostics.Append(config.wrongNames(status.VM, before)...)
	for _, mismatch := range mismatches {
		if isMoved(mismatch, before) {
			resp.Diagnostics.Append(movedWarning(mismatch, status.VM))
		}
	}
	return status
}

// isMoved reports whether a name that does not match the VM was applied before, so that the VM must have moved.
func isMoved(mismatch givenName, applied map[string]string) bool {
	return applied == nil || applied[mismatch.attribute()] == mismatch.String()
}

// wrongNames reports the names that changed since the last apply and do not match the VM. applied is nil after an import.
func (m vmNames) wrongNames(vm *vsphere.VM, applied map[string]string) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, mismatch := range m.mismatches(vm) {
		if !isMoved(mismatch, applied) {
			diags.Append(newVMProblem(wrongNameError(mismatch, vm)))
		}
	}
	return diags
}

// plannedAnother requests a replacement if the configuration names a VM other than id, and returns that VM.
// found is false if no VM has that name.
func (p *providerData) plannedAnother(
	ctx context.Context, config vmNames, id string, resp *resource.ModifyPlanResponse,
) (other *cbt.Status, found bool) {
	name, at, ok := config.name()
	if !ok {
		return nil, true
	}
	other, err := p.manager.ReadCached(ctx, name)
	switch {
	case errors.Is(err, vsphere.ErrNotFound):
		return nil, false
	case err != nil:
		resp.Diagnostics.Append(classify(vmDiagnostic("Read Virtual Machine", at, err), err))
		return nil, true
	case other.VM.Identity() == id:
		return nil, true
	}
	resp.Diagnostics.Append(config.validateAgainst(other.VM)...)
	if !p.wasRefreshed(id) {
		resp.Diagnostics.Append(newVMProblem(anotherError(at, name)))
		return nil, true
	}
	resp.RequiresReplace = append(resp.RequiresReplace, at)
	resp.Diagnostics.AddAttributeWarning(at, onVM("Another Virtual Machine", other.VM.Path),
		fmt.Sprintf("The virtual machine %s is not the one that this resource manages. The resource will be replaced: "+
			"the old virtual machine is released as by a destroy, and the new one is managed instead. If you do not want this, write the current name of the old virtual machine.", name))
	return other, true
}

func anotherError(at path.Path, name vsphere.Name) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(at, "Another Virtual Machine",
		fmt.Sprintf("The virtual machine %s is not the one that this resource manages. The plan did not know this: "+
			"the name depended on another resource in the same apply, or the plan ran without a refresh. Neither virtual machine was changed. Plan and apply again: the resource is replaced then.", name))
}

// checkNames refuses an update if the configuration names another VM than the one that the resource manages, or none: with on_blocked = "warn" the plan has
// only warned. applied has the names that were applied last.
func (p *providerData) checkNames(ctx context.Context, config vmNames, managed *vsphere.VM, applied map[string]string) diag.Diagnostics {
	diags := config.wrongNames(managed, applied)
	given := config.given()
	if len(given) == 0 || len(config.mismatches(managed)) < len(given) {
		return diags
	}
	if other, at, err := p.readNamed(ctx, config); err == nil && other.VM.Identity() != managed.Identity() {
		diags.Append(anotherError(at, given[0].Name))
	}
	return diags
}

func movedWarning(mismatch givenName, vm *vsphere.VM) diag.Diagnostic {
	now := map[string]string{attributePath: vm.Path, attributeUUID: vm.UUID, attributeMoid: vm.Moid}[mismatch.attribute()]
	return diag.NewAttributeWarningDiagnostic(mismatch.at, onVM("Virtual Machine Moved", vm.Path),
		fmt.Sprintf("The virtual machine %s is not, or is no longer, the one that this resource manages. The resource manages %q (managed object ID %s). Write in the configuration: %s = %q",
			mismatch, vm.Path, vm.Moid, mismatch.attribute(), now))
}

// addGone saves the names of a deleted VM for the plan that follows in the same process.
func (p *providerData) addGone(state vmNames) {
	for _, name := range state.given() {
		p.gone.Store(name.Name, true)
	}
}

func (p *providerData) wasGone(name vsphere.Name) bool {
	_, ok := p.gone.Load(name)
	return ok
}

func goneWarning(state vmNames) diag.Diagnostic {
	return diag.NewWarningDiagnostic(onVM("Virtual Machine Gone", state.shown()),
		fmt.Sprintf("The virtual machine %s (managed object ID %s) is no longer in vCenter, or the account cannot see it. The resource was removed from state. "+
			"Remove it from the configuration too, or write the name of the virtual machine that replaces it. Until then every apply fails.", state.VMPath, state.VMMoid.ValueString()))
}
