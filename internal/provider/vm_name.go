package provider

import (
	"cmp"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// The attributes that name a VM; exactly one is in the configuration.
const (
	attributePath = "vm_path"
	attributeUUID = "vm_uuid"
	attributeMoid = "vm_moid"
)

const (
	descriptionPath = "Inventory path of the virtual machine, absolute, as vCenter escapes it: `/DC0/vm/prod/web01`. Exactly one of `vm_path`, `vm_uuid` and `vm_moid` is given, the others are computed."
	descriptionUUID = "BIOS UUID of the virtual machine, what `vsphere_virtual_machine` has as `uuid`."
	descriptionMoid = "Managed object ID of the virtual machine, what `vsphere_virtual_machine` has as `moid`: `vm-123`."
	descriptionID   = "Instance UUID of the virtual machine, which vCenter keeps unique and which stays when it is renamed, moved or registered anew."
	descriptionName = "Name of the virtual machine."
)

// vmNames is how models name a VM. It is embedded in each.
type vmNames struct {
	ID     types.String `tfsdk:"id"`
	VMName types.String `tfsdk:"vm_name"`
	VMPath types.String `tfsdk:"vm_path"`
	VMUUID types.String `tfsdk:"vm_uuid"`
	VMMoid types.String `tfsdk:"vm_moid"`
}

// nameAttributes are the attributes of vmNames in a resource.
func nameAttributes() map[string]schema.Attribute {
	keep := []planmodifier.String{stringplanmodifier.UseStateForUnknown()}
	return map[string]schema.Attribute{
		"id":      schema.StringAttribute{MarkdownDescription: descriptionID, Computed: true, PlanModifiers: keep},
		"vm_name": schema.StringAttribute{MarkdownDescription: descriptionName, Computed: true, PlanModifiers: keep},
		attributePath: schema.StringAttribute{
			MarkdownDescription: descriptionPath, Optional: true, Computed: true, PlanModifiers: keep,
			Validators: []validator.String{validInventoryPath()},
		},
		attributeUUID: schema.StringAttribute{
			MarkdownDescription: descriptionUUID, Optional: true, Computed: true, PlanModifiers: keep,
			Validators: []validator.String{validUUID()},
		},
		attributeMoid: schema.StringAttribute{
			MarkdownDescription: descriptionMoid, Optional: true, Computed: true, PlanModifiers: keep,
			Validators: []validator.String{validMoid()},
		},
	}
}

func namePaths() []path.Expression {
	return []path.Expression{
		path.MatchRoot(attributePath), path.MatchRoot(attributeUUID), path.MatchRoot(attributeMoid),
	}
}

// name is the name that is set, and the attribute that holds it; ok is false
// where it is not known yet. Called with what is in the configuration, in which
// exactly one is set.
func (m vmNames) name() (name vsphere.Name, at path.Path, ok bool) {
	switch {
	case !m.VMPath.IsNull():
		return vsphere.Name{Path: m.VMPath.ValueString()}, path.Root(attributePath), !m.VMPath.IsUnknown()
	case !m.VMUUID.IsNull():
		return vsphere.Name{UUID: strings.ToLower(m.VMUUID.ValueString())}, path.Root(attributeUUID), !m.VMUUID.IsUnknown()
	}
	return vsphere.Name{Moid: m.VMMoid.ValueString()}, path.Root(attributeMoid), !m.VMMoid.IsNull() && !m.VMMoid.IsUnknown()
}

// settled says that the configuration names the VM as the state does.
func (m vmNames) settled(state vmNames) bool {
	same := func(config, state types.String) bool { return config.IsNull() || config.Equal(state) }
	return same(m.VMPath, state.VMPath) && same(m.VMUUID, state.VMUUID) && same(m.VMMoid, state.VMMoid)
}

// at is the attribute that the configuration names the VM with.
func (m vmNames) at() path.Path {
	_, at, _ := m.name()
	return at
}

// fill takes all names from the VM.
func (m *vmNames) fill(vm *vsphere.VM) {
	m.ID = types.StringValue(vmID(vm))
	m.VMName = types.StringValue(vm.Name)
	m.VMPath = types.StringValue(vm.Path)
	m.VMUUID = types.StringValue(vm.UUID)
	m.VMMoid = types.StringValue(vm.Moid)
}

// fillUnknown takes from the VM what the plan left open; what was planned stays,
// since Terraform insists on it.
func (m *vmNames) fillUnknown(vm *vsphere.VM) {
	var all vmNames
	all.fill(vm)
	set := func(to *types.String, from types.String) {
		if to.IsUnknown() || to.IsNull() {
			*to = from
		}
	}
	set(&m.ID, all.ID)
	set(&m.VMName, all.VMName)
	set(&m.VMPath, all.VMPath)
	set(&m.VMUUID, all.VMUUID)
	set(&m.VMMoid, all.VMMoid)
}

// refresh is fill, but it keeps the practitioner's spelling of a UUID.
func (m *vmNames) refresh(vm *vsphere.VM) {
	spelled := m.VMUUID
	m.fill(vm)
	if strings.EqualFold(spelled.ValueString(), vm.UUID) && !spelled.IsNull() {
		m.VMUUID = spelled
	}
}

// vmID is the instance UUID; a host without vCenter may know the BIOS UUID only.
func vmID(vm *vsphere.VM) string { return cmp.Or(vm.InstanceUUID, vm.UUID) }
