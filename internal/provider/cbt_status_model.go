package provider

import (
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

const (
	descriptionInitialized     = "Whether the initialization of CBT is complete: every disk that can be tracked has a change ID, and the temporary snapshot that this takes is removed."
	descriptionPowerState      = "Power state: `poweredOn`, `poweredOff` or `suspended`."
	descriptionConnectionState = "Connection state: `connected`, `disconnected`, `orphaned`, `inaccessible` or `invalid`."
	descriptionDiskKey         = "Device key, unique in the virtual machine, such as 2000 or 2001."
	descriptionDiskLabel       = "Label, such as `Hard disk 1`."
	descriptionDiskFile        = "Datastore path of the disk."
	descriptionDiskCapacity    = "Capacity in bytes."
	descriptionDiskTrackable   = "Whether CBT supports this kind of disk."
)

func computedText(description string) schema.Attribute {
	return schema.StringAttribute{MarkdownDescription: description, Computed: true}
}

func computedFlag(description string) schema.Attribute {
	return schema.BoolAttribute{MarkdownDescription: description, Computed: true}
}

func computedNumber(description string) schema.Attribute {
	return schema.Int64Attribute{MarkdownDescription: description, Computed: true}
}

// statusModel is the CBT status of one VM, in vma_cbt_status and vma_cbt_statuses.
type statusModel struct {
	vmNames
	Enabled             types.Bool        `tfsdk:"enabled"`
	Initialized         types.Bool        `tfsdk:"initialized"`
	Supported           types.Bool        `tfsdk:"supported"`
	PowerState          types.String      `tfsdk:"power_state"`
	ConnectionState     types.String      `tfsdk:"connection_state"`
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

func statusAttributes() map[string]schema.Attribute {
	text, flag, number := computedText, computedFlag, computedNumber
	texts := func(description string) schema.Attribute {
		return schema.ListAttribute{MarkdownDescription: description, Computed: true, ElementType: types.StringType}
	}
	return map[string]schema.Attribute{
		"id":                   text(descriptionID),
		"vm_name":              text(descriptionName),
		attributePath:          text("Inventory path of the virtual machine."),
		attributeUUID:          text(descriptionUUID),
		attributeMoid:          text(descriptionMoid),
		"enabled":              flag("Whether CBT is enabled in the configuration of the virtual machine; `initialized` reports whether it works."),
		"initialized":          flag(descriptionInitialized),
		"supported":            flag("Whether the virtual hardware and the host support CBT."),
		"power_state":          text(descriptionPowerState),
		"connection_state":     text(descriptionConnectionState),
		"hardware_version":     number("Version of the virtual hardware, such as 19 for `vmx-19`. CBT needs 7 or newer."),
		"template":             flag("Whether the virtual machine is a template."),
		"snapshots":            texts("Names of the snapshots; each parent comes before its children."),
		"consolidation_needed": flag("Whether the disks need consolidation: a snapshot was removed, but its changes were not merged."),
		"blockers":             texts("Reasons why CBT cannot be enabled now, each with what to do. Empty if CBT works or can be enabled."),
		"disks": schema.ListNestedAttribute{
			MarkdownDescription: "Disks of the virtual machine, each with its CBT state.",
			Computed:            true,
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"key":            number(descriptionDiskKey),
				"label":          text(descriptionDiskLabel),
				"file":           text(descriptionDiskFile),
				"capacity_bytes": number(descriptionDiskCapacity),
				"mode":           text("Disk mode, such as `persistent` or `independent_persistent`; null if this kind of disk has none."),
				"trackable":      flag(descriptionDiskTrackable),
				"tracked":        flag("Whether CBT works on the disk: it is enabled, and the disk has a change ID."),
				"change_id":      text("Change ID, `<epoch>/<sequence>`; null if the disk has none. It changes with every snapshot."),
				"epoch":          text("Epoch of the change ID, which changes when CBT is reset; null if the disk has no change ID."),
				"reason":         text("Why the disk is not tracked; null if it is tracked."),
			}},
		},
	}
}

func newStatusModel(status *cbt.Status, blockers []string) statusModel {
	vm := status.VM
	m := statusModel{
		Enabled:             types.BoolValue(status.Enabled()),
		Initialized:         types.BoolValue(status.Initialized()),
		Supported:           types.BoolValue(status.Supported()),
		PowerState:          types.StringValue(vm.PowerState),
		ConnectionState:     types.StringValue(vm.ConnectionState),
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
	if blocker := status.ConnectionBlocker(); blocker != "" && !slices.Contains(blockers, blocker) {
		blockers = append(blockers, blocker)
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
