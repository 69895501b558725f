package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

const (
	onDestroyKeep    = "keep"
	onDestroyDisable = "disable"
	onDestroyRestore = "restore"
)

type cbtModel struct {
	vmNames
	AllowExistingSnapshots types.Bool     `tfsdk:"allow_existing_snapshots"`
	ResetTriggers          types.Map      `tfsdk:"reset_triggers"`
	OnDestroy              types.String   `tfsdk:"on_destroy"`
	OnBlocked              types.String   `tfsdk:"on_blocked"`
	Enabled                types.Bool     `tfsdk:"enabled"`
	Initialized            types.Bool     `tfsdk:"initialized"`
	Disks                  types.List     `tfsdk:"disks"`
	Timeouts               timeouts.Value `tfsdk:"timeouts"`
}

var diskTypes = map[string]attr.Type{
	"key": types.Int64Type, "label": types.StringType, "file": types.StringType,
	"tracked": types.BoolType, "reason": types.StringType,
}

func disksAttribute() schema.Attribute {
	return schema.ListNestedAttribute{
		MarkdownDescription: "Disks of the virtual machine, each with its CBT state.",
		Computed:            true,
		NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
			"key":     schema.Int64Attribute{MarkdownDescription: "Device key, unique in the virtual machine, such as 2000 or 2001.", Computed: true},
			"label":   schema.StringAttribute{MarkdownDescription: "Label, such as `Hard disk 1`.", Computed: true},
			"file":    schema.StringAttribute{MarkdownDescription: "Datastore path of the disk.", Computed: true},
			"tracked": schema.BoolAttribute{MarkdownDescription: "Whether CBT works on the disk: it is enabled, and the disk has a change ID.", Computed: true},
			"reason":  schema.StringAttribute{MarkdownDescription: "Why the disk is not tracked; null if it is tracked.", Computed: true},
		}},
	}
}

// work reports whether an update has to change vCenter, because of drift or a reset.
func (m cbtModel) work(state *cbtModel) bool {
	return !state.Enabled.ValueBool() || !state.Initialized.ValueBool() || m.resets(state)
}

// resets reports whether a value of reset_triggers changed. Adding or removing the attribute resets nothing.
func (m cbtModel) resets(state *cbtModel) bool {
	return state != nil && !m.ResetTriggers.IsNull() && !state.ResetTriggers.IsNull() && !m.ResetTriggers.Equal(state.ResetTriggers)
}

// verb returns the planned operation, for the summary of an error.
func (m cbtModel) verb(state *cbtModel) string {
	if m.resets(state) {
		return "Reset Change Tracking"
	}
	return "Enable Change Tracking"
}

func namesOf(state *cbtModel) *vmNames {
	if state == nil {
		return nil
	}
	return &state.vmNames
}

func (m cbtModel) options(ctx context.Context, p *providerData, id string) cbt.Options {
	return cbt.Options{AllowExistingSnapshots: m.AllowExistingSnapshots.ValueBool(), Leftover: p.leftover(ctx, id)}
}

// fromStatus completes the plan with the values read back.
func (m *cbtModel) fromStatus(status *cbt.Status, diags *diag.Diagnostics) {
	m.fillUnknown(status.VM)
	m.setStatus(status, diags)
}

func (m *cbtModel) setStatus(status *cbt.Status, diags *diag.Diagnostics) {
	m.Enabled = types.BoolValue(status.Enabled())
	// A leftover temporary snapshot must show as drift, so that the next apply removes it.
	m.Initialized = types.BoolValue(status.Initialized())
	disks := make([]attr.Value, 0, len(status.Disks))
	for _, d := range status.Disks {
		disk, problems := types.ObjectValue(diskTypes, map[string]attr.Value{
			"key":     types.Int64Value(int64(d.Key)),
			"label":   types.StringValue(d.Label),
			"file":    types.StringValue(d.File),
			"tracked": types.BoolValue(d.Tracked),
			"reason":  optional(d.Reason),
		})
		diags.Append(problems...)
		disks = append(disks, disk)
	}
	list, problems := types.ListValue(types.ObjectType{AttrTypes: diskTypes}, disks)
	diags.Append(problems...)
	m.Disks = list
}

func optional(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}

// disablesOnDestroy reports whether a destroy disables CBT.
func (m cbtModel) disablesOnDestroy(ctx context.Context, private privateState, diags *diag.Diagnostics) bool {
	switch m.OnDestroy.ValueString() {
	case onDestroyDisable:
		return true
	case onDestroyRestore:
		var found foundCBT
		if !loadPrivate(ctx, private, privateFound, &found) {
			diags.AddAttributeWarning(path.Root("on_destroy"), onVM("Nothing to Restore", m.shown()),
				fmt.Sprintf("It is not known whether CBT was enabled on %s before, because the resource was imported or tainted. CBT stays as it is.", m.VMPath))
			return false
		}
		return !found.Enabled
	}
	return false
}

type identityModel struct {
	ID types.String `tfsdk:"id"`
}

// setIdentity sets the resource identity. identity is nil with Terraform before 1.12.
func setIdentity(ctx context.Context, identity *tfsdk.ResourceIdentity, id types.String) diag.Diagnostics {
	if identity == nil || id.IsNull() || id.IsUnknown() {
		return nil
	}
	return identity.Set(ctx, identityModel{ID: id})
}

func warnConsolidation(vm *vsphere.VM, diags *diag.Diagnostics) {
	if vm.ConsolidationNeeded {
		diags.AddWarning(onVM("Consolidation Needed", vm.Path),
			fmt.Sprintf("vCenter reports that the disks of %q need consolidation: a snapshot was removed, but its changes were not merged. CBT still works. Consolidate the disks soon (\"Snapshots → Consolidate\").", vm.Path))
	}
}
