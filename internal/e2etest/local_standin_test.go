package e2etest

import (
	"context"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// localStandIn is the stand-in for the local provider, with the attributes of local_file that the examples use.
type localStandIn struct{}

func (localStandIn) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "local"
}

func (localStandIn) Schema(context.Context, provider.SchemaRequest, *provider.SchemaResponse) {}

func (localStandIn) Configure(context.Context, provider.ConfigureRequest, *provider.ConfigureResponse) {
}

func (localStandIn) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{func() resource.Resource { return standInFile{} }}
}

func (localStandIn) DataSources(context.Context) []func() datasource.DataSource { return nil }

type standInFile struct{}

type standInFileModel struct {
	Filename types.String `tfsdk:"filename"`
	Content  types.String `tfsdk:"content"`
}

func (standInFile) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_file"
}

func (standInFile) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{Attributes: map[string]schema.Attribute{
		"filename": schema.StringAttribute{Required: true},
		"content":  schema.StringAttribute{Required: true},
	}}
}

func (standInFile) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m standInFileModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	if err := os.WriteFile(m.Filename.ValueString(), []byte(m.Content.ValueString()), 0o600); err != nil {
		resp.Diagnostics.AddError("Unable to Write File", err.Error())
	}
	resp.State.Raw = req.Plan.Raw
}

func (standInFile) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {}

func (standInFile) Update(_ context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.State.Raw = req.Plan.Raw
}

func (standInFile) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}
