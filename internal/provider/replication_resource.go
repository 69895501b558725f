package provider

import (
	"context"
	"errors"

	"github.com/hashicorp/terraform-plugin-framework-validators/resourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

var (
	_ resource.ResourceWithConfigure        = (*replicationResource)(nil)
	_ resource.ResourceWithConfigValidators = (*replicationResource)(nil)
	_ resource.ResourceWithValidateConfig   = (*replicationResource)(nil)
	_ resource.ResourceWithModifyPlan       = (*replicationResource)(nil)
)

// NewReplicationResource makes vma_replication.
func NewReplicationResource() resource.Resource { return &replicationResource{} }

type replicationResource struct{ services *services }

// Metadata implements resource.Resource.
func (r *replicationResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_replication"
}

// Configure implements resource.ResourceWithConfigure.
func (r *replicationResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.services = servicesOf(req.ProviderData, &resp.Diagnostics)
}

// ConfigValidators implements resource.ResourceWithConfigValidators.
func (r *replicationResource) ConfigValidators(context.Context) []resource.ConfigValidator {
	return []resource.ConfigValidator{
		resourcevalidator.ExactlyOneOf(namePaths()...),
		resourcevalidator.ExactlyOneOf(path.MatchRoot("openstack"), path.MatchRoot("nbd")),
	}
}

// ValidateConfig implements resource.ResourceWithValidateConfig.
func (r *replicationResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var config replicationModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if !resp.Diagnostics.HasError() {
		config.validate(ctx, &resp.Diagnostics)
	}
}

// Create implements resource.Resource. Where the first cycle fails nothing is
// in state, so that the next apply begins again; where it was interrupted the
// state says so, and the next apply goes on in place.
func (r *replicationResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var config, plan replicationModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Create(ctx, cycleTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	name, at, _ := config.name()
	found, err := r.services.manager.Recent(ctx, name)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", at, err))
		return
	}
	resp.Diagnostics.Append(rememberNames(ctx, resp.Private, config.vmNames)...)
	if r.cycle(ctx, at, &plan, replicationModel{Cycles: types.Int64Value(0)}, found, resp.Private, &resp.Diagnostics) != cycleFailed {
		resp.Diagnostics.Append(resp.State.Set(context.WithoutCancel(ctx), plan)...)
	}
}

// Read implements resource.Resource.
func (r *replicationResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state replicationModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	r.services.refreshed.Store(state.ID.ValueString(), true)
	if resp.Diagnostics.HasError() || !r.services.known || state.cutOver() {
		return // after a cutover the source may change, or vanish
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
		resp.Diagnostics.Append(vmDiagnostic("Read Replication", path.Root("id"), err))
		return
	}
	state.refresh(status.VM)
	state.setTracking(ctx, status, &resp.Diagnostics)
	resp.Diagnostics.Append(remember(ctx, resp.Private, status)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, state)...)
}

// Update implements resource.Resource: another cycle where the plan says so,
// else tracking repaired where it drifted, else nothing.
func (r *replicationResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var config, plan, state replicationModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(rememberNames(ctx, resp.Private, config.vmNames)...)
	if !plan.Status.IsUnknown() && state.CBTEnabled.Equal(plan.CBTEnabled) {
		resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
		return
	}
	timeout, diags := plan.Timeouts.Update(ctx, cycleTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, err := current(ctx, r.services.manager.Recent, state.vmNames)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", path.Root("id"), err))
		return
	}
	if plan.Status.IsUnknown() {
		r.cycle(ctx, path.Root("id"), &plan, state, status, resp.Private, &resp.Diagnostics)
	} else {
		ensured, err := r.services.manager.Ensure(ctx, status.VM.Moid, cbt.Options{})
		if err != nil {
			resp.Diagnostics.Append(vmDiagnostic("Enable Change Tracking", path.Root("id"), err))
			return
		}
		resp.Diagnostics.Append(remember(ctx, resp.Private, ensured)...)
	}
	plan.fillUnknown(status.VM)
	resp.Diagnostics.Append(resp.State.Set(context.WithoutCancel(ctx), plan)...)
}

// Delete implements resource.Resource: it stops managing, and touches neither
// side.
func (r *replicationResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {
}

// ending is how a cycle ended.
type ending int

const (
	cycleDone ending = iota
	cycleInterrupted
	cycleFailed
)

// cycle runs one cycle and completes the plan to what is true afterwards, also
// where it failed: the change IDs that still hold stay.
func (r *replicationResource) cycle(
	ctx context.Context, at path.Path, plan *replicationModel, state replicationModel, status *cbt.Status,
	seen private, diags *diag.Diagnostics,
) ending {
	plan.fillUnknown(status.VM)
	cycle := plan.toCycle(ctx, state, status.VM.Moid, r.services, diags)
	if diags.HasError() {
		return cycleFailed
	}
	if plan.PlannedCycle.IsUnknown() {
		plan.setPlanned(ctx, cycle, status, diags)
	}
	result, err := r.services.runner.Run(ctx, cycle)
	if result.Status != nil {
		diags.Append(remember(ctx, seen, result.Status)...)
		diags.Append(rememberSizes(ctx, seen, result)...)
	}
	for _, warning := range result.Warnings {
		diags.AddAttributeWarning(at, warningSummary(warning), warning)
	}
	end := cycleDone
	switch {
	case err == nil:
	case errors.Is(ctx.Err(), context.Canceled):
		end = cycleInterrupted
		diags.Append(interruptedDiagnostic(at, status.VM, result, err, state.ID.IsNull()))
	default:
		end = cycleFailed
		diags.Append(cycleDiagnostic(at, status.VM, result, err, state.ID.IsNull()))
	}
	plan.fromResult(ctx, result, end, state, diags)
	if plan.CBTEnabled.IsUnknown() {
		plan.CBTEnabled = types.BoolValue(status.Initialized())
	}
	return end
}
