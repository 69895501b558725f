// Package provider is the only package that knows Terraform: schemas, models, plans, state and diagnostics.
// The lower packages decide what is done in vCenter and with migratekit.
package provider

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

var (
	_ provider.ProviderWithFunctions     = (*Provider)(nil)
	_ provider.ProviderWithActions       = (*Provider)(nil)
	_ provider.ProviderWithListResources = (*Provider)(nil)
)

// Provider implements provider.Provider. It keeps the vCenter clients, so that Close can log them out.
type Provider struct {
	version string

	mu      sync.Mutex
	clients []*vsphere.Client
	servers []*server
	// redactors know the passwords of all configurations.
	redactors []*migratekit.Redactor
}

// New returns a provider. The caller must Close it when Terraform is done.
func New(version string) *Provider { return &Provider{version: version} }

// Close logs out of every vCenter.
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
	OnLeftoverSnapshot    types.String `tfsdk:"on_leftover_snapshot"`
	OnBlocked             types.String `tfsdk:"on_blocked"`
	Concurrency           types.Object `tfsdk:"concurrency"`
	MigratekitPath        types.String `tfsdk:"migratekit_path"`
	MigratekitEnvironment types.Map    `tfsdk:"migratekit_environment"`
	LogDirectory          types.String `tfsdk:"log_directory"`
	OpenStack             types.Object `tfsdk:"openstack"`
}

// Metadata implements provider.Provider.
func (p *Provider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "vma"
	resp.Version = p.version
}

// Schema implements provider.Provider.
func (p *Provider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Migrates virtual machines off VMware with migratekit, behind a gate: a disk is copied only if " +
			"changed block tracking (CBT) works, so the first copy is full and later copies are incremental.\n\n" +
			"The provider connects to vCenter only when a resource or data source needs it. Each provider process logs in once " +
			"and logs out at its end.",
		Attributes: map[string]schema.Attribute{
			"vcenter": schema.StringAttribute{
				MarkdownDescription: "Address of vCenter (or of one ESXi host): a host, a `host:port` or an `https` URL. Environment: `VSPHERE_SERVER`.",
				Optional:            true,
				Validators:          []validator.String{validServer()},
			},
			"username": schema.StringAttribute{
				MarkdownDescription: "User name for vCenter; use a dedicated account, because migratekit takes its credentials on the command line. Environment: `VSPHERE_USER`.",
				Optional:            true,
			},
			"password": schema.StringAttribute{
				MarkdownDescription: "Password of that user. The provider writes it nowhere, but migratekit accepts it only on the command line, where other users of the same machine can see it. Environment: `VSPHERE_PASSWORD`.",
				Optional:            true,
				Sensitive:           true,
			},
			"insecure": schema.BoolAttribute{
				MarkdownDescription: "Whether to accept any certificate; `thumbprint` and `ca_file` are safer. Environment: `VSPHERE_ALLOW_UNVERIFIED_SSL`. Default: `false`.",
				Optional:            true,
			},
			"ca_file": schema.StringAttribute{
				MarkdownDescription: "PEM files with the certificates to trust instead of the system's; several paths are separated as in `PATH`. Environment: `VSPHERE_CA_FILE`.",
				Optional:            true,
				Validators:          []validator.String{validPath()},
			},
			"thumbprint": schema.StringAttribute{
				MarkdownDescription: "SHA-256 fingerprint of the only certificate to accept, in hex, with or without colons. Environment: `VSPHERE_THUMBPRINT`.",
				Optional:            true,
				Validators:          []validator.String{validThumbprint()},
			},
			"auto_cbt": schema.BoolAttribute{
				MarkdownDescription: "Whether a replication enables CBT if it is disabled. Environment: `VMA_AUTO_CBT`. Default: `true`.",
				Optional:            true,
			},
			"on_leftover_snapshot": schema.StringAttribute{
				MarkdownDescription: "What replications do with a snapshot named `migratekit` that an earlier run left: `fail` or `remove` it. With `remove`, `vma_cbt` removes it too if it blocks a repair. Environment: `VMA_ON_LEFTOVER_SNAPSHOT`. Default: `fail`.",
				Optional:            true,
				Validators:          []validator.String{validOneOf(onLeftoverFail, onLeftoverRemove)},
			},
			"on_blocked": schema.StringAttribute{
				MarkdownDescription: "What a plan does with a virtual machine that cannot be tracked or replicated: `fail` the whole plan, or `warn`, so that the apply fails for that virtual machine only and continues with the others. Errors in the configuration and in the connection to vCenter always fail the plan. Environment: `VMA_ON_BLOCKED`. Default: `fail`.",
				Optional:            true,
				Validators:          []validator.String{validOneOf(onBlockedFail, onBlockedWarn)},
			},
			"concurrency": concurrencyAttribute(),
			"openstack":   openStackLoginAttribute(),
			"migratekit_path": schema.StringAttribute{
				MarkdownDescription: "Path of the migratekit program. Environment: `VMA_MIGRATEKIT_PATH`. Default: `migratekit` in `PATH`.",
				Optional:            true,
				Validators:          []validator.String{validPath()},
			},
			"migratekit_environment": schema.MapAttribute{
				MarkdownDescription: "Environment variables to add for migratekit. They are never stored in state. `OS_*` in it are a login to OpenStack, see `openstack`. Default: none.",
				Optional:            true,
				Sensitive:           true,
				ElementType:         types.StringType,
				Validators:          []validator.Map{noNulls{}, mapvalidator.KeysAre(validVariable()), mapvalidator.ValueStringsAre(validVariableValue())},
			},
			"log_directory": schema.StringAttribute{
				MarkdownDescription: "Directory for migratekit's logs, one file per cycle with mode 0600. Environment: `VMA_LOG_DIRECTORY`. Default: `vma` inside `TF_DATA_DIR` (`.terraform`).",
				Optional:            true,
				Validators:          []validator.String{validPath()},
			},
		},
	}
}

// Configure implements provider.Provider. It does not connect to vCenter.
func (p *Provider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var config providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	configured := newProviderData(ctx, config, p.version, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	configured.cleanText = p.cleanText
	if configured.vcenter != nil {
		p.mu.Lock()
		p.clients = append(p.clients, configured.vcenter)
		if login := configured.vcenter.Login(); len(login.Password) >= minPassword {
			p.redactors = append(p.redactors, migratekit.NewSecretRedactor(login.Password, login.Username+":"+login.Password))
		}
		if configured.openstack != nil {
			for _, secret := range configured.openstack.Secrets() {
				if len(secret) >= minPassword {
					p.redactors = append(p.redactors, migratekit.NewSecretRedactor(secret))
				}
			}
		}
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
	return []func() datasource.DataSource{NewAssessmentDataSource, NewCBTStatusDataSource, NewCBTStatusesDataSource, NewOpenStackVolumesDataSource}
}

// Functions implements provider.ProviderWithFunctions.
func (p *Provider) Functions(context.Context) []func() function.Function {
	return []func() function.Function{NewParseChangeIDFunction, NewNextCycleFunction}
}

// Actions implements provider.ProviderWithActions.
func (p *Provider) Actions(context.Context) []func() action.Action {
	return []func() action.Action{NewCBTResetAction, NewReplicateAction}
}

// ListResources implements provider.ProviderWithListResources.
func (p *Provider) ListResources(context.Context) []func() list.ListResource {
	return []func() list.ListResource{NewCBTListResource}
}
