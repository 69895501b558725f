package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/openstack"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
)

type cutoverLimitsModel struct {
	MaxAge          types.String `tfsdk:"max_age"`
	MaxChangedBytes types.Int64  `tfsdk:"max_changed_bytes"`
}

var (
	volumeTypes = map[string]attr.Type{
		"id": types.StringType, "name": types.StringType, "size_gib": types.Int64Type, "type": types.StringType, "zone": types.StringType,
	}
	serverTypes = map[string]attr.Type{"id": types.StringType, "name": types.StringType, "addresses": types.ListType{ElemType: types.StringType}}
)

// limits returns cutover_limits.
func (m replicationModel) limits(ctx context.Context, diags *diag.Diagnostics) replication.CutoverLimits {
	limits := replication.CutoverLimits{MaxChangedBytes: -1}
	if m.CutoverLimits.IsNull() || m.CutoverLimits.IsUnknown() {
		return limits
	}
	var model cutoverLimitsModel
	diags.Append(m.CutoverLimits.As(ctx, &model, basetypes.ObjectAsOptions{})...)
	limits.MaxAge, _ = time.ParseDuration(model.MaxAge.ValueString()) // validated
	if !model.MaxChangedBytes.IsNull() && !model.MaxChangedBytes.IsUnknown() {
		limits.MaxChangedBytes = model.MaxChangedBytes.ValueInt64()
	}
	limits.Set = limits.MaxAge > 0 || limits.MaxChangedBytes >= 0
	return limits
}

// lastCycleDone returns the last cycle of the state, if it succeeded.
func (m replicationModel) lastCycleDone() replication.LastCycle {
	last := replication.LastCycle{ChangedBytes: -1}
	attributes := m.LastCycle.Attributes()
	number := func(name string, fallback int64) int64 {
		if value, ok := attributes[name].(types.Int64); ok && !value.IsNull() && !value.IsUnknown() {
			return value.ValueInt64()
		}
		return fallback
	}
	ended, _ := attributes["ended_at"].(types.String)
	kind, _ := attributes["kind"].(types.String)
	if at, err := time.Parse(time.RFC3339, ended.ValueString()); err == nil && m.Status.ValueString() == statusReplicated {
		last.EndedAt, last.ChangedBytes, last.BytesPerSecond = at, number("changed_bytes", -1), number("bytes_per_second", 0)
		last.Kind, last.Took = cbt.Kind(kind.ValueString()), time.Duration(number("duration_seconds", 0))*time.Second
	}
	return last
}

// fromVolumes sets volumes and server from the result of a cycle.
func (m *replicationModel) fromVolumes(result *replication.Result, state replicationModel, diags *diag.Diagnostics) {
	m.Volumes, m.Server = state.Volumes, state.Server
	if !m.NBD.IsNull() { // an earlier attempt may have had another target
		m.Volumes = types.MapNull(types.ObjectType{AttrTypes: volumeTypes})
	}
	if m.Server.IsNull() {
		m.Server = types.ObjectNull(serverTypes)
	}
	if m.Volumes.IsNull() {
		m.Volumes = types.MapNull(types.ObjectType{AttrTypes: volumeTypes})
	}
	if result.Volumes != nil {
		m.Volumes = volumesValue(result.Volumes, diags)
	}
	if result.Server != nil {
		m.Server = serverValue(*result.Server, diags)
	}
}

func volumesValue(volumes map[int32]openstack.Volume, diags *diag.Diagnostics) types.Map {
	values := map[string]attr.Value{}
	for key, volume := range volumes {
		value, problems := types.ObjectValue(volumeTypes, map[string]attr.Value{
			"id": types.StringValue(volume.ID), "name": types.StringValue(volume.Name), "size_gib": types.Int64Value(int64(volume.SizeGiB)),
			"type": optional(volume.Type), "zone": optional(volume.Zone),
		})
		diags.Append(problems...)
		values[formatKey(key)] = value
	}
	all, problems := types.MapValue(types.ObjectType{AttrTypes: volumeTypes}, values)
	diags.Append(problems...)
	return all
}

func serverValue(server openstack.Server, diags *diag.Diagnostics) types.Object {
	addresses := []attr.Value{}
	for _, address := range server.Addresses {
		addresses = append(addresses, types.StringValue(address))
	}
	value, problems := types.ObjectValue(serverTypes, map[string]attr.Value{
		"id": types.StringValue(server.ID), "name": optional(server.Name), "addresses": types.ListValueMust(types.StringType, addresses),
	})
	diags.Append(problems...)
	return value
}

// setTracking sets cbt_enabled, tracking_intact and target_intact. seen is nil if the volumes are not known.
func (m *replicationModel) setTracking(ctx context.Context, status *cbt.Status, seen replication.Volumes, diags *diag.Diagnostics) {
	m.CBTEnabled = types.BoolValue(status.Tracked())
	previous, _ := m.previous(ctx, *m, diags)
	epochs := map[int32]string{}
	for key, id := range previous {
		epochs[key] = cbt.Epoch(id)
	}
	if seen != nil {
		epochs = seen.Epochs()
		if intact := seen.Intact(previous, status.Tracking()); !intact || !m.TargetIntact.IsNull() { // null counts as true
			m.TargetIntact = types.BoolValue(intact)
		}
	}
	m.TrackingIntact = types.BoolValue(status.Tracking().Intact(epochs))
}

// readVolumes reads the volumes of the VM. They are nil if OpenStack is not the target, has no login, or cannot be reached.
func (r *replicationResource) readVolumes(ctx context.Context, state replicationModel, diags *diag.Diagnostics) []openstack.Volume {
	if state.OpenStack.IsNull() || r.data.openstack == nil {
		return nil
	}
	volumes, err := r.data.openstack.Volumes(ctx)
	if err != nil {
		diags.Append(unreadDiagnostic(err, "The plan relies on the state."))
		return nil
	}
	return volumes
}

// unreadDiagnostic says that OpenStack could not be read while a resource is refreshed: a warning if it is down or denies it. without is what that means
// if it denies it.
func unreadDiagnostic(err error, without string) diag.Diagnostic {
	if outage, ok := errors.AsType[*openstack.UnreachableError](err); ok {
		return diag.NewWarningDiagnostic("OpenStack Unreachable", fmt.Sprintf(replication.UnreachableText, outage))
	}
	if denied, ok := errors.AsType[*openstack.ForbiddenError](err); ok {
		return diag.NewWarningDiagnostic("OpenStack Not Checked", sentence(denied)+" "+without)
	}
	return openStackDiagnostic(err)
}

// refreshTarget sets what the volumes tell: whether the copies are there, and whether a cutover is done whose end was not seen.
func (r *replicationResource) refreshTarget(
	ctx context.Context, state *replicationModel, status *cbt.Status, private privateState, diags *diag.Diagnostics,
) {
	all := r.readVolumes(ctx, *state, diags)
	if diags.HasError() {
		return
	}
	if all == nil {
		state.setTracking(ctx, status, loadVolumes(ctx, private), diags)
		return
	}
	volumes := replication.VolumesOf(status.VM, all)
	seen := replication.SeenVolumes(volumes)
	state.setTracking(ctx, status, seen, diags)
	if previous, _ := state.previous(ctx, *state, diags); loadVolumes(ctx, private) != nil || !seen.Match(previous) {
		// State of the first release has no volumes. To add what it tells anyway would look like drift.
		diags.Append(saveVolumes(ctx, private, seen)...)
	}
	if !state.Volumes.IsNull() || !state.TargetIntact.IsNull() {
		state.Volumes = volumesValue(volumes, diags)
	}
	id := replication.CutOverTo(status.VM, all)
	if id == "" {
		return
	}
	server, err := r.data.openstack.Server(ctx, id)
	if err != nil {
		server = openstack.Server{ID: id}
	}
	state.Status, state.Cutover, state.LastError = types.StringValue(statusCutOver), types.BoolValue(true), types.StringNull()
	state.Server, state.TrackingIntact = serverValue(server, diags), types.BoolValue(true)
	state.Volumes = volumesValue(volumes, diags)
	if !state.TargetIntact.IsNull() {
		state.TargetIntact = types.BoolValue(true)
	}
}

// findServer looks for the server of a cutover whose end OpenStack did not tell. State of the first release has none, and keeps none.
func (r *replicationResource) findServer(ctx context.Context, state *replicationModel, diags *diag.Diagnostics) {
	name, _ := state.Server.Attributes()["name"].(types.String)
	if state.OpenStack.IsNull() || state.TargetIntact.IsNull() || r.data.openstack == nil || (!state.Server.IsNull() && !name.IsNull()) {
		return
	}
	volumes := slices.DeleteFunc(slices.Clone(r.readVolumes(ctx, *state, diags)), func(v openstack.Volume) bool { return v.VMMoid != state.VMMoid.ValueString() })
	id := openstack.ServerOf(volumes)
	if id == "" {
		return
	}
	if server, err := r.data.openstack.Server(ctx, id); err == nil {
		state.Server = serverValue(server, diags)
	}
}

// warnServer warns about a server that is stopped or gone after the cutover.
func (r *replicationResource) warnServer(ctx context.Context, state replicationModel, diags *diag.Diagnostics) {
	id, _ := state.Server.Attributes()["id"].(types.String)
	if id.ValueString() == "" || r.data.openstack == nil {
		return
	}
	servers, err := r.data.openstack.Servers(ctx)
	if err != nil {
		diags.Append(unreadDiagnostic(err, "Whether the servers of finished migrations run is not known."))
		return
	}
	for _, server := range servers {
		if server.ID == id.ValueString() {
			if server.Status != "ACTIVE" {
				diags.AddWarning(onVM("Server Not Running", state.shown()),
					fmt.Sprintf("The server %s (%s), which the cutover of %q booted, has the status %s. Nothing is copied or cut over again.", server.Name, server.ID, state.shown(), server.Status))
			}
			return
		}
	}
	diags.AddWarning(onVM("Server Not Found", state.shown()),
		fmt.Sprintf("The server %s, which the cutover of %q booted, no longer exists in the project. Nothing is copied or cut over again. If the migration is over, remove the resource from the configuration and the state.", id.ValueString(), state.shown()))
}
