package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/resourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
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
	return []resource.ConfigValidator{resourcevalidator.ExactlyOneOf(namePaths()...)}
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
	if state != nil && !plan.work(state) {
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("disks"), state.Disks)...)
		if config.settled(state.vmNames) {
			return
		}
	}
	if r.services == nil || !r.services.known {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	status := r.services.planned(ctx, config.vmNames, namesOf(state), resp)
	if status == nil || resp.Diagnostics.HasError() {
		return
	}
	r.refuse(ctx, config, plan, state, status, resp)
}

// refuse reports everything that stands in the way of what the plan wants.
func (r *cbtResource) refuse(
	ctx context.Context, config, plan cbtModel, state *cbtModel, status *cbt.Status, resp *resource.ModifyPlanResponse,
) {
	reasons := r.services.manager.Blockers(ctx, status, plan.AllowExistingSnapshots.ValueBool())
	if state != nil && plan.resets(state) {
		reasons = status.ResetBlockers()
		resp.Diagnostics.AddAttributeWarning(path.Root("reset_triggers"), "Change Tracking Will Be Reset",
			fmt.Sprintf("Tracking of %q will be switched off and on again. Every change ID from before is then worthless, and the next copy of every disk is full.", status.VM.Path))
	}
	if len(reasons) > 0 {
		err := &cbt.BlockedError{VM: status.VM.Path, Reasons: reasons}
		resp.Diagnostics.Append(vmDiagnostic("Enable Change Tracking", config.at(), err))
	}
	if status.VM.ConsolidationNeeded {
		resp.Diagnostics.Append(consolidationWarning(status.VM))
	}
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
	found, err := r.services.manager.Find(ctx, name)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", at, err))
		return
	}
	status, err := r.services.manager.Ensure(ctx, found.VM.Moid, plan.options())
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Enable Change Tracking", at, err))
		return
	}
	resp.Diagnostics.Append(resp.Private.SetKey(ctx, privateFound, encodeFound(found))...)
	plan.fromStatus(status, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, plan.ID)...)
	warnConsolidation(status.VM, &resp.Diagnostics)
}

// Read implements resource.Resource.
func (r *cbtResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state cbtModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, state.ID)...)
	if !r.services.known {
		return // the state stays as it is until the provider can look
	}
	timeout, diags := state.Timeouts.Read(ctx, readTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, err := r.services.current(ctx, state.vmNames)
	if errors.Is(err, vsphere.ErrNotFound) {
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Change Tracking", path.Root("id"), err))
		return
	}
	state.refresh(status.VM)
	state.setStatus(status, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, state)...)
}

// Update implements resource.Resource. It does nothing in vCenter where only
// settings changed.
func (r *cbtResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state cbtModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, state.ID)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if !plan.work(&state) {
		plan.Disks = state.Disks
		resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
		return
	}
	timeout, diags := plan.Timeouts.Update(ctx, cbtWriteTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, err := r.repair(ctx, plan, state)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Enable Change Tracking", path.Root("id"), err))
		return
	}
	plan.fromStatus(status, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
	warnConsolidation(status.VM, &resp.Diagnostics)
}

func (r *cbtResource) repair(ctx context.Context, plan, state cbtModel) (*cbt.Status, error) {
	found, err := r.services.current(ctx, state.vmNames)
	if err != nil {
		return nil, err
	}
	if plan.resets(&state) {
		return r.services.manager.Reset(ctx, found.VM.Moid)
	}
	return r.services.manager.Ensure(ctx, found.VM.Moid, plan.options())
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
	if !state.disablesOnDestroy(prior, &resp.Diagnostics) {
		return
	}
	timeout, diags := state.Timeouts.Delete(ctx, cbtWriteTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := r.services.current(ctx, state.vmNames)
	if err == nil {
		err = r.services.manager.Disable(ctx, found.VM.Moid)
	}
	if err != nil && !errors.Is(err, vsphere.ErrNotFound) {
		resp.Diagnostics.Append(vmDiagnostic("Disable Change Tracking", path.Root("id"), err))
	}
}
