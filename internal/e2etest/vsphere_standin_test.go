package e2etest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	dataschema "github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// standIns are the stand-ins for other providers, by the name under which the test binary runs them.
var standIns = map[string]provider.Provider{
	"terraform-provider-vsphere": vsphereStandIn{},
	"terraform-provider-local":   localStandIn{},
}

// standInMoids is the environment variable with the managed object IDs by VM name, as JSON.
const standInMoids = "VMATEST_MOIDS"

func standsIn() bool { return standIns[filepath.Base(os.Args[0])] != nil }

func standIn() int {
	program := filepath.Base(os.Args[0])
	err := providerserver.Serve(context.Background(), func() provider.Provider { return standIns[program] }, providerserver.ServeOpts{
		Address: "example.org/hashicorp/" + strings.TrimPrefix(program, "terraform-provider-"),
	})
	if err != nil {
		return 1
	}
	return 0
}

func standInMoid(name string) types.String {
	moids := map[string]string{}
	_ = json.Unmarshal([]byte(os.Getenv(standInMoids)), &moids) // the test notices a missing one
	return types.StringValue(moids[name])
}

// vsphereStandIn is the stand-in for the vSphere provider, with the attributes of vsphere_virtual_machine that the examples use. The moid is known only
// after create.
type vsphereStandIn struct{}

func (vsphereStandIn) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "vsphere"
}

func (vsphereStandIn) Schema(context.Context, provider.SchemaRequest, *provider.SchemaResponse) {}

func (vsphereStandIn) Configure(context.Context, provider.ConfigureRequest, *provider.ConfigureResponse) {
}

func (vsphereStandIn) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{func() resource.Resource { return standInVM{} }}
}

func (vsphereStandIn) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{func() datasource.DataSource { return standInFound{} }}
}

type (
	standInVM    struct{}
	standInFound struct{}
)

type standInModel struct {
	Name           types.String `tfsdk:"name"`
	Folder         types.String `tfsdk:"folder"`
	ResourcePoolID types.String `tfsdk:"resource_pool_id"`
	NumCPUs        types.Int64  `tfsdk:"num_cpus"`
	Memory         types.Int64  `tfsdk:"memory"`
	Moid           types.String `tfsdk:"moid"`
}

type standInFoundModel struct {
	Name types.String `tfsdk:"name"`
	Moid types.String `tfsdk:"moid"`
}

func (standInVM) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_virtual_machine"
}

func (standInVM) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{Attributes: map[string]schema.Attribute{
		"name":             schema.StringAttribute{Required: true},
		"folder":           schema.StringAttribute{Optional: true},
		"resource_pool_id": schema.StringAttribute{Required: true},
		"num_cpus":         schema.Int64Attribute{Optional: true},
		"memory":           schema.Int64Attribute{Optional: true},
		"moid":             schema.StringAttribute{Computed: true, PlanModifiers: []planmodifier.String{stringplanmodifier.UseStateForUnknown()}},
	}}
}

func (standInVM) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m standInModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	m.Moid = standInMoid(m.Name.ValueString())
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func (standInVM) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {}

func (standInVM) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.State.Raw = req.Plan.Raw
}

func (standInVM) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

func (standInFound) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_virtual_machine"
}

func (standInFound) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = dataschema.Schema{Attributes: map[string]dataschema.Attribute{
		"name": dataschema.StringAttribute{Required: true},
		"moid": dataschema.StringAttribute{Computed: true},
	}}
}

func (standInFound) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m standInFoundModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	m.Moid = standInMoid(m.Name.ValueString())
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}
