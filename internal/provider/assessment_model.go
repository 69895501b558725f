package provider

import (
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/report"
)

// assessedVMModel is one VM of an assessment.
type assessedVMModel struct {
	vmNames
	PowerState      types.String        `tfsdk:"power_state"`
	ConnectionState types.String        `tfsdk:"connection_state"`
	Ready           types.Bool          `tfsdk:"ready"`
	Findings        []findingModel      `tfsdk:"findings"`
	GuestID         types.String        `tfsdk:"guest_id"`
	GuestName       types.String        `tfsdk:"guest_name"`
	Firmware        types.String        `tfsdk:"firmware"`
	SecureBoot      types.Bool          `tfsdk:"secure_boot"`
	VTPM            types.Bool          `tfsdk:"vtpm"`
	Encrypted       types.Bool          `tfsdk:"encrypted"`
	CPUs            types.Int64         `tfsdk:"cpus"`
	MemoryBytes     types.Int64         `tfsdk:"memory_bytes"`
	ToolsRunning    types.Bool          `tfsdk:"tools_running"`
	Host            types.String        `tfsdk:"host"`
	Datastores      []types.String      `tfsdk:"datastores"`
	NICs            []nicModel          `tfsdk:"nics"`
	Disks           []assessedDiskModel `tfsdk:"disks"`
}

type findingModel struct {
	Severity types.String `tfsdk:"severity"`
	Code     types.String `tfsdk:"code"`
	Text     types.String `tfsdk:"text"`
	Cure     types.String `tfsdk:"cure"`
}

type nicModel struct {
	Key       types.Int64  `tfsdk:"key"`
	Label     types.String `tfsdk:"label"`
	MAC       types.String `tfsdk:"mac"`
	Network   types.String `tfsdk:"network"`
	Connected types.Bool   `tfsdk:"connected"`
}

type assessedDiskModel struct {
	Key           types.Int64  `tfsdk:"key"`
	Label         types.String `tfsdk:"label"`
	File          types.String `tfsdk:"file"`
	CapacityBytes types.Int64  `tfsdk:"capacity_bytes"`
	UsedBytes     types.Int64  `tfsdk:"used_bytes"`
	Trackable     types.Bool   `tfsdk:"trackable"`
	Reason        types.String `tfsdk:"reason"`
}

type summaryModel struct {
	Total         types.Int64            `tfsdk:"total"`
	Ready         types.Int64            `tfsdk:"ready"`
	LeftOut       types.Int64            `tfsdk:"left_out"`
	CapacityBytes types.Int64            `tfsdk:"capacity_bytes"`
	UsedBytes     types.Int64            `tfsdk:"used_bytes"`
	Findings      map[string]types.Int64 `tfsdk:"findings"`
}

func summaryAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "Totals of the assessment.",
		Computed:            true,
		Attributes: map[string]schema.Attribute{
			"total":          computedNumber("Number of virtual machines in `vms`."),
			"ready":          computedNumber("Number of virtual machines that are ready."),
			"left_out":       computedNumber("Number of virtual machines that are left out: agents of vSphere Cluster Services, and those that are still being created."),
			"capacity_bytes": computedNumber("Capacity of all disks in bytes."),
			"used_bytes":     computedNumber("Used bytes of all disks where they are known."),
			"findings":       schema.MapAttribute{MarkdownDescription: "Number of virtual machines by code of a finding.", Computed: true, ElementType: types.Int64Type},
		},
	}
}

func assessedVMAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"id":               computedText(descriptionID + " Null, as everything that comes from the configuration, if vCenter has none of the virtual machine."),
		"vm_name":          computedText(descriptionName),
		attributePath:      computedText("Inventory path of the virtual machine."),
		attributeUUID:      computedText(descriptionUUID),
		attributeMoid:      computedText(descriptionMoid),
		"power_state":      computedText(descriptionPowerState),
		"connection_state": computedText(descriptionConnectionState),
		"ready":            computedFlag("Whether CBT would work and every disk can be copied: no finding is an error."),
		"findings": schema.ListNestedAttribute{
			MarkdownDescription: "What a migration should know of the virtual machine, errors first.",
			Computed:            true,
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"severity": computedText("`error` if it prevents CBT or the copy of a disk, `warning` if it may surprise, or `info`."),
				"code":     computedText("Code of the finding, such as `existing_snapshots`. Codes do not change; the guide on assessments lists them."),
				"text":     computedText("What was found. An error also says what to do, as the `blockers` of `vma_cbt_status` do: what blocks CBT has the same text there."),
				"cure":     computedText("What to do about it."),
			}},
		},
		"guest_id":      computedText("ID of the configured guest OS, such as `rhel9_64Guest`."),
		"guest_name":    computedText("Name of the configured guest OS."),
		"firmware":      computedText("Firmware: `bios` or `efi`."),
		"secure_boot":   computedFlag("Whether the virtual machine boots with Secure Boot."),
		"vtpm":          computedFlag("Whether the virtual machine has a virtual TPM, whose content is not copied."),
		"encrypted":     computedFlag("Whether the virtual machine is encrypted."),
		"cpus":          computedNumber("Number of virtual CPUs."),
		"memory_bytes":  computedNumber("Memory in bytes."),
		"tools_running": computedFlag("Whether VMware Tools run in the guest; a cutover needs them to shut it down."),
		"host":          computedText("Name of the host; null if the account may not read it."),
		"datastores":    schema.ListAttribute{MarkdownDescription: "Names of the datastores, sorted.", Computed: true, ElementType: types.StringType},
		"nics": schema.ListNestedAttribute{
			MarkdownDescription: "Network cards of the virtual machine, for `network_mappings`.",
			Computed:            true,
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"key":       computedNumber("Device key, unique in the virtual machine, such as 4000."),
				"label":     computedText("Label, such as `Network adapter 1`."),
				"mac":       computedText("MAC address in lower case."),
				"network":   computedText("Name of the network; null if it is not known."),
				"connected": computedFlag("Whether the card is connected, or will be when the virtual machine starts."),
			}},
		},
		"disks": schema.ListNestedAttribute{
			MarkdownDescription: "Disks of the virtual machine.",
			Computed:            true,
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"key":            computedNumber(descriptionDiskKey),
				"label":          computedText(descriptionDiskLabel),
				"file":           computedText(descriptionDiskFile),
				"capacity_bytes": computedNumber(descriptionDiskCapacity),
				"used_bytes":     computedNumber("Bytes that the disk takes on its datastores, snapshots included; null if they are not known, as for a raw device. A first copy reads about as much."),
				"trackable":      computedFlag(descriptionDiskTrackable),
				"reason":         computedText("Why the disk cannot be tracked; null if it can."),
			}},
		},
	}
}

func newAssessedVMs(assessments []cbt.Assessment) []assessedVMModel {
	models := []assessedVMModel{}
	for _, assessment := range assessments {
		models = append(models, newAssessedVM(assessment))
	}
	return models
}

func newAssessedVM(assessment cbt.Assessment) assessedVMModel {
	vm := assessment.VM
	m := assessedVMModel{
		vmNames: vmNames{
			ID: optional(vm.Identity()), VMName: types.StringValue(vm.Name), VMPath: types.StringValue(vm.Path),
			VMUUID: optional(vm.UUID), VMMoid: types.StringValue(vm.Moid),
		},
		PowerState:      types.StringValue(vm.PowerState),
		ConnectionState: types.StringValue(vm.ConnectionState),
		Ready:           types.BoolValue(assessment.Ready()),
		Findings:        []findingModel{},
		GuestID:         optional(vm.Details.GuestID),
		GuestName:       optional(vm.Details.GuestName),
		Firmware:        types.StringValue(firmware(vm.EFI)),
		SecureBoot:      types.BoolValue(vm.Details.SecureBoot),
		VTPM:            types.BoolValue(vm.Details.VTPM),
		Encrypted:       types.BoolValue(vm.Encrypted),
		CPUs:            types.Int64Value(int64(vm.CPUs)),
		MemoryBytes:     types.Int64Value(int64(vm.MemoryMB) << 20),
		ToolsRunning:    types.BoolValue(vm.ToolsRunning),
		Host:            optional(vm.Details.Host),
		Datastores:      []types.String{},
		NICs:            []nicModel{},
		Disks:           []assessedDiskModel{},
	}
	if !vm.Details.Configured {
		m.Firmware, m.SecureBoot, m.VTPM, m.Encrypted = types.StringNull(), types.BoolNull(), types.BoolNull(), types.BoolNull()
		m.CPUs, m.MemoryBytes, m.ToolsRunning = types.Int64Null(), types.Int64Null(), types.BoolNull()
	}
	for _, f := range assessment.Findings {
		m.Findings = append(m.Findings, findingModel{
			Severity: types.StringValue(string(f.Severity)), Code: types.StringValue(f.Code), Text: types.StringValue(f.Text()), Cure: types.StringValue(f.Cure),
		})
	}
	for _, datastore := range vm.Details.Datastores {
		m.Datastores = append(m.Datastores, types.StringValue(datastore))
	}
	for _, card := range vm.Cards {
		m.NICs = append(m.NICs, nicModel{
			Key: types.Int64Value(int64(card.Key)), Label: types.StringValue(card.Label), MAC: types.StringValue(card.MAC),
			Network: optional(card.Network), Connected: types.BoolValue(card.Connected),
		})
	}
	for _, d := range assessment.Disks {
		m.Disks = append(m.Disks, newAssessedDisk(d, vm.Details.Used))
	}
	return m
}

func newAssessedDisk(d cbt.DiskStatus, used map[int32]int64) assessedDiskModel {
	m := assessedDiskModel{
		Key: types.Int64Value(int64(d.Key)), Label: types.StringValue(d.Label), File: optional(d.File),
		CapacityBytes: types.Int64Value(d.Capacity), Trackable: types.BoolValue(d.Trackable),
	}
	if bytes, ok := used[d.Key]; ok {
		m.UsedBytes = types.Int64Value(bytes)
	}
	if !d.Trackable {
		m.Reason = types.StringValue(d.Reason)
	}
	return m
}

func firmware(efi bool) string {
	if efi {
		return "efi"
	}
	return "bios"
}

func newSummary(s report.Summary) *summaryModel {
	m := &summaryModel{
		Total: types.Int64Value(int64(s.Total)), Ready: types.Int64Value(int64(s.Ready)), LeftOut: types.Int64Value(int64(s.LeftOut)),
		CapacityBytes: types.Int64Value(s.Capacity), UsedBytes: types.Int64Value(s.Used), Findings: map[string]types.Int64{},
	}
	for code, n := range s.Findings {
		m.Findings[code] = types.Int64Value(int64(n))
	}
	return m
}
