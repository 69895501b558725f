package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

var _ datasource.DataSourceWithConfigure = (*cbtStatusesDataSource)(nil)

// NewCBTStatusesDataSource returns the data source vma_cbt_statuses.
func NewCBTStatusesDataSource() datasource.DataSource { return &cbtStatusesDataSource{} }

type cbtStatusesDataSource struct{ data *providerData }

type cbtStatusesModel struct {
	inventoryFilter
	VMs      []statusModel  `tfsdk:"vms"`
	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

func (d *cbtStatusesDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cbt_statuses"
}

func (d *cbtStatusesDataSource) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Reads the changed block tracking (CBT) state of many virtual machines at once, for reports and for `for_each`. The number of vCenter calls hardly grows with the number of virtual machines. It changes nothing.",
		Attributes: map[string]schema.Attribute{
			"folder": schema.StringAttribute{
				MarkdownDescription: descriptionFolder,
				Optional:            true, Validators: []validator.String{validFolder()},
			},
			"name": schema.StringAttribute{
				MarkdownDescription: descriptionGlob,
				Optional:            true, Validators: []validator.String{validGlob()},
			},
			"enabled": schema.BoolAttribute{
				MarkdownDescription: descriptionEnabled,
				Optional:            true,
			},
			"vms": schema.ListNestedAttribute{
				MarkdownDescription: "The virtual machines and templates, sorted by path.",
				Computed:            true,
				NestedObject:        schema.NestedAttributeObject{Attributes: statusAttributes()},
			},
			"timeouts": describedReadTimeout(ctx),
		},
	}
}

func (d *cbtStatusesDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.data = toProviderData(req.ProviderData, &resp.Diagnostics)
}

func (d *cbtStatusesDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var config cbtStatusesModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if !d.data.known {
		resp.Diagnostics.Append(unknownProvider(path.Root("folder")))
		return
	}
	timeout, diags := config.Timeouts.Read(ctx, readTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	chosen, diags := config.read(ctx, d.data)
	if resp.Diagnostics.Append(diags...); resp.Diagnostics.HasError() {
		return
	}
	blockers := d.data.manager.AllBlockers(ctx, chosen, false)
	config.VMs = []statusModel{}
	for _, status := range chosen {
		config.VMs = append(config.VMs, newStatusModel(status, blockers[status.VM.Moid]))
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, config)...)
}
