package provider

import (
	"context"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/resourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// The attributes that name a VM. A configuration sets one of them, or all.
const (
	attributePath = "vm_path"
	attributeUUID = "vm_uuid"
	attributeMoid = "vm_moid"
)

const (
	descriptionInputPath = "Absolute inventory path of the virtual machine, escaped as vCenter does, such as `/DC0/vm/prod/web01`. Set exactly one of `vm_path`, `vm_uuid` and `vm_moid`."
	descriptionPath      = descriptionInputPath + " The others are computed."
	descriptionUUID      = "BIOS UUID of the virtual machine: the attribute `uuid` of `vsphere_virtual_machine`."
	descriptionMoid      = "Managed object ID of the virtual machine, such as `vm-123`: the attribute `moid` of `vsphere_virtual_machine`."
	descriptionID        = "Instance UUID of the virtual machine. It is unique in vCenter and stays the same when the virtual machine is renamed, moved or registered again."
	descriptionName      = "Name of the virtual machine."
)

// vmNames has the attributes that identify a VM. The models of resources and of vma_cbt_status embed it.
type vmNames struct {
	ID     types.String `tfsdk:"id"`
	VMName types.String `tfsdk:"vm_name"`
	VMPath types.String `tfsdk:"vm_path"`
	VMUUID types.String `tfsdk:"vm_uuid"`
	VMMoid types.String `tfsdk:"vm_moid"`
}

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

// oneOrAllNames accepts one name, or all three as generated for an import. The plan checks that they agree.
type oneOrAllNames struct{ resource.ConfigValidator }

func validNames() resource.ConfigValidator {
	return oneOrAllNames{resourcevalidator.ExactlyOneOf(namePaths()...)}
}

func (v oneOrAllNames) ValidateResource(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	for _, attribute := range []string{attributePath, attributeUUID, attributeMoid} {
		var value types.String
		resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root(attribute), &value)...)
		if value.IsNull() {
			v.validateOne(ctx, req, resp)
			return
		}
	}
}

func (v oneOrAllNames) validateOne(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	judged := resource.ValidateConfigResponse{}
	v.ConfigValidator.ValidateResource(ctx, req, &judged)
	for _, d := range judged.Diagnostics {
		resp.Diagnostics.AddError(d.Summary(), d.Detail()+" Keep one of them. All three together are also accepted, because Terraform generates them for an import.")
	}
}

// givenName is a name of the VM in the configuration.
type givenName struct {
	vsphere.Name
	at path.Path
}

func (n givenName) attribute() string { return n.at.String() }

// given returns the names that are set and known.
func (m vmNames) given() []givenName {
	var given []givenName
	add := func(value types.String, name vsphere.Name, attribute string) {
		if !value.IsNull() && !value.IsUnknown() {
			given = append(given, givenName{name, path.Root(attribute)})
		}
	}
	add(m.VMPath, vsphere.Name{Path: m.VMPath.ValueString()}, attributePath)
	add(m.VMUUID, vsphere.Name{UUID: strings.ToLower(m.VMUUID.ValueString())}, attributeUUID)
	add(m.VMMoid, vsphere.Name{Moid: m.VMMoid.ValueString()}, attributeMoid)
	return given
}

// mismatches returns the given names that do not match the VM, without a call to vCenter.
func (m vmNames) mismatches(vm *vsphere.VM) []givenName {
	return slices.DeleteFunc(m.given(), func(n givenName) bool {
		return (n.Path != "" && vsphere.CanonicalPath(n.Path) == vm.Path) || (n.UUID != "" && strings.EqualFold(n.UUID, vm.UUID)) || (n.Moid != "" && n.Moid == vm.Moid)
	})
}

// validateAgainst reports the names that do not match the VM found by the first name.
func (m vmNames) validateAgainst(vm *vsphere.VM) diag.Diagnostics {
	var diags diag.Diagnostics
	given := m.given()
	if len(given) < 2 {
		return nil
	}
	for _, mismatch := range m.mismatches(vm) {
		if !mismatch.at.Equal(given[0].at) {
			diags.Append(newVMProblem(invalid(mismatch.at, "The virtual machine %s is not the one that %s refers to (%s). Keep one of vm_path, vm_uuid and vm_moid.",
				mismatch, given[0].attribute(), given[0])))
		}
	}
	return diags
}

// name returns the first name that is set, and its attribute. ok is false if it is not known yet.
func (m vmNames) name() (name vsphere.Name, at path.Path, ok bool) {
	if given := m.given(); len(given) > 0 {
		return given[0].Name, given[0].at, true
	}
	switch {
	case m.VMPath.IsUnknown():
		return vsphere.Name{}, path.Root(attributePath), false
	case m.VMUUID.IsUnknown():
		return vsphere.Name{}, path.Root(attributeUUID), false
	}
	return vsphere.Name{}, path.Root(attributeMoid), false
}

// sameNames reports whether the configuration names the VM as the state does.
func (m vmNames) sameNames(state vmNames) bool {
	same := func(config, state types.String) bool { return config.IsNull() || config.Equal(state) }
	return same(m.VMPath, state.VMPath) && same(m.VMUUID, state.VMUUID) && same(m.VMMoid, state.VMMoid)
}

// at returns the attribute that names the VM in the configuration.
func (m vmNames) at() path.Path {
	_, at, _ := m.name()
	return at
}

func (m *vmNames) fill(vm *vsphere.VM) {
	m.ID = types.StringValue(vm.Identity())
	m.VMName = types.StringValue(vm.Name)
	m.VMPath = types.StringValue(vm.Path)
	m.VMUUID = types.StringValue(vm.UUID)
	m.VMMoid = types.StringValue(vm.Moid)
}

// fillUnknown sets only what the plan left open, because Terraform requires the planned values.
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

// refresh is fill, but it keeps the practitioner's spelling of path and UUID.
func (m *vmNames) refresh(vm *vsphere.VM) {
	path, uuid := m.VMPath, m.VMUUID
	m.fill(vm)
	if strings.EqualFold(uuid.ValueString(), vm.UUID) && !uuid.IsNull() {
		m.VMUUID = uuid
	}
	if vsphere.CanonicalPath(path.ValueString()) == vm.Path {
		m.VMPath = path
	}
}
