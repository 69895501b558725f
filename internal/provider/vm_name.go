package provider

import (
	"cmp"
	"context"
	"encoding/json"
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

// The attributes that name a VM; one is in the configuration, or all of them.
const (
	attributePath = "vm_path"
	attributeUUID = "vm_uuid"
	attributeMoid = "vm_moid"
)

const (
	descriptionInputPath = "Inventory path of the virtual machine, absolute, as vCenter escapes it: `/DC0/vm/prod/web01`. Exactly one of `vm_path`, `vm_uuid` and `vm_moid` is given."
	descriptionPath      = descriptionInputPath + " The others are computed."
	descriptionUUID      = "BIOS UUID of the virtual machine, what `vsphere_virtual_machine` has as `uuid`."
	descriptionMoid      = "Managed object ID of the virtual machine, what `vsphere_virtual_machine` has as `moid`: `vm-123`."
	descriptionID        = "Instance UUID of the virtual machine, which vCenter keeps unique and which stays when it is renamed, moved or registered anew."
	descriptionName      = "Name of the virtual machine."
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

// oneOrAllNames wants one name, or all three: that is how Terraform generates
// configuration for an import, and the plan sees to it that they agree.
type oneOrAllNames struct{ resource.ConfigValidator }

func validNames() resource.ConfigValidator {
	return oneOrAllNames{resourcevalidator.ExactlyOneOf(namePaths()...)}
}

// ValidateResource implements resource.ConfigValidator.
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
		resp.Diagnostics.AddError(d.Summary(), d.Detail()+" Keep one of them. (All three together are accepted as well, as Terraform generates them for an import.)")
	}
}

// givenName is a name of the VM in the configuration.
type givenName struct {
	vsphere.Name
	at path.Path
}

func (n givenName) attribute() string { return n.at.String() }

// privateNames is the key of private state that holds the names in the
// configuration that was applied last, by attribute.
const privateNames = "names"

func rememberNames(ctx context.Context, to private, config vmNames) diag.Diagnostics {
	names := map[string]string{}
	for _, name := range config.given() {
		names[name.attribute()] = name.String()
	}
	encoded, err := json.Marshal(names)
	if err != nil {
		return diag.Diagnostics{diag.NewErrorDiagnostic("Unable to Save the Names of the Virtual Machine", err.Error())}
	}
	return to.SetKey(ctx, privateNames, encoded)
}

// recallNames are nil where nothing was applied, as after an import.
func recallNames(ctx context.Context, from private) map[string]string {
	var names map[string]string
	if encoded, _ := from.GetKey(ctx, privateNames); len(encoded) > 0 && json.Unmarshal(encoded, &names) != nil {
		return nil
	}
	return names
}

// given are the names that are set and known, in a configuration.
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

// strays are the given names that are not that VM's, as far as one can tell
// without asking.
func (m vmNames) strays(vm *vsphere.VM) []givenName {
	return slices.DeleteFunc(m.given(), func(n givenName) bool {
		return n.Path == vm.Path || (n.UUID != "" && strings.EqualFold(n.UUID, vm.UUID)) || (n.Moid != "" && n.Moid == vm.Moid)
	})
}

// contradictions says which names are not those of the VM that the first one
// found.
func (m vmNames) contradictions(vm *vsphere.VM) diag.Diagnostics {
	var diags diag.Diagnostics
	given := m.given()
	if len(given) < 2 {
		return nil
	}
	for _, stray := range m.strays(vm) {
		if !stray.at.Equal(given[0].at) {
			diags.Append(invalid(stray.at, "The virtual machine %s is not the one that %s names, %s. Keep one of vm_path, vm_uuid and vm_moid.",
				stray, given[0].attribute(), given[0]))
		}
	}
	return diags
}

// name is the name that is set, and the attribute that holds it; ok is false
// where it is not known yet.
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
