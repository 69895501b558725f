package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
)

// ModifyPlan implements resource.ResourceWithModifyPlan: it decides whether a
// cycle will run, says what it will copy, and refuses what cannot work.
func (r *replicationResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return // destroy
	}
	config, plan, state := decodePlan[replicationModel](ctx, req, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	if state != nil && state.Cutover.ValueBool() && state.begun() && !plan.Cutover.ValueBool() && !plan.Cutover.IsUnknown() {
		resp.Diagnostics.AddAttributeError(path.Root("cutover"), "Invalid cutover",
			"A cutover cannot be taken back: the source was, or was about to be, shut down. Set cutover to true again, or remove the resource to stop managing the virtual machine (terraform destroy needs -refresh=false then).")
		return
	}
	runs := state == nil || plan.runs(ctx, *state, &resp.Diagnostics)
	if runs {
		plan.openResults(r.services)
	} else {
		plan.keepResults(*state, r.services)
	}
	if r.services != nil && r.services.known {
		r.look(ctx, config, &plan, state, runs, req.Private, resp)
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, plan)...)
}

// look reads the VM and judges it, where there is anything to judge.
func (r *replicationResource) look(
	ctx context.Context, config replicationModel, plan, state *replicationModel, runs bool, seen private, resp *resource.ModifyPlanResponse,
) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var names *vmNames
	if state != nil {
		names = &state.vmNames
		switch {
		case !runs && config.settled(state.vmNames):
			return
		case state.cutOver():
			r.services.plannedAnother(ctx, config.vmNames, state.ID.ValueString(), resp)
			return
		}
	}
	status := r.services.planned(ctx, config.vmNames, names, seen, resp)
	if status == nil || !runs || resp.Diagnostics.HasError() || !plan.targetKnown(ctx) {
		return
	}
	prior := replicationModel{}
	if state != nil && len(resp.RequiresReplace) == 0 {
		prior = *state
	}
	cycle := plan.toCycle(ctx, prior, status.VM.Moid, r.services, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	var refusals diag.Diagnostics
	defer func() {
		for _, refusal := range refusals {
			resp.Diagnostics.Append(hintDestroy(refusal, state != nil))
		}
	}()
	r.preflight(ctx, config.at(), cycle, status, &refusals)
	cycle.Sizes = recallSizes(ctx, seen)
	for _, trap := range replication.Traps(cycle, status) {
		resp.Diagnostics.AddAttributeWarning(config.at(), trap.Summary, trap.Detail)
	}
	if len(resp.RequiresReplace) > 0 {
		return // Terraform plans the replacement by itself
	}
	if state != nil {
		status = recall(ctx, seen, status)
	}
	plan.setPlanned(ctx, cycle, status, &resp.Diagnostics)
	explain(cycle, status, &refusals)
}

// runs says whether an update is another cycle: by triggers, because the last
// one did not end well, because tracking was lost, because the target grew, or
// for the cutover.
func (m replicationModel) runs(ctx context.Context, state replicationModel, diags *diag.Diagnostics) bool {
	if state.cutOver() {
		return false
	}
	now, before := m.exports(ctx, diags), state.exports(ctx, diags)
	moved := m.NBD.IsUnknown() || (len(before) > 0 && len(now) == 0 && !m.NBD.IsNull())
	for key, export := range now {
		moved = moved || !export.Equal(before[key])
	}
	return moved || state.Status.ValueString() != statusReplicated || !m.Triggers.Equal(state.Triggers) ||
		!state.TrackingIntact.ValueBool() || !m.Cutover.Equal(state.Cutover)
}

// keepResults is for an update without a cycle.
func (m *replicationModel) keepResults(state replicationModel, s *services) {
	m.Status, m.ChangeIDs, m.LastCycle = state.Status, state.ChangeIDs, state.LastCycle
	m.Cycles, m.PlannedCycle, m.TrackingIntact = state.Cycles, state.PlannedCycle, state.TrackingIntact
	if state.cutOver() || s == nil || !s.known || !m.gated(s) {
		m.CBTEnabled = state.CBTEnabled
	}
}

// openResults is for a cycle.
func (m *replicationModel) openResults(s *services) {
	m.Status, m.Cycles = types.StringUnknown(), types.Int64Unknown()
	m.ChangeIDs = types.MapUnknown(types.StringType)
	m.LastCycle = types.ObjectUnknown(lastTypes)
	m.PlannedCycle = types.MapUnknown(types.StringType)
	if s == nil || m.AutoCBT.IsUnknown() || (!s.known && !m.AutoCBT.ValueBool()) || (s.known && !m.gated(s)) {
		m.CBTEnabled = types.BoolUnknown()
	}
}

// targetKnown says that nothing of what migratekit is told is left open.
func (m replicationModel) targetKnown(ctx context.Context) bool {
	for _, value := range []attr.Value{m.NBD, m.OpenStack, m.ExtraArgs, m.CompressionMethod, m.AutoCBT, m.Cutover, m.OnTrackingReset} {
		raw, err := value.ToTerraformValue(ctx)
		if err != nil || !raw.IsFullyKnown() {
			return false
		}
	}
	return true
}

// preflight refuses what would fail only after the VM was touched.
func (r *replicationResource) preflight(
	ctx context.Context, at path.Path, cycle *replication.Cycle, status *cbt.Status, diags *diag.Diagnostics,
) {
	if _, err := migratekit.FindProgram(cycle.Program); err != nil {
		diags.Append(programDiagnostic(cycle.Program, err))
	} else if missing := r.services.missingTools(); missing != "" {
		diags.AddWarning("Missing nbdkit",
			sentence(errors.New(missing))+" migratekit reads the source's disks through nbdkit and its plugin vddk, and without them it would fail after it made a snapshot. Install both, unless your migratekit brings its own.")
	}
	if cycle.OpenStack != nil {
		if missing := migratekit.MissingOpenStack(cycle.Env); len(missing) > 0 {
			diags.Append(environmentDiagnostic(missing))
		}
	}
	if problems := replication.Problems(cycle, status); len(problems) > 0 {
		diags.Append(impossibleDiagnostic(cycle.OpenStack == nil, problems))
	}
	if !cycle.AutoCBT {
		return
	}
	// Snapshots are left to the apply: a vma_cbt that is applied first may allow
	// them.
	gate := func(reasons []string) *replication.GateError {
		return &replication.GateError{Name: status.VM.Name, Path: status.VM.Path, Err: &cbt.BlockedError{VM: status.VM.Path, Reasons: reasons}}
	}
	if reasons := r.services.manager.Blockers(ctx, status, true); len(reasons) > 0 {
		diags.Append(gateDiagnostic(at, gate(reasons)))
	} else if reasons := replication.WithoutLeftovers(cycle, status).Blockers(false); len(reasons) > 0 {
		diags.AddAttributeWarning(at, "Snapshots in the Way of Change Tracking",
			fmt.Sprintf("Tracking of %q must not start over a snapshot, so the apply will fail unless a vma_cbt in it allows that, or the snapshot is gone by then: %s.",
				status.VM.Path, strings.Join(reasons, "; ")))
	}
}

// explain says what the practitioner would not expect of the cycle.
func explain(cycle *replication.Cycle, status *cbt.Status, diags *diag.Diagnostics) {
	if lost := replication.Lost(replication.Plan(cycle, status), status); len(lost) > 0 {
		err := &replication.TrackingResetError{Path: status.VM.Path, Disks: lost}
		if cycle.FailOnReset {
			diags.Append(trackingResetDiagnostic(err))
		} else {
			diags.AddAttributeWarning(path.Root("planned_cycle"), "Full Copy Where Increments Were Running",
				fmt.Sprintf("Change tracking of %q started anew since the last cycle, so the copy of this cycle is full:\n  - %s\n\nTo fail in place of copying everything, set on_tracking_reset to \"fail\".",
					status.VM.Path, strings.Join(lost, "\n  - ")))
		}
	}
	if left := replication.NotCopied(cycle, status); len(left) > 0 {
		diags.AddAttributeWarning(path.Root("nbd").AtName("exports"), "Disks Not Copied",
			fmt.Sprintf("%q has disks without an export, and the cycle goes on without them: %s. Add an export for each to nbd.exports, or leave it so where you do not need them.", status.VM.Path, strings.Join(left, ", ")))
	}
	if cycle.OpenStack != nil && cycle.OpenStack.Cutover {
		diags.AddAttributeWarning(path.Root("cutover"), "Source Will Be Shut Down",
			fmt.Sprintf("This apply shuts %q down, copies what is left and boots the new server. It cannot be taken back.", status.VM.Path))
	}
}
