package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

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

	// privateFound is the key of private state that holds what was found at
	// create.
	privateFound = "found"
	// privateInterrupted is the key of the one that says that a create was
	// interrupted: the state has what was planned, and nobody has looked since.
	privateInterrupted = "interrupted"
)

type cbtModel struct {
	vmNames
	AllowExistingSnapshots types.Bool     `tfsdk:"allow_existing_snapshots"`
	ResetTriggers          types.Map      `tfsdk:"reset_triggers"`
	OnDestroy              types.String   `tfsdk:"on_destroy"`
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
		MarkdownDescription: "The disks of the virtual machine, and why one is not tracked.",
		Computed:            true,
		NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
			"key":     schema.Int64Attribute{MarkdownDescription: "Device key, unique in the virtual machine: 2000, 2001, …", Computed: true},
			"label":   schema.StringAttribute{MarkdownDescription: "Label, such as `Hard disk 1`.", Computed: true},
			"file":    schema.StringAttribute{MarkdownDescription: "Datastore path of the disk.", Computed: true},
			"tracked": schema.BoolAttribute{MarkdownDescription: "Whether the disk is tracked.", Computed: true},
			"reason":  schema.StringAttribute{MarkdownDescription: "Why it is not tracked, null where it is.", Computed: true},
		}},
	}
}

// work says whether an update has anything to do in vCenter: something drifted,
// or a reset is asked for.
func (m cbtModel) work(state *cbtModel) bool {
	return !state.Enabled.ValueBool() || !state.Initialized.ValueBool() || m.resets(state)
}

// resets says that a value of reset_triggers changed. To begin with them, or to
// do without, resets nothing.
func (m cbtModel) resets(state *cbtModel) bool {
	return state != nil && !m.ResetTriggers.IsNull() && !state.ResetTriggers.IsNull() && !m.ResetTriggers.Equal(state.ResetTriggers)
}

// verb is what an apply of the plan does, for the summary of an error.
func (m cbtModel) verb(state *cbtModel) string {
	if m.resets(state) {
		return "Reset Change Tracking"
	}
	return "Enable Change Tracking"
}

// namesOf is the part of a state that names the VM, nil where there is none.
func namesOf(state *cbtModel) *vmNames {
	if state == nil {
		return nil
	}
	return &state.vmNames
}

func (m cbtModel) options() cbt.Options {
	return cbt.Options{AllowExistingSnapshots: m.AllowExistingSnapshots.ValueBool()}
}

// fromStatus completes what was planned with what was read back.
func (m *cbtModel) fromStatus(status *cbt.Status, diags *diag.Diagnostics) {
	m.fillUnknown(status.VM)
	m.setStatus(status, diags)
}

// setStatus takes what is true of tracking now.
func (m *cbtModel) setStatus(status *cbt.Status, diags *diag.Diagnostics) {
	m.Enabled = types.BoolValue(status.Enabled())
	// A temporary snapshot that is left shows as drift, so that it is removed.
	m.Initialized = types.BoolValue(status.Works())
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

// optional is null for an empty text.
func optional(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}

// found is what a create found, for on_destroy = "restore".
type found struct {
	Enabled bool `json:"enabled"`
}

func encodeFound(status *cbt.Status) []byte {
	encoded, _ := json.Marshal(found{Enabled: status.Enabled()}) // a bool cannot fail
	return encoded
}

func markInterrupted(ctx context.Context, to private, interrupted bool) diag.Diagnostics {
	return to.SetKey(ctx, privateInterrupted, strconv.AppendBool(nil, interrupted))
}

func wasInterrupted(ctx context.Context, from private) bool {
	mark, _ := from.GetKey(ctx, privateInterrupted)
	return string(mark) == "true"
}

// disablesOnDestroy says whether a destroy switches tracking off.
func (m cbtModel) disablesOnDestroy(prior []byte, diags *diag.Diagnostics) bool {
	switch m.OnDestroy.ValueString() {
	case onDestroyDisable:
		return true
	case onDestroyRestore:
		var was found
		if err := json.Unmarshal(prior, &was); err != nil {
			diags.AddAttributeWarning(path.Root("on_destroy"), "Nothing to Restore",
				fmt.Sprintf("It is not known what tracking of %s was before, because the resource was imported or tainted. Tracking is kept as it is.", m.VMPath))
			return false
		}
		return !was.Enabled
	}
	return false
}

// identityModel identifies a VM of this vCenter.
type identityModel struct {
	ID types.String `tfsdk:"id"`
}

// setIdentity says which VM it is; Terraform before 1.12 does not ask.
func setIdentity(ctx context.Context, identity *tfsdk.ResourceIdentity, id types.String) diag.Diagnostics {
	if identity == nil || id.IsNull() || id.IsUnknown() {
		return nil
	}
	return identity.Set(ctx, identityModel{ID: id})
}

func warnConsolidation(vm *vsphere.VM, diags *diag.Diagnostics) {
	if vm.ConsolidationNeeded {
		diags.AddWarning("Consolidation Needed",
			fmt.Sprintf("vCenter says that the disks of %q need consolidation: a snapshot was removed and its changes were not merged. It does not hinder tracking, but consolidate the disks (\"Snapshots → Consolidate\") soon.", vm.Path))
	}
}
