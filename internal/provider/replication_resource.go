package provider

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-validators/resourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

var (
	_ resource.ResourceWithConfigure        = (*replicationResource)(nil)
	_ resource.ResourceWithConfigValidators = (*replicationResource)(nil)
	_ resource.ResourceWithValidateConfig   = (*replicationResource)(nil)
	_ resource.ResourceWithModifyPlan       = (*replicationResource)(nil)
	_ resource.ResourceWithImportState      = (*replicationResource)(nil)
)

// NewReplicationResource returns the resource vma_replication.
func NewReplicationResource() resource.Resource { return &replicationResource{} }

type replicationResource struct{ data *providerData }

func (r *replicationResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_replication"
}

func (r *replicationResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.data = toProviderData(req.ProviderData, &resp.Diagnostics)
}

func (r *replicationResource) ConfigValidators(context.Context) []resource.ConfigValidator {
	return []resource.ConfigValidator{
		resourcevalidator.ExactlyOneOf(namePaths()...),
		resourcevalidator.ExactlyOneOf(path.MatchRoot("openstack"), path.MatchRoot("nbd")),
	}
}

func (r *replicationResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	if r.data != nil && r.data.known {
		r.data.planned.validate("vma_replication", req.Config.Raw)
	}
	var config replicationModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if !resp.Diagnostics.HasError() {
		config.validate(ctx, &resp.Diagnostics)
	}
}

// Create implements resource.Resource. A first cycle that fails once migratekit was started is saved, so that the next one can continue. If it was
// interrupted, the next apply continues in place.
func (r *replicationResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	r.data.planned.clear()
	var config, plan replicationModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if resp.Diagnostics.HasError() {
		return
	}
	timeout, diags := plan.Timeouts.Create(ctx, cycleTimeout)
	resp.Diagnostics.Append(diags...)
	found, at, readErr := r.data.readNamed(ctx, config.vmNames)
	id, state := "", replicationModel{Cycles: types.Int64Value(0)}
	if readErr == nil {
		id = found.VM.Identity()
	}
	earlier := r.data.attempts.take(config.vmNames, id)
	if earlier != nil {
		state = earlier.state
		resp.Diagnostics.Append(earlier.restore(ctx, resp.Private)...)
	}
	resp.Diagnostics.Append(saveNames(ctx, resp.Private, config.vmNames)...)
	end := cycleRefused
	var refused diag.Diagnostics
	plan.validateCutoverStays(state, &refused)
	switch {
	case refused.HasError():
		resp.Diagnostics.Append(refused...)
		plan.failAgain(state, refused[0].Detail(), r.data)
	case readErr != nil:
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", at, readErr))
		plan.failAgain(state, r.data.oneLine(readErr, nil), r.data)
	default:
		end = r.cycle(ctx, at, timeout, &plan, state, true, found, resp.Private, &resp.Diagnostics)
	}
	if (end != cycleRefused && end != cycleStopped) || earlier != nil {
		resp.Diagnostics.Append(resp.State.Set(context.WithoutCancel(ctx), plan)...)
	}
}

func (r *replicationResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state replicationModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	r.data.refreshed.Store(state.ID.ValueString(), true)
	if resp.Diagnostics.HasError() || !r.data.known {
		return
	}
	timeout, diags := state.Timeouts.Read(ctx, readTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if state.cutOver() { // the source may be changed or deleted
		r.findServer(ctx, &state, &resp.Diagnostics)
		r.warnServer(ctx, state, &resp.Diagnostics)
		resp.Diagnostics.Append(resp.State.Set(ctx, state)...)
		return
	}
	r.data.attempts.addRead(state)
	status, err := current(ctx, r.data.manager.Read, state.vmNames)
	if errors.Is(err, vsphere.ErrNotFound) {
		r.data.addGone(state.vmNames)
		resp.Diagnostics.Append(goneWarning(state.vmNames))
		state.warnChainEnds(&resp.Diagnostics)
		resp.State.RemoveResource(ctx)
		return
	}
	if err != nil {
		refused := classify(vmDiagnostic("Read Replication", path.Root("id"), err), err)
		resp.Diagnostics.Append(r.data.refuseRead(refused, state.OnBlocked, state.vmNames)...)
		return
	}
	state.refresh(status.VM)
	r.refreshTarget(ctx, &state, status, resp.Private, &resp.Diagnostics)
	resp.Diagnostics.Append(saveTracking(ctx, resp.Private, status.Tracking())...)
	resp.Diagnostics.Append(resp.State.Set(ctx, state)...)
}

// Update implements resource.Resource. It runs another cycle if one was planned, else it repairs CBT if that drifted.
func (r *replicationResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	r.data.planned.clear()
	var config, plan, state replicationModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if loadImported(ctx, req.Private) {
		resp.Diagnostics.Append(saveImported(ctx, resp.Private, false)...)
	}
	idle := !plan.Status.IsUnknown() && state.CBTEnabled.Equal(plan.CBTEnabled)
	if idle && config.sameNames(state.vmNames) {
		resp.Diagnostics.Append(saveNames(ctx, resp.Private, config.vmNames)...)
		resp.Diagnostics.Append(resp.State.Set(ctx, plan)...)
		return
	}
	timeout, diags := plan.Timeouts.Update(ctx, cycleTimeout)
	resp.Diagnostics.Append(diags...)
	status, err := r.data.readManaged(ctx, state.vmNames)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", path.Root("id"), err))
		return
	}
	if resp.Diagnostics.Append(r.data.checkNames(ctx, config.vmNames, status.VM, loadNames(ctx, req.Private))...); resp.Diagnostics.HasError() {
		return
	}
	resp.Diagnostics.Append(saveNames(ctx, resp.Private, config.vmNames)...)
	switch {
	case idle:
	case plan.Status.IsUnknown():
		if r.cycle(ctx, path.Root("id"), timeout, &plan, state, false, status, resp.Private, &resp.Diagnostics) == cycleStopped {
			return // the state stays
		}
	default:
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		ensured, err := r.data.manager.Ensure(ctx, status.VM.Moid, cbt.Options{})
		if err != nil {
			resp.Diagnostics.Append(vmDiagnostic("Enable Change Tracking", path.Root("id"), err))
			return
		}
		resp.Diagnostics.Append(saveTracking(ctx, resp.Private, ensured.Tracking())...)
	}
	plan.fillUnknown(status.VM)
	resp.Diagnostics.Append(resp.State.Set(context.WithoutCancel(ctx), plan)...)
}

// Delete implements resource.Resource. It changes neither source nor target.
func (r *replicationResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state replicationModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if !resp.Diagnostics.HasError() {
		r.data.attempts.addDeleted(ctx, state, req.Private)
	}
}

// ending is how a cycle ended.
type ending int

const (
	cycleDone ending = iota
	cycleInterrupted
	cycleFailed
	// cycleRefused is the end of a cycle that failed before migratekit was started.
	cycleRefused
	// cycleStopped is the end of a cycle that was interrupted while it waited for its slot.
	cycleStopped
)

// cycle runs one cycle and completes the plan, even if the cycle failed: the change IDs that are still valid stay.
func (r *replicationResource) cycle(
	ctx context.Context, at path.Path, timeout time.Duration, plan *replicationModel, state replicationModel, create bool, status *cbt.Status,
	private privateState, diags *diag.Diagnostics,
) ending {
	plan.fillUnknown(status.VM)
	if plan.OnLeftoverSnapshot.IsUnknown() {
		plan.OnLeftoverSnapshot = types.StringValue(r.data.onLeftoverSnapshot)
	}
	var problems diag.Diagnostics
	cycle := plan.toCycle(ctx, state, status.VM.Moid, r.data, private, &problems)
	cycle.Timeout = timeout
	if diags.Append(problems...); problems.HasError() {
		if create {
			plan.failAgain(state, problems.Errors()[0].Detail(), r.data)
		}
		return cycleRefused
	}
	if !plan.PlannedCycle.IsUnknown() {
		cycle.Announced = replication.Plan(cycle, loadTracking(ctx, private, status.Tracking()))
	}
	result, err := r.data.runner.Run(ctx, cycle)
	if plan.PlannedCycle.IsUnknown() { // nothing was announced: it is what the run found before it copied
		found := status
		if result.Status != nil {
			found = result.Status
		}
		plan.setPlanned(ctx, replication.Plan(cycle, found.Tracking()), diags)
	}
	if result.Status != nil {
		diags.Append(saveTracking(ctx, private, result.Status.Tracking())...)
		diags.Append(saveSizes(ctx, private, result)...)
	}
	if result.Volumes != nil {
		diags.Append(saveVolumes(ctx, private, replication.SeenVolumes(result.Volumes))...)
	}
	if result.Started {
		diags.Append(saveCopied(ctx, private, result.Status.VM)...)
	}
	end := endingOf(ctx, result, err)
	r.report(at, status.VM, plan, state, create, end, result, err, diags)
	plan.fromResult(ctx, result, end, state, create, diags)
	plan.LastError = types.StringNull()
	if err != nil {
		plan.LastError = types.StringValue(r.data.oneLine(err, result.Tail))
	}
	if plan.CBTEnabled.IsUnknown() {
		plan.CBTEnabled = types.BoolValue(status.Tracked())
	}
	return end
}

func endingOf(ctx context.Context, result *replication.Result, err error) ending {
	_, waiting := errors.AsType[*replication.WaitError](err)
	switch {
	case err == nil:
		return cycleDone
	case waiting:
		return cycleStopped
	case errors.Is(ctx.Err(), context.Canceled):
		return cycleInterrupted
	case result.Started:
		return cycleFailed
	}
	return cycleRefused
}

// report adds the warnings of a cycle, and its error. An interrupt is a warning where state is saved.
func (r *replicationResource) report(
	at path.Path, vm *vsphere.VM, plan *replicationModel, state replicationModel, create bool, end ending, result *replication.Result, err error,
	diags *diag.Diagnostics,
) {
	for _, warning := range result.Warnings {
		diags.AddAttributeWarning(at, onVM(warningSummary(warning), vm.Path), warning)
	}
	switch end {
	case cycleDone:
	case cycleStopped, cycleInterrupted:
		saved := create && (end == cycleInterrupted || !state.ID.IsNull())
		diags.Append(interruptedDiagnostic(at, vm, result, err, saved))
	case cycleFailed, cycleRefused:
		kept := ""
		if create {
			kept = plan.keptAfterFirst(result)
		}
		diags.Append(cycleDiagnostics(at, vm, result, err, kept)...)
	}
}
