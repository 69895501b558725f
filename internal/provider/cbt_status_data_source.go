package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/datasourcevalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var (
	_ datasource.DataSourceWithConfigure        = (*cbtStatusDataSource)(nil)
	_ datasource.DataSourceWithConfigValidators = (*cbtStatusDataSource)(nil)
)

// NewCBTStatusDataSource returns the data source vma_cbt_status.
func NewCBTStatusDataSource() datasource.DataSource { return &cbtStatusDataSource{} }

type cbtStatusDataSource struct{ data *providerData }

type cbtStatusModel struct {
	statusModel
	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

func (d *cbtStatusDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cbt_status"
}

func (d *cbtStatusDataSource) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	attributes := statusAttributes()
	attributes[attributePath] = schema.StringAttribute{
		MarkdownDescription: descriptionPath, Optional: true, Computed: true, Validators: []validator.String{validInventoryPath()},
	}
	attributes[attributeUUID] = schema.StringAttribute{
		MarkdownDescription: descriptionUUID, Optional: true, Computed: true, Validators: []validator.String{validUUID()},
	}
	attributes[attributeMoid] = schema.StringAttribute{
		MarkdownDescription: descriptionMoid, Optional: true, Computed: true, Validators: []validator.String{validMoid()},
	}
	attributes["timeouts"] = describedReadTimeout(ctx)
	resp.Schema = schema.Schema{
		MarkdownDescription: "Reads the changed block tracking (CBT) state of one virtual machine: whether CBT is enabled, whether it works on each disk, and what blocks it. It changes nothing.",
		Attributes:          attributes,
	}
}

func (d *cbtStatusDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.data = toProviderData(req.ProviderData, &resp.Diagnostics)
}

func (d *cbtStatusDataSource) ConfigValidators(context.Context) []datasource.ConfigValidator {
	return []datasource.ConfigValidator{datasourcevalidator.ExactlyOneOf(namePaths()...)}
}

func (d *cbtStatusDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var config cbtStatusModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	name, at, _ := config.name()
	if !d.data.known {
		resp.Diagnostics.Append(unknownProvider(at))
		return
	}
	timeout, diags := config.Timeouts.Read(ctx, readTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, err := d.data.manager.ReadUncachedByName(ctx, name)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Change Tracking", at, err))
		return
	}
	spelled := config.VMUUID
	config.statusModel = newStatusModel(status, d.data.manager.Blockers(ctx, status, false))
	if !spelled.IsNull() && !spelled.IsUnknown() {
		config.VMUUID = types.StringValue(spelled.ValueString())
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, config)...)
}
