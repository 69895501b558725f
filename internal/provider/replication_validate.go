package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/nbd"
)

// validate checks attributes against each other.
func (m replicationModel) validate(ctx context.Context, diags *diag.Diagnostics) {
	m.validateExports(ctx, diags)
	m.validateExtraArgs(ctx, diags)
	if m.Cutover.ValueBool() {
		m.validateCutover(ctx, diags)
	}
	if limits := m.CutoverLimits.Attributes(); len(limits) > 0 && limits["max_age"].IsNull() && limits["max_changed_bytes"].IsNull() {
		diags.AddAttributeError(path.Root("cutover_limits"), "Invalid cutover_limits", "It limits nothing. Set max_age, max_changed_bytes or both, or remove cutover_limits.")
	}
}

// validateExports checks that all exports have the same port, and each disk its own export.
func (m replicationModel) validateExports(ctx context.Context, diags *diag.Diagnostics) {
	ports, names := map[string][]string{}, map[string][]string{}
	for key, export := range m.exports(ctx, diags) {
		if uri, err := nbd.ParseURI(export.ValueString()); err == nil && !export.IsUnknown() {
			ports[uri.Port] = append(ports[uri.Port], key)
			names[uri.Export] = append(names[uri.Export], key)
		}
	}
	for name, keys := range names {
		if len(keys) > 1 {
			slices.Sort(keys)
			diags.AddAttributeError(path.Root("nbd").AtName("exports"), "Invalid nbd.exports",
				fmt.Sprintf("The disks %s have the same export %q, so one disk would overwrite the other. Give each disk its own export.", strings.Join(keys, " and "), name))
		}
	}
	if len(ports) < 2 {
		return
	}
	var each []string
	for port, keys := range ports {
		slices.Sort(keys)
		each = append(each, fmt.Sprintf("%s (%s)", port, strings.Join(keys, ", ")))
	}
	slices.Sort(each)
	diags.AddAttributeError(path.Root("nbd").AtName("exports"), "Invalid nbd.exports",
		"The exports have different ports: "+strings.Join(each, "; ")+". migratekit connects to a single port of 127.0.0.1. Serve all exports of a virtual machine from one NBD server or through one tunnel.")
}

func (m replicationModel) validateExtraArgs(ctx context.Context, diags *diag.Diagnostics) {
	if m.ExtraArgs.IsNull() || m.ExtraArgs.IsUnknown() {
		return
	}
	var args []types.String
	diags.Append(m.ExtraArgs.ElementsAs(ctx, &args, false)...)
	for i, arg := range args {
		flag, _, _ := strings.Cut(arg.ValueString(), "=")
		if migratekit.IsReservedFlag(flag) {
			diags.AddAttributeError(path.Root("extra_args").AtListIndex(i), "Invalid extra_args",
				fmt.Sprintf("%q is set by the provider itself. Use its attribute instead of extra_args.", flag))
		}
	}
}

func (m replicationModel) validateCutover(ctx context.Context, diags *diag.Diagnostics) {
	at := path.Root("cutover")
	if m.OpenStack.IsUnknown() {
		return
	}
	if m.OpenStack.IsNull() {
		diags.AddAttributeError(at, "Invalid cutover", "A cutover is possible with openstack only. For nbd, shut down the source and run a last cycle by changing triggers.")
		return
	}
	var model openStackModel
	diags.Append(m.OpenStack.As(ctx, &model, basetypes.ObjectAsOptions{})...)
	if diags.HasError() {
		return
	}
	var missing []string
	if model.AvailabilityZone.IsNull() {
		missing = append(missing, "openstack.availability_zone")
	}
	if model.FlavorID.IsNull() {
		missing = append(missing, "openstack.flavor_id")
	}
	if model.NetworkMappings.IsNull() || (!model.NetworkMappings.IsUnknown() && len(model.NetworkMappings.Elements()) == 0) {
		missing = append(missing, "openstack.network_mappings")
	}
	if len(missing) > 0 {
		diags.AddAttributeError(at, "Invalid cutover", "A cutover boots the new server, so these attributes are also required: "+strings.Join(missing, ", ")+".")
	}
}

// validateCutoverStays refuses to take back a cutover that is done. After one that failed, the source can be powered on and copied again.
func (m replicationModel) validateCutoverStays(state replicationModel, diags *diag.Diagnostics) {
	if state.cutOver() && !m.Cutover.ValueBool() && !m.Cutover.IsUnknown() {
		diags.AddAttributeError(path.Root("cutover"), "Invalid cutover",
			"A cutover cannot be undone: the source was shut down, and the new server has the volumes. Set cutover to true again. To copy the source once more, delete the server and take the resource out of the state with terraform state rm; the guide on going back says how. To stop managing the virtual machine, delete its block from the configuration and apply.")
	}
}
