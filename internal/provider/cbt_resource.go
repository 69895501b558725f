package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

var (
	_ resource.ResourceWithConfigure        = (*cbtResource)(nil)
	_ resource.ResourceWithConfigValidators = (*cbtResource)(nil)
	_ resource.ResourceWithModifyPlan       = (*cbtResource)(nil)
	_ resource.ResourceWithImportState      = (*cbtResource)(nil)
	_ resource.ResourceWithIdentity         = (*cbtResource)(nil)
)

// NewCBTResource makes vma_cbt.
func NewCBTResource() resource.Resource { return &cbtResource{} }

type cbtResource struct{ services *services }

// Metadata implements resource.Resource.
func (r *cbtResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cbt"
}

// Schema implements resource.Resource.
func (r *cbtResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes := nameAttributes()
	attributes["allow_existing_snapshots"] = schema.BoolAttribute{
		MarkdownDescription: "Whether tracking may start over snapshots that others made. VMware does not support it, and increments can then silently miss changes. Default `false`.",
		Optional:            true, Computed: true, Default: booldefault.StaticBool(false),
	}
	attributes["reset_triggers"] = schema.MapAttribute{
		MarkdownDescription: "Any values; when one changes, tracking is reset: off, on, initialised, with a new epoch on every disk, so that the next copy is full. To add them to a resource that exists, or to remove them, resets nothing.",
		Optional:            true, ElementType: types.StringType,
	}
	attributes["on_destroy"] = schema.StringAttribute{
		MarkdownDescription: "What becomes of tracking when the resource is destroyed: `keep` it on (default), `disable` it, or `restore` what was found at create. Switching it off can hurt a backup product that relies on it.",
		Optional:            true, Computed: true, Default: stringdefault.StaticString(onDestroyKeep),
		Validators: []validator.String{stringvalidator.OneOf(onDestroyKeep, onDestroyDisable, onDestroyRestore)},
	}
	attributes["enabled"] = schema.BoolAttribute{
		MarkdownDescription: "Whether tracking is switched on. It is always planned as `true`, so a plan shows where somebody switched it off.",
		Computed:            true, Default: booldefault.StaticBool(true),
	}
	attributes["initialized"] = schema.BoolAttribute{
		MarkdownDescription: "Whether every disk that can be tracked has a change ID. It is always planned as `true`.",
		Computed:            true, Default: booldefault.StaticBool(true),
	}
	attributes["disks"] = disksAttribute()
	attributes["timeouts"] = describedTimeouts(ctx, timeouts.Opts{
		Create: true, Read: true, Update: true, Delete: true,
		CreateDescription: describeTimeout("making tracking work", cbtWriteTimeout),
		ReadDescription:   describeTimeout("reading", readTimeout),
		UpdateDescription: describeTimeout("repairing or resetting tracking", cbtWriteTimeout),
		DeleteDescription: describeTimeout("switching tracking off", cbtWriteTimeout),
	})
	resp.Schema = schema.Schema{
		MarkdownDescription: "Makes changed block tracking (CBT) of a virtual machine true and keeps it true: switched on, initialised on " +
			"every disk by a temporary snapshot where one is needed, and verified. A plan shows drift, an apply repairs it in place.",
		Attributes: attributes,
	}
}

// IdentitySchema implements resource.ResourceWithIdentity.
func (r *cbtResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		"id": identityschema.StringAttribute{Description: "Instance UUID of the virtual machine.", RequiredForImport: true},
	}}
}

// Configure implements resource.ResourceWithConfigure.
func (r *cbtResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.services = servicesOf(req.ProviderData, &resp.Diagnostics)
}

// ConfigValidators implements resource.ResourceWithConfigValidators.
func (r *cbtResource) ConfigValidators(context.Context) []resource.ConfigValidator {
	return []resource.ConfigValidator{validNames()}
}

// ModifyPlan implements resource.ResourceWithModifyPlan: it reports before the
// act what can be known before, and asks vCenter only where there is something
// to do.
func (r *cbtResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return // destroy
	}
	config, plan, state := decodePlan[cbtModel](ctx, req, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	interrupted := state != nil && wasInterrupted(ctx, req.Private)
	if interrupted { // or nothing might be a change
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("disks"), types.ListUnknown(types.ObjectType{AttrTypes: diskTypes}))...)
	}
	if state != nil && !interrupted && !plan.work(state) {
		if !plan.Disks.Equal(state.Disks) {
			resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("disks"), state.Disks)...)
		}
		if config.settled(state.vmNames) {
			return
		}
	}
	if r.services == nil || !r.services.known {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	status := r.services.planned(ctx, config.vmNames, namesOf(state), req.Private, resp)
	if status == nil || resp.Diagnostics.HasError() {
		return
	}
	if len(resp.RequiresReplace) > 0 {
		state = nil // it is a create
	}
	r.refuse(ctx, config, plan, state, status, resp)
}

// refuse reports everything that stands in the way of what the plan wants.
func (r *cbtResource) refuse(
	ctx context.Context, config, plan cbtModel, state *cbtModel, status *cbt.Status, resp *resource.ModifyPlanResponse,
) {
	blocked := &cbt.BlockedError{VM: status.VM.Path, Reset: plan.resets(state)}
	if blocked.Reset {
		blocked.Reasons = r.services.manager.ResetBlockers(ctx, status)
		resp.Diagnostics.AddAttributeWarning(path.Root("reset_triggers"), "Change Tracking Will Be Reset",
			fmt.Sprintf("Tracking of %q will be switched off and on again. Every change ID from before is then worthless, and the next copy of every disk is full.", status.VM.Path))
	} else {
		blocked.Reasons = r.services.manager.Blockers(ctx, status, plan.AllowExistingSnapshots.ValueBool())
	}
	if len(blocked.Reasons) > 0 {
		resp.Diagnostics.Append(hintDestroy(vmDiagnostic(plan.verb(state), config.at(), blocked), state != nil))
	}
	warnConsolidation(status.VM, &resp.Diagnostics)
}

// Create implements resource.Resource.
func (r *cbtResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var config, plan cbtModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Create(ctx, cbtWriteTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	name, at, _ := config.name()
	found, err := r.services.manager.Recent(ctx, name)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", at, err))
		return
	}
	if resp.Diagnostics.Append(config.contradictions(found.VM)...); resp.Diagnostics.HasError() {
		return
	}
	status, err := r.services.manager.Ensure(ctx, found.VM.Moid, plan.options())
	interrupted := err != nil && errors.Is(ctx.Err(), context.Canceled)
	if interrupted {
		status = r.afterInterrupt(ctx, at, found, err, &resp.Diagnostics)
	} else if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Enable Change Tracking", at, errors.Join(err, r.undo(ctx, plan, found, err))))
	}
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, privateFound, encodeFound(found))...)
	resp.Diagnostics.Append(rememberNames(ctx, resp.Private, config.vmNames)...)
	plan.fromStatus(status, &resp.Diagnostics)
	if interrupted { // Terraform insists on what was planned; the mark says that it need not be so
		plan.Enabled, plan.Initialized = types.BoolValue(true), types.BoolValue(true)
		resp.Diagnostics.Append(markInterrupted(ctx, resp.Private, true)...)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, plan.ID)...)
	warnConsolidation(status.VM, &resp.Diagnostics)
}

// undo restores what a create found that failed half way, where on_destroy asks
// for that: nothing is in state that would remember it. One that failed before it
// wrote anything has nothing to undo, and others may have switched tracking on.
func (r *cbtResource) undo(ctx context.Context, plan cbtModel, found *cbt.Status, failed error) error {
	stage, ok := errors.AsType[*cbt.StageError](failed)
	wrote := ok && (stage.Stage == cbt.StageEnable || stage.Stage == cbt.StageInitialize)
	if plan.OnDestroy.ValueString() != onDestroyRestore || found.Enabled() || !wrote {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if err := r.services.manager.Disable(ctx, found.VM.Moid); err != nil && !errors.Is(err, vsphere.ErrNotFound) {
		return fmt.Errorf("tracking of %s was off before, and could not be switched off again: %w", found.VM.Path, err)
	}
	return nil
}

// undoTimeout bounds what undoes a create that failed.
const undoTimeout = 5 * time.Minute

// interruptTimeout bounds what is still read after an interrupt.
const interruptTimeout = 30 * time.Second

// afterInterrupt reads the VM where a create was interrupted. Where that is
// possible the resource goes into state, with what was found before, and the next
// apply goes on in place; Terraform calls the apply a failure all the same.
func (r *cbtResource) afterInterrupt(
	ctx context.Context, at path.Path, found *cbt.Status, interrupted error, diags *diag.Diagnostics,
) *cbt.Status {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), interruptTimeout)
	defer cancel()
	status, err := r.services.manager.Status(ctx, found.VM.Moid)
	if err != nil {
		diags.Append(vmDiagnostic("Enable Change Tracking", at, interrupted))
		return nil
	}
	detail := fmt.Sprintf("Making change tracking of %q work was interrupted. The next plan shows what is left to do, and the next apply goes on in place.", found.VM.Path)
	if left, ok := errors.AsType[*cbt.LeftSnapshotError](interrupted); ok {
		detail += "\n\n" + sentence(left)
	}
	diags.AddAttributeWarning(at, "Change Tracking Interrupted", detail)
	return status
}

// Read implements resource.Resource.
func (r *cbtResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state cbtModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, state.ID)...)
	r.services.refreshed.Store(state.ID.ValueString(), true)
	if !r.services.known {
		return // the state stays as it is until the provider can look
	}
	timeout, diags := state.Timeouts.Read(ctx, readTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, err := current(ctx, r.services.manager.Look, state.vmNames)
	if errors.Is(err, vsphere.ErrNotFound) {
		r.services.rememberGone(state.vmNames)
		resp.Diagnostics.Append(goneWarning(state.vmNames))
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Change Tracking", path.Root("id"), err))
		return
	}
	state.refresh(status.VM)
	state.setStatus(status, &resp.Diagnostics)
	if wasInterrupted(ctx, req.Private) { // the state says now what is
		resp.Diagnostics.Append(markInterrupted(ctx, resp.Private, false)...)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, state)...)
}

// Update implements resource.Resource. It does nothing in vCenter where only
// settings changed.
func (r *cbtResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var config, plan, state cbtModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, state.ID)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(rememberNames(ctx, resp.Private, config.vmNames)...)
	interrupted := wasInterrupted(ctx, req.Private)
	if !interrupted && !plan.work(&state) {
		plan.Disks = state.Disks
		resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
		return
	}
	timeout, diags := plan.Timeouts.Update(ctx, cbtWriteTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := current(ctx, r.services.manager.Recent, state.vmNames)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", path.Root("id"), err))
		return
	}
	status, err := r.repair(ctx, plan, state, found.VM.Moid)
	if err != nil {
		// What is true now nobody has looked at: the state stays as it was.
		resp.Diagnostics.Append(markInterrupted(ctx, resp.Private, true)...)
		resp.Diagnostics.Append(vmDiagnostic(plan.verb(&state), path.Root("id"), err))
		return
	}
	if interrupted {
		resp.Diagnostics.Append(markInterrupted(ctx, resp.Private, false)...)
	}
	plan.fromStatus(status, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
	warnConsolidation(status.VM, &resp.Diagnostics)
}

func (r *cbtResource) repair(ctx context.Context, plan, state cbtModel, moid string) (*cbt.Status, error) {
	if plan.resets(&state) {
		return r.services.manager.Reset(ctx, moid)
	}
	return r.services.manager.Ensure(ctx, moid, plan.options())
}

// Delete implements resource.Resource.
func (r *cbtResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state cbtModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	prior, diags := req.Private.GetKey(ctx, privateFound)
	resp.Diagnostics.Append(diags...)
	disables := state.disablesOnDestroy(prior, &resp.Diagnostics)
	if !disables && state.Initialized.ValueBool() && !wasInterrupted(ctx, req.Private) {
		return
	}
	timeout, diags := state.Timeouts.Delete(ctx, cbtWriteTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := current(ctx, r.services.manager.Recent, state.vmNames)
	if err == nil && disables {
		err = r.services.manager.Disable(ctx, found.VM.Moid)
	} else if err == nil { // a temporary snapshot may be left, and nobody would look any more
		err = r.services.manager.Tidy(ctx, found.VM.Moid)
	}
	if err != nil && !errors.Is(err, vsphere.ErrNotFound) {
		resp.Diagnostics.Append(vmDiagnostic("Disable Change Tracking", path.Root("id"), err))
	}
}
