package provider

import (
	"cmp"
	"context"
	"maps"
	stdpath "path"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/nbd"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
)

const (
	onResetFull      = "full"
	onResetFail      = "fail"
	onLeftoverFail   = "fail"
	onLeftoverRemove = "remove"

	onAttachedFail     = "fail"
	onAttachedDetach   = "detach"
	onShutdownFail     = "fail"
	onShutdownPowerOff = "power_off"

	// The power states of vCenter.
	poweredOn  = "poweredOn"
	poweredOff = "poweredOff"

	defaultStopGrace = "5m"
	// defaultStallTimeout applies if stall_timeout is null.
	defaultStallTimeout = "1h"
	// defaultShutdownTimeout applies if shutdown_timeout is null.
	defaultShutdownTimeout = "15m"

	statusReplicated  = replication.StatusReplicated
	statusInterrupted = replication.StatusInterrupted
	statusFailed      = replication.StatusFailed
	statusCutOver     = replication.StatusCutOver
)

type replicationModel struct {
	vmNames
	OpenStack          types.Object   `tfsdk:"openstack"`
	NBD                types.Object   `tfsdk:"nbd"`
	AutoCBT            types.Bool     `tfsdk:"auto_cbt"`
	Cutover            types.Bool     `tfsdk:"cutover"`
	CompressionMethod  types.String   `tfsdk:"compression_method"`
	ExtraArgs          types.List     `tfsdk:"extra_args"`
	Triggers           types.Map      `tfsdk:"triggers"`
	OnTrackingReset    types.String   `tfsdk:"on_tracking_reset"`
	OnLeftoverSnapshot types.String   `tfsdk:"on_leftover_snapshot"`
	OnTargetLost       types.String   `tfsdk:"on_target_lost"`
	OnAttachedVolume   types.String   `tfsdk:"on_attached_volume"`
	CutoverLimits      types.Object   `tfsdk:"cutover_limits"`
	ShutdownTimeout    types.String   `tfsdk:"shutdown_timeout"`
	OnShutdownTimeout  types.String   `tfsdk:"on_shutdown_timeout"`
	OnBlocked          types.String   `tfsdk:"on_blocked"`
	StopGrace          types.String   `tfsdk:"stop_grace"`
	StallTimeout       types.String   `tfsdk:"stall_timeout"`
	CBTEnabled         types.Bool     `tfsdk:"cbt_enabled"`
	TrackingIntact     types.Bool     `tfsdk:"tracking_intact"`
	TargetIntact       types.Bool     `tfsdk:"target_intact"`
	Volumes            types.Map      `tfsdk:"volumes"`
	Server             types.Object   `tfsdk:"server"`
	Status             types.String   `tfsdk:"status"`
	ChangeIDs          types.Map      `tfsdk:"change_ids"`
	LastCycle          types.Object   `tfsdk:"last_cycle"`
	LastError          types.String   `tfsdk:"last_error"`
	Cycles             types.Int64    `tfsdk:"cycles"`
	PlannedCycle       types.Map      `tfsdk:"planned_cycle"`
	Timeouts           timeouts.Value `tfsdk:"timeouts"`
}

type openStackModel struct {
	AvailabilityZone     types.String `tfsdk:"availability_zone"`
	VolumeType           types.String `tfsdk:"volume_type"`
	DiskBusType          types.String `tfsdk:"disk_bus_type"`
	OSType               types.String `tfsdk:"os_type"`
	EnableQemuGuestAgent types.Bool   `tfsdk:"enable_qemu_guest_agent"`
	FlavorID             types.String `tfsdk:"flavor_id"`
	NetworkMappings      types.List   `tfsdk:"network_mappings"`
	SecurityGroupIDs     types.List   `tfsdk:"security_group_ids"`
	RunV2V               types.Bool   `tfsdk:"run_v2v"`
}

type networkMappingModel struct {
	MAC       types.String `tfsdk:"mac"`
	NetworkID types.String `tfsdk:"network_id"`
	SubnetID  types.String `tfsdk:"subnet_id"`
	IP        types.String `tfsdk:"ip"`
}

type nbdModel struct {
	Exports types.Map `tfsdk:"exports"`
}

var (
	lastDiskTypes = map[string]attr.Type{"kind": types.StringType, "changed_bytes": types.Int64Type}
	lastTypes     = map[string]attr.Type{
		"kind": types.StringType, "started_at": types.StringType, "ended_at": types.StringType,
		"changed_bytes": types.Int64Type, "changed_bytes_reason": types.StringType, "log_file": types.StringType,
		"duration_seconds": types.Int64Type, "bytes_per_second": types.Int64Type,
		"disks": types.MapType{ElemType: types.ObjectType{AttrTypes: lastDiskTypes}},
	}
)

func (m replicationModel) cutOver() bool { return m.Status.ValueString() == statusCutOver }

// begun reports whether migratekit was ever started. A create that was interrupted earlier has no cycle yet.
func (m replicationModel) begun() bool { return !m.LastCycle.IsNull() }

// enablesCBT returns auto_cbt, or the provider's if it is not set.
func (m replicationModel) enablesCBT(p *providerData) bool {
	if m.AutoCBT.IsNull() {
		return p.autoCBT
	}
	return m.AutoCBT.ValueBool()
}

// exports returns the NBD URIs as they are written, by device key. It returns nil without nbd, or if they are unknown.
func (m replicationModel) exports(ctx context.Context, diags *diag.Diagnostics) map[string]types.String {
	if m.NBD.IsNull() || m.NBD.IsUnknown() {
		return nil
	}
	var model nbdModel
	diags.Append(m.NBD.As(ctx, &model, basetypes.ObjectAsOptions{})...)
	if model.Exports.IsNull() || model.Exports.IsUnknown() {
		return nil
	}
	exports := map[string]types.String{}
	diags.Append(model.Exports.ElementsAs(ctx, &exports, false)...)
	return exports
}

// previous returns the change IDs that the next cycle may copy from: those in state, except of disks whose export has changed, which moved
// has.
func (m replicationModel) previous(
	ctx context.Context, state replicationModel, diags *diag.Diagnostics,
) (previous map[int32]string, moved map[int32]bool) {
	ids := map[string]types.String{}
	if !state.ChangeIDs.IsNull() && !state.ChangeIDs.IsUnknown() {
		diags.Append(state.ChangeIDs.ElementsAs(ctx, &ids, false)...)
	}
	now, before := m.exports(ctx, diags), state.exports(ctx, diags)
	previous, moved = map[int32]string{}, map[int32]bool{}
	for text, id := range ids {
		key, err := parseKey(text)
		_, exported := now[text]
		switch {
		case err != nil, !m.NBD.IsNull() && !exported:
		case now[text].ValueString() != before[text].ValueString():
			moved[key] = true
		default:
			previous[key] = id.ValueString()
		}
	}
	return previous, moved
}

// toCycle expects known, validated values.
func (m replicationModel) toCycle(
	ctx context.Context, state replicationModel, moid string, p *providerData, private privateState, diags *diag.Diagnostics,
) *replication.Cycle {
	cycle := &replication.Cycle{
		Moid:              moid,
		Target:            m.toTarget(ctx, state, p, private, diags),
		Program:           p.migratekitPath,
		Environment:       p.migratekitEnvironment,
		CompressionMethod: m.CompressionMethod.ValueString(),
		AutoCBT:           m.enablesCBT(p),
		FailOnReset:       m.OnTrackingReset.ValueString() == onResetFail,
		FailOnTargetLost:  m.OnTargetLost.ValueString() == onResetFail,
		RemoveLeftovers:   m.OnLeftoverSnapshot.ValueString() == onLeftoverRemove,
		LogDirectory:      p.logDirectory,
	}
	cycle.Previous, cycle.Moved = m.previous(ctx, state, diags)
	cycle.StopGrace, _ = time.ParseDuration(m.StopGrace.ValueString())                                              // validated
	cycle.StallTimeout, _ = time.ParseDuration(cmp.Or(m.StallTimeout.ValueString(), defaultStallTimeout))           // validated
	cycle.Shutdown.Timeout, _ = time.ParseDuration(cmp.Or(m.ShutdownTimeout.ValueString(), defaultShutdownTimeout)) // validated
	cycle.Shutdown.PowerOff = m.OnShutdownTimeout.ValueString() == onShutdownPowerOff
	diags.Append(m.ExtraArgs.ElementsAs(ctx, &cycle.ExtraArgs, false)...)
	return cycle
}

func (m replicationModel) toTarget(
	ctx context.Context, state replicationModel, p *providerData, private privateState, diags *diag.Diagnostics,
) replication.Target {
	if !m.OpenStack.IsNull() {
		target := m.toOpenStack(ctx, diags)
		target.Cloud = p.openstack
		if !state.ID.IsNull() { // else the private state is that of another VM
			target.Renamed, target.Seen = renamed(ctx, private, state.vmNames), loadVolumes(ctx, private).Of(stdpath.Base(state.VMPath.ValueString()))
		}
		target.Detach = m.OnAttachedVolume.IsUnknown() || m.OnAttachedVolume.ValueString() == onAttachedDetach // an apply knows it
		target.Limits, target.Last = m.limits(ctx, diags), state.lastCycleDone()
		if state.Cutover.ValueBool() && state.begun() && !state.OpenStack.IsNull() {
			before := state.toOpenStack(ctx, diags).RunV2V
			target.V2VBegan = before == nil || *before
		}
		return target
	}
	target := &replication.NBD{Exports: map[int32]nbd.URI{}, Claims: p.runner.ExportClaims()}
	for text, export := range m.exports(ctx, diags) {
		key, keyErr := parseKey(text)
		uri, uriErr := nbd.ParseURI(export.ValueString())
		if keyErr == nil && uriErr == nil { // validated
			target.Exports[key] = uri
		}
	}
	return target
}

func (m replicationModel) toOpenStack(ctx context.Context, diags *diag.Diagnostics) *replication.OpenStack {
	var model openStackModel
	diags.Append(m.OpenStack.As(ctx, &model, basetypes.ObjectAsOptions{})...)
	target := &replication.OpenStack{OpenStack: migratekit.OpenStack{
		AvailabilityZone:     model.AvailabilityZone.ValueString(),
		VolumeType:           model.VolumeType.ValueString(),
		DiskBusType:          model.DiskBusType.ValueString(),
		OSType:               model.OSType.ValueString(),
		EnableQemuGuestAgent: model.EnableQemuGuestAgent.ValueBoolPointer(),
		Cutover:              m.Cutover.ValueBool(),
		FlavorID:             model.FlavorID.ValueString(),
		RunV2V:               model.RunV2V.ValueBoolPointer(),
	}}
	diags.Append(model.SecurityGroupIDs.ElementsAs(ctx, &target.SecurityGroupIDs, false)...)
	var mappings []networkMappingModel
	diags.Append(model.NetworkMappings.ElementsAs(ctx, &mappings, false)...)
	for _, mapping := range mappings {
		target.NetworkMappings = append(target.NetworkMappings, migratekit.NetworkMapping{
			MAC: mapping.MAC.ValueString(), NetworkID: mapping.NetworkID.ValueString(),
			SubnetID: mapping.SubnetID.ValueString(), IP: mapping.IP.ValueString(),
		})
	}
	return target
}

func (m *replicationModel) setPlanned(ctx context.Context, plan map[int32]replication.PlannedCopy, diags *diag.Diagnostics) {
	planned := map[string]string{}
	for key, disk := range plan {
		planned[formatKey(key)] = disk.String()
	}
	value, problems := types.MapValueFrom(ctx, types.StringType, planned)
	diags.Append(problems...)
	m.PlannedCycle = value
}

// fromResult sets the computed attributes from the result of a cycle. Values that were planned as true stay true, because
// Terraform requires it; the next refresh corrects them.
func (m *replicationModel) fromResult(
	ctx context.Context, result *replication.Result, end ending, state replicationModel, create bool, diags *diag.Diagnostics,
) {
	ids := map[string]string{}
	for key, id := range result.ChangeIDs {
		ids[formatKey(key)] = id
	}
	value, problems := types.MapValueFrom(ctx, types.StringType, ids)
	diags.Append(problems...)
	m.ChangeIDs = value
	m.Cycles, m.LastCycle = state.Cycles, state.LastCycle
	m.fromVolumes(result, state, diags)
	if end != cycleDone && !result.Started && !create { // this update has changed nothing
		m.continues(state)
	}
	if m.LastCycle.IsNull() || result.Started {
		m.LastCycle = lastCycle(result, diags)
	}
	switch {
	case end == cycleInterrupted, end == cycleStopped:
		m.Status = types.StringValue(statusInterrupted)
	case end == cycleFailed, end == cycleRefused:
		m.Status = types.StringValue(statusFailed)
	case result.CutOver:
		m.Status = types.StringValue(statusCutOver)
	default:
		m.Status = types.StringValue(statusReplicated)
	}
	if end == cycleDone {
		m.Cycles = types.Int64Value(state.Cycles.ValueInt64() + 1)
	}
}

func lastCycle(result *replication.Result, diags *diag.Diagnostics) types.Object {
	if !result.Started {
		return types.ObjectNull(lastTypes)
	}
	disks := map[string]attr.Value{}
	for _, key := range slices.Sorted(maps.Keys(result.Disks)) {
		disk, problems := types.ObjectValue(lastDiskTypes, map[string]attr.Value{
			"kind":          types.StringValue(string(result.Disks[key].Kind)),
			"changed_bytes": measured(result.Disks[key].ChangedBytes),
		})
		diags.Append(problems...)
		disks[formatKey(key)] = disk
	}
	all, problems := types.MapValue(types.ObjectType{AttrTypes: lastDiskTypes}, disks)
	diags.Append(problems...)
	last, problems := types.ObjectValue(lastTypes, map[string]attr.Value{
		"kind":          optional(string(result.Kind)),
		"started_at":    types.StringValue(result.StartedAt.Format(time.RFC3339)),
		"ended_at":      types.StringValue(result.EndedAt.Format(time.RFC3339)),
		"changed_bytes": total(result),
		"log_file":      types.StringValue(result.LogFile),
		"disks":         all,

		"changed_bytes_reason": optional(result.Unmeasured),
		"duration_seconds":     types.Int64Value(int64(result.EndedAt.Sub(result.StartedAt).Round(time.Second) / time.Second)),
		"bytes_per_second":     bytesPerSecond(result),
	})
	diags.Append(problems...)
	return last
}

// bytesPerSecond is null if the bytes or the disks are not known.
func bytesPerSecond(result *replication.Result) types.Int64 {
	bytes, took := total(result), result.EndedAt.Sub(result.StartedAt).Seconds()
	if bytes.IsNull() || took <= 0 {
		return types.Int64Null()
	}
	return types.Int64Value(int64(float64(bytes.ValueInt64()) / took))
}

// total is null if no disk was copied completely.
func total(result *replication.Result) types.Int64 {
	if len(result.Disks) == 0 {
		return types.Int64Null()
	}
	return measured(result.ChangedBytes())
}

// measured is null if the bytes could not be measured.
func measured(bytes int64) types.Int64 {
	if bytes < 0 {
		return types.Int64Null()
	}
	return types.Int64Value(bytes)
}

func formatKey(key int32) string { return strconv.FormatInt(int64(key), 10) }
