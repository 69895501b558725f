// Package provider is the only package that knows Terraform: schemas, models,
// plans, state and diagnostics. What is done to vCenter and to migratekit is
// decided below it.
package provider

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

var (
	_ provider.ProviderWithFunctions     = (*Provider)(nil)
	_ provider.ProviderWithActions       = (*Provider)(nil)
	_ provider.ProviderWithListResources = (*Provider)(nil)
)

// Provider is one provider process.
type Provider struct {
	version string

	mu      sync.Mutex
	clients []*vsphere.Client
	servers []*server
}

// New makes a provider. The caller must Close it when Terraform is done.
func New(version string) *Provider { return &Provider{version: version} }

// Close logs out of every vCenter that was logged in to.
func (p *Provider) Close(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, client := range p.clients {
		errs = append(errs, client.Close(ctx))
	}
	return errors.Join(errs...)
}

type providerModel struct {
	VCenter               types.String `tfsdk:"vcenter"`
	Username              types.String `tfsdk:"username"`
	Password              types.String `tfsdk:"password"`
	Insecure              types.Bool   `tfsdk:"insecure"`
	CAFile                types.String `tfsdk:"ca_file"`
	Thumbprint            types.String `tfsdk:"thumbprint"`
	AutoCBT               types.Bool   `tfsdk:"auto_cbt"`
	MigratekitPath        types.String `tfsdk:"migratekit_path"`
	MigratekitEnvironment types.Map    `tfsdk:"migratekit_environment"`
	LogDirectory          types.String `tfsdk:"log_directory"`
}

// Metadata implements provider.Provider.
func (p *Provider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "vma"
	resp.Version = p.version
}

// Schema implements provider.Provider.
func (p *Provider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Moves virtual machines off VMware with migratekit, behind a gate: a disk is copied only where " +
			"changed block tracking (CBT) works, so that the first copy is full and the next ones are incremental.\n\n" +
			"Nothing is dialled until a resource or data source needs vCenter. There is one login for each provider process, " +
			"and a logout at its end.",
		Attributes: map[string]schema.Attribute{
			"vcenter": schema.StringAttribute{
				MarkdownDescription: "vCenter (or one ESXi host): a host, a `host:port` or a URL. Environment: `VSPHERE_SERVER`.",
				Optional:            true,
				Validators:          []validator.String{validServer()},
			},
			"username": schema.StringAttribute{
				MarkdownDescription: "User to log in to vCenter with; a dedicated account is advised, since migratekit gets it on its command line. Environment: `VSPHERE_USER`.",
				Optional:            true,
			},
			"password": schema.StringAttribute{
				MarkdownDescription: "Password of that user. It is written nowhere, but migratekit takes it on its command line only, where other users of the same machine can see it. Environment: `VSPHERE_PASSWORD`.",
				Optional:            true,
				Sensitive:           true,
			},
			"insecure": schema.BoolAttribute{
				MarkdownDescription: "Whether to accept any certificate; `thumbprint` and `ca_file` are the safer ways. Default `false`. Environment: `VSPHERE_ALLOW_UNVERIFIED_SSL`.",
				Optional:            true,
			},
			"ca_file": schema.StringAttribute{
				MarkdownDescription: "PEM files with the certificates to trust in place of the system's, separated as in `PATH`. Environment: `VSPHERE_CA_FILE`.",
				Optional:            true,
			},
			"thumbprint": schema.StringAttribute{
				MarkdownDescription: "SHA-256 fingerprint of the only certificate to accept, in hex, with or without colons. Environment: `VSPHERE_THUMBPRINT`.",
				Optional:            true,
				Validators:          []validator.String{validThumbprint()},
			},
			"auto_cbt": schema.BoolAttribute{
				MarkdownDescription: "Whether a replication switches change tracking on where it is off. Default `true`. Environment: `VMA_AUTO_CBT`.",
				Optional:            true,
			},
			"migratekit_path": schema.StringAttribute{
				MarkdownDescription: "The migratekit to run, where it is not the one in `PATH`. Environment: `VMA_MIGRATEKIT_PATH`.",
				Optional:            true,
			},
			"migratekit_environment": schema.MapAttribute{
				MarkdownDescription: "Variables to add to migratekit's environment, such as `OS_AUTH_URL` and the other `OS_*`. Never in state.",
				Optional:            true,
				Sensitive:           true,
				ElementType:         types.StringType,
			},
			"log_directory": schema.StringAttribute{
				MarkdownDescription: "Where migratekit's logs go, one file a cycle with mode 0600. Default `vma` inside `TF_DATA_DIR` (`.terraform`). Environment: `VMA_LOG_DIRECTORY`.",
				Optional:            true,
			},
		},
	}
}

// Configure implements provider.Provider. It dials nothing.
func (p *Provider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var config providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	configured := newServices(ctx, config, p.version, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	if configured.vcenter != nil {
		p.mu.Lock()
		p.clients = append(p.clients, configured.vcenter)
		p.mu.Unlock()
	}
	resp.ResourceData = configured
	resp.DataSourceData = configured
	resp.ActionData = configured
	resp.ListResourceData = configured
}

// Resources implements provider.Provider.
func (p *Provider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{NewCBTResource, NewReplicationResource}
}

// DataSources implements provider.Provider.
func (p *Provider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{NewCBTStatusDataSource, NewCBTStatusesDataSource}
}

// Functions implements provider.ProviderWithFunctions.
func (p *Provider) Functions(context.Context) []func() function.Function {
	return []func() function.Function{NewParseChangeIDFunction, NewNextCycleFunction}
}

// Actions implements provider.ProviderWithActions.
func (p *Provider) Actions(context.Context) []func() action.Action {
	return []func() action.Action{NewCBTResetAction}
}

// ListResources implements provider.ProviderWithListResources.
func (p *Provider) ListResources(context.Context) []func() list.ListResource {
	return []func() list.ListResource{NewCBTListResource}
}
