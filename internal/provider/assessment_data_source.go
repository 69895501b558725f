package provider

import (
	"cmp"
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/report"
)

var _ datasource.DataSourceWithConfigure = (*assessmentDataSource)(nil)

// NewAssessmentDataSource returns the data source vma_assessment.
func NewAssessmentDataSource() datasource.DataSource { return &assessmentDataSource{} }

type assessmentDataSource struct{ data *providerData }

type assessmentModel struct {
	folderFilter
	VMs      []assessedVMModel `tfsdk:"vms"`
	Summary  *summaryModel     `tfsdk:"summary"`
	Markdown types.String      `tfsdk:"markdown"`
	HTML     types.String      `tfsdk:"html"`
	Timeouts timeouts.Value    `tfsdk:"timeouts"`
}

func (d *assessmentDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_assessment"
}

func (d *assessmentDataSource) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Assesses which virtual machines of a folder can be migrated, what prevents the others, and how much there is to copy. It changes nothing.",
		Attributes: map[string]schema.Attribute{
			"folder": schema.StringAttribute{
				MarkdownDescription: descriptionFolder,
				Optional:            true, Validators: []validator.String{validFolder()},
			},
			"name": schema.StringAttribute{
				MarkdownDescription: descriptionGlob,
				Optional:            true, Validators: []validator.String{validGlob()},
			},
			"vms": schema.ListNestedAttribute{
				MarkdownDescription: "The virtual machines and templates, sorted by path. Agents of vSphere Cluster Services and virtual machines that are still being created are left out.",
				Computed:            true,
				NestedObject:        schema.NestedAttributeObject{Attributes: assessedVMAttributes()},
			},
			"summary":  summaryAttribute(),
			"markdown": schema.StringAttribute{MarkdownDescription: "The assessment as a report in Markdown, for example for the job summary of a pipeline.", Computed: true},
			"html":     schema.StringAttribute{MarkdownDescription: "The assessment as a report in one HTML page, without scripts and without anything to load. Write it with `local_file`, not to an output.", Computed: true},
			"timeouts": describedReadTimeout(ctx),
		},
	}
}

func (d *assessmentDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.data = toProviderData(req.ProviderData, &resp.Diagnostics)
}

func (d *assessmentDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var config assessmentModel
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
	assessed, err := d.data.manager.Assess(ctx, config.Folder.ValueString(), cbt.AssessOptions{
		Match: config.matchesName, RemovesLeftovers: d.data.onLeftoverSnapshot == onLeftoverRemove,
	})
	if err != nil {
		resp.Diagnostics.Append(folderDiagnostic(config.Folder.ValueString(), err))
		return
	}
	resp.Diagnostics.Append(warnUnreadable(assessed.Unreadable)...)
	if assessed.Unchecked != nil {
		resp.Diagnostics.AddWarning("Privileges Not Checked",
			"vCenter did not say which privileges the account has, as a single ESXi host never does, so a virtual machine may be ready although a privilege is missing.\n\n"+assessed.Unchecked.Error())
	}
	page, err := report.HTML(assessed, config.scope())
	if err != nil {
		resp.Diagnostics.AddError("Unable to Write Report", sentence(err)+" This is a bug in the provider; please report it.")
		return
	}
	config.VMs = newAssessedVMs(assessed.VMs)
	config.Summary = newSummary(report.Summarize(assessed))
	config.Markdown, config.HTML = types.StringValue(report.Markdown(assessed, config.scope())), types.StringValue(page)
	resp.Diagnostics.Append(resp.State.Set(ctx, config)...)
}

// scope names what is assessed.
func (m folderFilter) scope() string {
	scope := cmp.Or(m.Folder.ValueString(), "the whole inventory")
	if name := m.Name.ValueString(); name != "" {
		scope += ", names like " + name
	}
	return scope
}
