package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// ModifyPlan implements resource.ResourceWithModifyPlan. It decides whether a cycle will run, plans what it will copy, and reports
// what would make it fail.
func (r *replicationResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() { // destroy
		var state replicationModel
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
		state.warnChainEnds(&resp.Diagnostics)
		return
	}
	config, plan, state := decodePlan[replicationModel](ctx, req, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	if state != nil {
		plan.validateCutoverStays(*state, &resp.Diagnostics)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	runs := state == nil || plan.runsCycle(ctx, *state, loadImported(ctx, req.Private), &resp.Diagnostics)
	if state != nil && !runs && loadImported(ctx, req.Private) && !plan.Triggers.Equal(state.Triggers) {
		resp.Diagnostics.AddAttributeWarning(path.Root("triggers"), onVM("Adopted Without a Cycle", state.shown()),
			fmt.Sprintf("The replication of %q was imported with its copies, so this apply only takes over the configuration. Change triggers once more to run a cycle.", state.shown()))
	}
	if runs {
		plan.openResults(state, r.data)
	} else {
		plan.keepResults(*state, r.data)
	}
	plan.OnLeftoverSnapshot = config.plannedLeftover(state, r.data)
	var vm string
	if r.data != nil && r.data.known {
		vm = r.checkPlan(ctx, config, &plan, state, runs, req.Private, req.Config.Raw, resp)
	}
	if state == nil && r.data != nil && r.data.attempts.inherits(config.vmNames) {
		// Create fails for the same reason, and saves what it inherited. If the plan failed now, that would be lost.
		resp.Diagnostics = resp.Diagnostics.Warnings()
	}
	if state != nil && (len(resp.RequiresReplace) > 0 || state.NBD.IsNull() != plan.NBD.IsNull()) {
		state.warnChainEnds(&resp.Diagnostics)
	}
	if len(resp.RequiresReplace) == 0 { // a replacement would destroy what works
		resp.Diagnostics = r.data.warnIfBlocked(resp.Diagnostics, "Replication Blocked", config.OnBlocked, config.vmNames, vm)
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, plan)...)
}

// checkPlan reads the VM and checks the cycle, if one will run. It returns the path of the VM, "" if that is not known.
func (r *replicationResource) checkPlan(
	ctx context.Context, config replicationModel, plan, state *replicationModel, runs bool, private privateState, raw tftypes.Value,
	resp *resource.ModifyPlanResponse,
) (vm string) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var names *vmNames
	retargeted := state != nil && !runs && !state.cutOver() && !plan.OpenStack.Equal(state.OpenStack) // what is new in it is checked at once
	if state != nil {
		names, vm = &state.vmNames, state.VMPath.ValueString()
		if !runs {
			state.claimExports(ctx, r.data, private, config.at(), &resp.Diagnostics)
		}
		switch {
		case !runs && !retargeted && config.sameNames(state.vmNames):
			resp.Diagnostics.Append(r.data.planned.add("vma_replication", state.ID.ValueString(), state.VMPath.ValueString(), false, raw)...)
			return vm
		case state.cutOver():
			r.data.plannedAnother(ctx, config.vmNames, state.ID.ValueString(), resp)
			return vm
		}
	}
	status := r.data.findPlanned(ctx, config.vmNames, names, private, resp)
	if status != nil {
		vm = status.VM.Path
	}
	if status == nil && runs && plan.targetKnown(ctx) {
		r.planUnread(ctx, plan, state, private, &resp.Diagnostics)
	}
	if status != nil && len(resp.RequiresReplace) == 0 {
		resp.Diagnostics.Append(r.data.planned.add("vma_replication", status.VM.Identity(), status.VM.Path, state == nil, raw)...)
	}
	if status == nil || (!runs && !retargeted) || resp.Diagnostics.HasError() || !plan.targetKnown(ctx) {
		return vm
	}
	replaced := len(resp.RequiresReplace) > 0
	prior, tracking := replicationModel{}, status.Tracking()
	switch earlier := r.data.attempts.lastReadOrDeleted(status.VM.Identity()); {
	case state != nil && !replaced:
		prior, tracking = *state, loadTracking(ctx, private, tracking)
	case state == nil && earlier != nil:
		prior = *earlier
		plan.validateCutoverStays(prior, &resp.Diagnostics)
	}
	cycle := plan.toCycle(ctx, prior, status.VM.Moid, r.data, private, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return vm
	}
	cycle.Sizes = loadSizes(ctx, private)
	found := r.data.runner.Preflight(ctx, cycle, status, tracking)
	if retargeted {
		found = found.AboutTarget()
	}
	for _, err := range found.Errors {
		for _, refusal := range cycleDiagnostics(config.at(), status.VM, nil, err, "") {
			resp.Diagnostics.Append(classify(hintDestroy(refusal, state != nil), err))
		}
	}
	if replaced {
		return vm // Terraform plans the create separately, with the same warnings
	}
	for _, warning := range found.Warnings {
		resp.Diagnostics.Append(warningDiagnostic(config.at(), status.VM.Path, warning))
	}
	if retargeted {
		return vm
	}
	if state != nil {
		plan.setPlanned(ctx, replication.Plan(cycle, tracking), &resp.Diagnostics)
		return vm
	}
	r.planCreate(ctx, plan, cycle, status, private, &resp.Diagnostics)
	return vm
}

// planCreate plans the copies of a create. They are unknown if Read has seen an earlier attempt: whether Delete can pass on what it knows is
// decided in the apply. Without that, they are full: what a create inherits must not change a plan that was announced.
func (r *replicationResource) planCreate(
	ctx context.Context, plan *replicationModel, cycle *replication.Cycle, status *cbt.Status, private privateState, diags *diag.Diagnostics,
) {
	if target, ok := cycle.Target.(*replication.OpenStack); ok {
		if found := target.Found(status); len(found) > 0 {
			diags.AddAttributeWarning(path.Root("planned_cycle"), onVM("Copies Found in OpenStack", status.VM.Path),
				fmt.Sprintf("OpenStack has copies of %q already. migratekit continues from those whose change tracking has not started anew since:\n  - %s", status.VM.Path, strings.Join(found, "\n  - ")))
			return
		}
	}
	if seen := r.data.attempts.lastRead(status.VM.Identity()); seen != nil {
		plan.warnContinues(ctx, *seen, diags)
		return
	}
	if plan.NBD.IsNull() && r.data.warnsBlocked(plan.OnBlocked) {
		return // unknown: if the VM disappears before the apply, its disks cannot be planned again
	}
	fresh := plan.toCycle(ctx, replicationModel{}, status.VM.Moid, r.data, private, diags)
	plan.setPlanned(ctx, replication.Plan(fresh, plan.createTracking(ctx, status.Tracking(), diags)), diags)
}

// planUnread plans the copies for a VM that cannot be read, from the state or the exports: Terraform requires in the apply what it planned while the VM
// could be read.
func (r *replicationResource) planUnread(
	ctx context.Context, plan, state *replicationModel, private privateState, diags *diag.Diagnostics,
) {
	prior, tracking := replicationModel{}, cbt.Tracking{}
	if state != nil {
		prior, tracking = *state, loadTracking(ctx, private, tracking)
	}
	tracking = plan.createTracking(ctx, tracking, diags)
	if len(tracking.Disks) > 0 {
		cycle := plan.toCycle(ctx, prior, prior.VMMoid.ValueString(), r.data, private, diags)
		plan.setPlanned(ctx, replication.Plan(cycle, tracking), diags)
	}
}

// createTracking returns what a create knows of the disks, from the exports where there are any: every disk has one.
func (m replicationModel) createTracking(ctx context.Context, tracking cbt.Tracking, diags *diag.Diagnostics) cbt.Tracking {
	if m.NBD.IsNull() || len(tracking.Disks) > 0 {
		return tracking
	}
	for text := range m.exports(ctx, diags) {
		if key, err := parseKey(text); err == nil {
			tracking.Disks = append(tracking.Disks, cbt.TrackedDisk{Key: key})
		}
	}
	return tracking
}

// claimExports refuses an export of another VM also while no cycle is planned: the copy at the export would be overwritten.
func (m replicationModel) claimExports(ctx context.Context, p *providerData, private privateState, at path.Path, diags *diag.Diagnostics) {
	target, ok := m.toTarget(ctx, m, p, private, diags).(*replication.NBD)
	if !ok {
		return
	}
	vm := &vsphere.VM{Moid: m.VMMoid.ValueString(), Path: m.VMPath.ValueString()}
	for _, err := range target.Claim(vm) {
		diags.Append(cycleDiagnostic(at, vm, nil, err, ""))
	}
}

// plannedLeftover returns on_leftover_snapshot, or the provider's.
func (m replicationModel) plannedLeftover(state *replicationModel, p *providerData) types.String {
	switch {
	case !m.OnLeftoverSnapshot.IsNull():
		return m.OnLeftoverSnapshot
	case p != nil && p.known:
		return types.StringValue(p.onLeftoverSnapshot)
	case state != nil:
		return state.OnLeftoverSnapshot
	}
	return types.StringUnknown()
}

// runsCycle reports whether an update runs another cycle: triggers or exports changed, the last cycle did not succeed, increments
// cannot continue, or the cutover is due.
//
// The first plan after an import adopts the configuration: it does not compare it with the state.
func (m replicationModel) runsCycle(ctx context.Context, state replicationModel, imported bool, diags *diag.Diagnostics) bool {
	lost := !state.TrackingIntact.ValueBool() || (!state.TargetIntact.IsNull() && !state.TargetIntact.ValueBool())
	switch {
	case state.cutOver():
		return false
	case lost || state.Status.ValueString() != statusReplicated || !m.Cutover.Equal(state.Cutover):
		return true
	case imported:
		return false
	}
	now, before := m.exports(ctx, diags), state.exports(ctx, diags)
	moved := m.NBD.IsUnknown() || (len(before) > 0 && len(now) == 0 && !m.NBD.IsNull())
	for key, export := range now {
		moved = moved || !export.Equal(before[key])
	}
	return moved || !m.Triggers.Equal(state.Triggers)
}

// keepResults plans an update without a cycle: the results stay as they are in state.
func (m *replicationModel) keepResults(state replicationModel, p *providerData) {
	m.Status, m.ChangeIDs, m.LastCycle, m.LastError = state.Status, state.ChangeIDs, state.LastCycle, state.LastError
	m.Cycles, m.PlannedCycle, m.TrackingIntact = state.Cycles, state.PlannedCycle, state.TrackingIntact
	m.TargetIntact, m.Volumes, m.Server = state.TargetIntact, state.Volumes, state.Server
	if state.cutOver() || p == nil || !p.known || !m.enablesCBT(p) {
		m.CBTEnabled = state.CBTEnabled
	}
}

// openResults plans a cycle: its results are unknown until apply.
func (m *replicationModel) openResults(state *replicationModel, p *providerData) {
	m.Status, m.Cycles = types.StringUnknown(), types.Int64Unknown()
	m.ChangeIDs = types.MapUnknown(types.StringType)
	m.LastCycle, m.LastError = types.ObjectUnknown(lastTypes), types.StringUnknown()
	m.PlannedCycle = types.MapUnknown(types.StringType)
	m.TargetIntact, m.Server = types.BoolValue(true), types.ObjectNull(serverTypes)
	m.Volumes = types.MapNull(types.ObjectType{AttrTypes: volumeTypes})
	if m.NBD.IsNull() {
		m.Volumes = types.MapUnknown(types.ObjectType{AttrTypes: volumeTypes})
	}
	switch {
	case m.Cutover.IsUnknown() || m.Cutover.ValueBool():
		m.Server = types.ObjectUnknown(serverTypes)
	case state != nil:
		m.Server = state.Server
	}
	if p == nil || m.AutoCBT.IsUnknown() || (!p.known && !m.AutoCBT.ValueBool()) || (p.known && !m.enablesCBT(p)) {
		m.CBTEnabled = types.BoolUnknown()
	}
}

// targetKnown reports whether everything that the cycle depends on is known.
func (m replicationModel) targetKnown(ctx context.Context) bool {
	for _, value := range []attr.Value{m.NBD, m.OpenStack, m.ExtraArgs, m.CompressionMethod, m.AutoCBT, m.Cutover, m.OnTrackingReset} {
		raw, err := value.ToTerraformValue(ctx)
		if err != nil || !raw.IsFullyKnown() {
			return false
		}
	}
	return true
}
