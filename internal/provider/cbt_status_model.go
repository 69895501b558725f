package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

// statusModel is what is true of tracking on one VM.
type statusModel struct {
	vmNames
	Enabled             types.Bool        `tfsdk:"enabled"`
	Initialized         types.Bool        `tfsdk:"initialized"`
	Supported           types.Bool        `tfsdk:"supported"`
	PowerState          types.String      `tfsdk:"power_state"`
	HardwareVersion     types.Int64       `tfsdk:"hardware_version"`
	Template            types.Bool        `tfsdk:"template"`
	Snapshots           []types.String    `tfsdk:"snapshots"`
	ConsolidationNeeded types.Bool        `tfsdk:"consolidation_needed"`
	Blockers            []types.String    `tfsdk:"blockers"`
	Disks               []statusDiskModel `tfsdk:"disks"`
}

type statusDiskModel struct {
	Key           types.Int64  `tfsdk:"key"`
	Label         types.String `tfsdk:"label"`
	File          types.String `tfsdk:"file"`
	CapacityBytes types.Int64  `tfsdk:"capacity_bytes"`
	Mode          types.String `tfsdk:"mode"`
	Trackable     types.Bool   `tfsdk:"trackable"`
	Tracked       types.Bool   `tfsdk:"tracked"`
	ChangeID      types.String `tfsdk:"change_id"`
	Epoch         types.String `tfsdk:"epoch"`
	Reason        types.String `tfsdk:"reason"`
}

// statusAttributes are the attributes of statusModel, all computed.
func statusAttributes() map[string]schema.Attribute {
	text := func(description string) schema.Attribute {
		return schema.StringAttribute{MarkdownDescription: description, Computed: true}
	}
	flag := func(description string) schema.Attribute {
		return schema.BoolAttribute{MarkdownDescription: description, Computed: true}
	}
	number := func(description string) schema.Attribute {
		return schema.Int64Attribute{MarkdownDescription: description, Computed: true}
	}
	texts := func(description string) schema.Attribute {
		return schema.ListAttribute{MarkdownDescription: description, Computed: true, ElementType: types.StringType}
	}
	return map[string]schema.Attribute{
		"id":                   text(descriptionID),
		"vm_name":              text(descriptionName),
		attributePath:          text("Inventory path of the virtual machine."),
		attributeUUID:          text(descriptionUUID),
		attributeMoid:          text(descriptionMoid),
		"enabled":              flag("Whether tracking is switched on: configured, which is not yet working."),
		"initialized":          flag("Whether there are disks that can be tracked, and each has a change ID: tracking works."),
		"supported":            flag("Whether the virtual hardware and its host can track changes at all."),
		"power_state":          text("`poweredOn`, `poweredOff` or `suspended`."),
		"hardware_version":     number("Version of the virtual hardware: 19 for `vmx-19`. Tracking needs 7 or newer."),
		"template":             flag("Whether it is a template."),
		"snapshots":            texts("Names of its snapshots, each before its children."),
		"consolidation_needed": flag("Whether a snapshot was removed without merging its changes."),
		"blockers":             texts("Why tracking cannot be made to work now, each with its cure; empty where it works or can be made to."),
		"disks": schema.ListNestedAttribute{
			MarkdownDescription: "Its disks.",
			Computed:            true,
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"key":            number("Device key, unique in the virtual machine: 2000, 2001, …"),
				"label":          text("Label, such as `Hard disk 1`."),
				"file":           text("Datastore path of the disk."),
				"capacity_bytes": number("Capacity in bytes."),
				"mode":           text("Disk mode, such as `persistent` or `independent_persistent`; null where its kind has none."),
				"trackable":      flag("Whether this kind of disk can be tracked."),
				"tracked":        flag("Whether it is tracked: tracking is on and the disk has a change ID."),
				"change_id":      text("Change ID, `<epoch>/<sequence>`; null where it has none. It moves with every snapshot."),
				"epoch":          text("Epoch of the change ID: it changes when tracking starts anew. Null without a change ID."),
				"reason":         text("Why it is not tracked, null where it is."),
			}},
		},
	}
}

// newStatusModel takes what is true, and what stands in its way.
func newStatusModel(status *cbt.Status, blockers []string) statusModel {
	vm := status.VM
	m := statusModel{
		Enabled:             types.BoolValue(status.Enabled()),
		Initialized:         types.BoolValue(status.Initialized()),
		Supported:           types.BoolValue(status.Supported()),
		PowerState:          types.StringValue(vm.PowerState),
		HardwareVersion:     types.Int64Value(int64(vm.HardwareVersion)),
		Template:            types.BoolValue(vm.Template),
		ConsolidationNeeded: types.BoolValue(vm.ConsolidationNeeded),
		Snapshots:           []types.String{},
		Blockers:            []types.String{},
		Disks:               []statusDiskModel{},
	}
	m.fill(vm)
	for _, snapshot := range vm.Snapshots {
		m.Snapshots = append(m.Snapshots, types.StringValue(snapshot.Name))
	}
	for _, blocker := range blockers {
		m.Blockers = append(m.Blockers, types.StringValue(blocker))
	}
	for _, d := range status.Disks {
		m.Disks = append(m.Disks, statusDiskModel{
			Key:           types.Int64Value(int64(d.Key)),
			Label:         types.StringValue(d.Label),
			File:          optional(d.File),
			CapacityBytes: types.Int64Value(d.Capacity),
			Mode:          optional(d.Mode),
			Trackable:     types.BoolValue(d.Trackable),
			Tracked:       types.BoolValue(d.Tracked),
			ChangeID:      optional(d.ChangeID),
			Epoch:         optional(cbt.Epoch(d.ChangeID)),
			Reason:        optional(d.Reason),
		})
	}
	return m
}
