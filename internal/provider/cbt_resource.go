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
	_ resource.ResourceWithValidateConfig   = (*cbtResource)(nil)
	_ resource.ResourceWithModifyPlan       = (*cbtResource)(nil)
	_ resource.ResourceWithImportState      = (*cbtResource)(nil)
	_ resource.ResourceWithIdentity         = (*cbtResource)(nil)
)

// NewCBTResource returns the resource vma_cbt.
func NewCBTResource() resource.Resource { return &cbtResource{} }

type cbtResource struct{ data *providerData }

func (r *cbtResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cbt"
}

func (r *cbtResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes := nameAttributes()
	attributes["allow_existing_snapshots"] = schema.BoolAttribute{
		MarkdownDescription: "Whether to start CBT although the virtual machine has snapshots that were made by others. VMware does not support this: increments can then silently miss changes. Default: `false`.",
		Optional:            true, Computed: true, Default: booldefault.StaticBool(false),
	}
	attributes["reset_triggers"] = schema.MapAttribute{
		MarkdownDescription: "Any values; a changed value resets CBT: it is disabled, enabled and initialized, so every disk gets a new epoch and its next copy is full. Adding the map to an existing resource, or removing it, resets nothing. Default: none.",
		Optional:            true, ElementType: types.StringType,
	}
	attributes["on_destroy"] = schema.StringAttribute{
		MarkdownDescription: "What happens to CBT when the resource is destroyed: `keep` leaves it as it is, `disable` disables it, `restore` restores the state found at create. Disabling CBT can break a backup product that relies on it. Default: `keep`.",
		Optional:            true, Computed: true, Default: stringdefault.StaticString(onDestroyKeep),
		Validators: []validator.String{stringvalidator.OneOf(onDestroyKeep, onDestroyDisable, onDestroyRestore)},
	}
	attributes["on_blocked"] = onBlockedAttribute()
	attributes["enabled"] = schema.BoolAttribute{
		MarkdownDescription: "Whether CBT is enabled. Always planned as `true`, so a plan shows drift if somebody disabled it.",
		Computed:            true, Default: booldefault.StaticBool(true),
	}
	attributes["initialized"] = schema.BoolAttribute{
		MarkdownDescription: descriptionInitialized + " Always planned as `true`, so a plan shows drift.",
		Computed:            true, Default: booldefault.StaticBool(true),
	}
	attributes["disks"] = disksAttribute()
	attributes["timeouts"] = describedTimeouts(ctx, timeouts.Opts{
		Create: true, Read: true, Update: true, Delete: true,
		CreateDescription: describeTimeout("enabling CBT", cbtWriteTimeout),
		ReadDescription:   describeTimeout("reading", readTimeout),
		UpdateDescription: describeTimeout("repairing or resetting CBT", cbtWriteTimeout),
		DeleteDescription: describeTimeout("disabling CBT", cbtWriteTimeout),
	})
	resp.Schema = schema.Schema{
		MarkdownDescription: "Enables changed block tracking (CBT) on a virtual machine and keeps it enabled: it initializes every disk, with a temporary snapshot if one is needed, " +
			"and verifies that each has a change ID. A plan shows drift, and an apply repairs it in place.",
		Attributes: attributes,
	}
}

func (r *cbtResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		"id": identityschema.StringAttribute{Description: "Instance UUID of the virtual machine.", RequiredForImport: true},
	}}
}

func (r *cbtResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.data = toProviderData(req.ProviderData, &resp.Diagnostics)
}

func (r *cbtResource) ConfigValidators(context.Context) []resource.ConfigValidator {
	return []resource.ConfigValidator{validNames()}
}

// ValidateConfig implements resource.ResourceWithValidateConfig. The provider is configured while Terraform plans, and not while it only validates.
func (r *cbtResource) ValidateConfig(_ context.Context, req resource.ValidateConfigRequest, _ *resource.ValidateConfigResponse) {
	if r.data != nil && r.data.known {
		r.data.planned.validate("vma_cbt", req.Config.Raw)
	}
}

// ModifyPlan implements resource.ResourceWithModifyPlan. It calls vCenter only if there is something to do.
func (r *cbtResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return // destroy
	}
	config, plan, state := decodePlan[cbtModel](ctx, req, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	interrupted := state != nil && loadInterrupted(ctx, req.Private)
	if interrupted { // force a change, otherwise the plan might be empty
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("disks"), types.ListUnknown(types.ObjectType{AttrTypes: diskTypes}))...)
	}
	if state != nil && !interrupted && !plan.work(state) {
		if !plan.Disks.Equal(state.Disks) {
			resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("disks"), state.Disks)...)
		}
	}
	if r.data == nil || !r.data.known {
		return
	}
	if state != nil && !interrupted && !plan.work(state) && config.sameNames(state.vmNames) {
		resp.Diagnostics.Append(r.data.planned.add("vma_cbt", state.ID.ValueString(), state.VMPath.ValueString(), false, req.Config.Raw)...)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	vm := ""
	if state != nil {
		vm = state.VMPath.ValueString()
	}
	defer func() {
		if len(resp.RequiresReplace) == 0 { // a replacement would release what works
			resp.Diagnostics = r.data.warnIfBlocked(resp.Diagnostics, "Change Tracking Blocked", config.OnBlocked, config.vmNames, vm)
		}
	}()
	status := r.data.findPlanned(ctx, config.vmNames, namesOf(state), req.Private, resp)
	if status != nil {
		vm = status.VM.Path
	}
	if status == nil || resp.Diagnostics.HasError() {
		return
	}
	if len(resp.RequiresReplace) > 0 {
		state = nil // a replacement is a create
	} else {
		resp.Diagnostics.Append(r.data.planned.add("vma_cbt", status.VM.Identity(), status.VM.Path, state == nil, req.Config.Raw)...)
	}
	r.refuse(ctx, config, plan, state, status, resp)
}

// refuse reports everything that blocks the planned change.
func (r *cbtResource) refuse(
	ctx context.Context, config, plan cbtModel, state *cbtModel, status *cbt.Status, resp *resource.ModifyPlanResponse,
) {
	blocked := &cbt.BlockedError{VM: status.VM.Path, Reset: plan.resets(state)}
	if blocked.Reset {
		blocked.Reasons = r.data.manager.ResetBlockers(ctx, status)
		resp.Diagnostics.AddAttributeWarning(path.Root("reset_triggers"), onVM("Change Tracking Will Be Reset", status.VM.Path),
			fmt.Sprintf("CBT of %q will be disabled and enabled again. All earlier change IDs become invalid, and the next copy of every disk is full. If you do not want this, set reset_triggers back to its old value.", status.VM.Path))
	} else {
		blocked.Reasons = r.data.manager.Blockers(ctx, r.data.manager.Without(status, r.data.leftover(ctx, status.VM.Identity())), plan.AllowExistingSnapshots.ValueBool())
	}
	if len(blocked.Reasons) > 0 {
		resp.Diagnostics.Append(newVMProblem(hintDestroy(vmDiagnostic(plan.verb(state), config.at(), blocked), state != nil)))
	}
	warnConsolidation(status.VM, &resp.Diagnostics)
	if defect, ok := status.HostDefect(); ok {
		resp.Diagnostics.AddAttributeWarning(config.at(), onVM("Host With a CBT Defect", status.VM.Path),
			fmt.Sprintf("CBT can be enabled on %q, but increments can miss changes, because %s. The cure: %s.", status.VM.Path, defect.Problem, defect.Cure))
	}
}

func (r *cbtResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	r.data.planned.clear()
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
	found, err := r.data.manager.ReadCached(ctx, name)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", at, err))
		return
	}
	if resp.Diagnostics.Append(config.validateAgainst(found.VM)...); resp.Diagnostics.HasError() {
		return
	}
	r.data.created.Store(found.VM.Identity(), true) // at once: another object of the VM may be destroyed at the same time
	status, err := r.data.manager.Ensure(ctx, found.VM.Moid, plan.options(ctx, r.data, found.VM.Identity()))
	interrupted := err != nil && errors.Is(ctx.Err(), context.Canceled)
	if interrupted {
		status = r.afterInterrupt(ctx, at, found, err, &resp.Diagnostics)
	} else if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Enable Change Tracking", at, errors.Join(err, r.undo(ctx, plan, found, err))))
	}
	if resp.Diagnostics.HasError() {
		r.data.created.Delete(found.VM.Identity())
		return
	}
	resp.Diagnostics.Append(saveFound(ctx, resp.Private, found)...)
	resp.Diagnostics.Append(saveNames(ctx, resp.Private, config.vmNames)...)
	plan.fromStatus(status, &resp.Diagnostics)
	if interrupted { // Terraform requires the planned values; the mark shows that they are unverified
		plan.Enabled, plan.Initialized = types.BoolValue(true), types.BoolValue(true)
		resp.Diagnostics.Append(saveInterrupted(ctx, resp.Private, true)...)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, plan.ID)...)
	warnConsolidation(status.VM, &resp.Diagnostics)
}

// undo disables CBT again after a failed create if on_destroy is "restore", because no state will record what
// was found. It does nothing if the create failed before its first write: somebody else may have enabled CBT.
func (r *cbtResource) undo(ctx context.Context, plan cbtModel, found *cbt.Status, failed error) error {
	stage, ok := errors.AsType[*cbt.StageError](failed)
	wrote := ok && (stage.Stage == cbt.StageEnable || stage.Stage == cbt.StageInitialize)
	if plan.OnDestroy.ValueString() != onDestroyRestore || found.Enabled() || !wrote {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if err := r.data.manager.Disable(ctx, found.VM.Moid); err != nil && !errors.Is(err, vsphere.ErrNotFound) {
		return fmt.Errorf("CBT of %s was disabled before, and could not be disabled again: %w", found.VM.Path, err)
	}
	return nil
}

const undoTimeout = 5 * time.Minute

// interruptTimeout limits the read after an interrupt.
const interruptTimeout = 30 * time.Second

// afterInterrupt reads the VM after an interrupted create, so that the resource can go into state and the next
// apply continues in place. Terraform still reports the apply as failed.
func (r *cbtResource) afterInterrupt(
	ctx context.Context, at path.Path, found *cbt.Status, interrupted error, diags *diag.Diagnostics,
) *cbt.Status {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), interruptTimeout)
	defer cancel()
	status, err := r.data.manager.ReadUncached(ctx, found.VM.Moid)
	if err != nil {
		diags.Append(vmDiagnostic("Enable Change Tracking", at, interrupted))
		return nil
	}
	detail := fmt.Sprintf("Enabling CBT on %q was interrupted. The next plan shows what is left to do, and the next apply continues in place.", found.VM.Path)
	if left, ok := errors.AsType[*cbt.LeftSnapshotError](interrupted); ok {
		detail += "\n\n" + sentence(left)
	}
	diags.AddAttributeWarning(at, onVM("Change Tracking Interrupted", found.VM.Path), detail)
	return status
}

func (r *cbtResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state cbtModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, state.ID)...)
	r.data.refreshed.Store(state.ID.ValueString(), true)
	if !r.data.known {
		return // keep the state until the provider is configured
	}
	timeout, diags := state.Timeouts.Read(ctx, readTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, err := current(ctx, r.data.manager.Read, state.vmNames)
	if errors.Is(err, vsphere.ErrNotFound) {
		r.data.addGone(state.vmNames)
		resp.Diagnostics.Append(goneWarning(state.vmNames))
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		refused := classify(vmDiagnostic("Read Change Tracking", path.Root("id"), err), err)
		resp.Diagnostics.Append(r.data.refuseRead(refused, state.OnBlocked, state.vmNames)...)
		return
	}
	state.refresh(status.VM)
	state.setStatus(status, &resp.Diagnostics)
	if loadInterrupted(ctx, req.Private) { // the state is verified now
		resp.Diagnostics.Append(saveInterrupted(ctx, resp.Private, false)...)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, state)...)
}

// Update implements resource.Resource. If only settings changed, it does nothing in vCenter.
func (r *cbtResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	r.data.planned.clear()
	var config, plan, state cbtModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(setIdentity(ctx, resp.Identity, state.ID)...)
	if resp.Diagnostics.HasError() {
		return
	}
	interrupted := loadInterrupted(ctx, req.Private)
	idle := !interrupted && !plan.work(&state)
	if idle && config.sameNames(state.vmNames) {
		resp.Diagnostics.Append(saveNames(ctx, resp.Private, config.vmNames)...)
		plan.Disks = state.Disks
		resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
		return
	}
	timeout, diags := plan.Timeouts.Update(ctx, cbtWriteTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := current(ctx, r.data.manager.ReadCached, state.vmNames)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", path.Root("id"), err))
		return
	}
	if resp.Diagnostics.Append(r.data.checkNames(ctx, config.vmNames, found.VM, loadNames(ctx, req.Private))...); resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(saveNames(ctx, resp.Private, config.vmNames)...)
	if idle {
		plan.Disks = state.Disks
		resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
		return
	}
	status, err := r.repair(ctx, plan, state, found.VM.Moid)
	if err != nil {
		// The actual state is not known: keep the old state and mark it.
		resp.Diagnostics.Append(saveInterrupted(ctx, resp.Private, true)...)
		resp.Diagnostics.Append(vmDiagnostic(plan.verb(&state), path.Root("id"), err))
		return
	}
	if interrupted {
		resp.Diagnostics.Append(saveInterrupted(ctx, resp.Private, false)...)
	}
	plan.fromStatus(status, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
	warnConsolidation(status.VM, &resp.Diagnostics)
}

func (r *cbtResource) repair(ctx context.Context, plan, state cbtModel, moid string) (*cbt.Status, error) {
	if plan.resets(&state) {
		return r.data.manager.Reset(ctx, moid)
	}
	return r.data.manager.Ensure(ctx, moid, plan.options(ctx, r.data, state.ID.ValueString()))
}

func (r *cbtResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state cbtModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if _, replaced := r.data.created.Load(state.ID.ValueString()); replaced {
		return // the new resource decides
	}
	disables := state.disablesOnDestroy(ctx, req.Private, &resp.Diagnostics)
	if !disables && state.Initialized.ValueBool() && !loadInterrupted(ctx, req.Private) {
		return
	}
	timeout, diags := state.Timeouts.Delete(ctx, cbtWriteTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found, err := current(ctx, r.data.manager.ReadCached, state.vmNames)
	if err == nil && disables {
		err = r.data.manager.Disable(ctx, found.VM.Moid)
	} else if err == nil { // remove a leftover temporary snapshot, since no later run will
		err = r.data.manager.Tidy(ctx, found.VM.Moid)
	}
	if err != nil && !errors.Is(err, vsphere.ErrNotFound) {
		resp.Diagnostics.Append(vmDiagnostic("Disable Change Tracking", path.Root("id"), err))
	}
}
