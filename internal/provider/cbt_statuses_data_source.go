package provider

import (
	"context"
	"errors"
	"fmt"
	stdpath "path"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

var _ datasource.DataSourceWithConfigure = (*cbtStatusesDataSource)(nil)

// NewCBTStatusesDataSource makes vma_cbt_statuses.
func NewCBTStatusesDataSource() datasource.DataSource { return &cbtStatusesDataSource{} }

type cbtStatusesDataSource struct{ services *services }

type cbtStatusesModel struct {
	Folder   types.String   `tfsdk:"folder"`
	Name     types.String   `tfsdk:"name"`
	Enabled  types.Bool     `tfsdk:"enabled"`
	VMs      []statusModel  `tfsdk:"vms"`
	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

// Metadata implements datasource.DataSource.
func (d *cbtStatusesDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cbt_statuses"
}

// Schema implements datasource.DataSource.
func (d *cbtStatusesDataSource) Schema(ctx context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Reads changed block tracking (CBT) of a whole estate at once, for reports and for `for_each`. Its cost hardly grows with the number of virtual machines. It changes nothing.",
		Attributes: map[string]schema.Attribute{
			"folder": schema.StringAttribute{
				MarkdownDescription: "Inventory path of a folder or datacenter, such as `/DC0/vm/prod`; what is below it counts too. Default: everything.",
				Optional:            true, Validators: []validator.String{validFolder()},
			},
			"name": schema.StringAttribute{
				MarkdownDescription: "Only virtual machines whose name matches, with `*`, `?` and `[…]`.",
				Optional:            true, Validators: []validator.String{validGlob()},
			},
			"enabled": schema.BoolAttribute{
				MarkdownDescription: "Only those whose tracking is switched on, or off.",
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

func validFolder() validator.String {
	return check{"value must be an absolute inventory path, such as /DC0/vm/prod", func(at path.Path, value string) diag.Diagnostic {
		if strings.HasPrefix(value, "/") {
			return nil
		}
		return invalid(at, "%q is not absolute. Write the whole inventory path from the datacenter on, such as /DC0/vm/prod.", value)
	}}
}

func validGlob() validator.String {
	return check{"value must be a pattern, such as web*", func(at path.Path, value string) diag.Diagnostic {
		if _, err := stdpath.Match(value, ""); err == nil {
			return nil
		}
		return invalid(at, "%q is not a pattern: a bracket is not closed. Write one such as web* or db0[1-4].", value)
	}}
}

// Configure implements datasource.DataSourceWithConfigure.
func (d *cbtStatusesDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.services = servicesOf(req.ProviderData, &resp.Diagnostics)
}

// Read implements datasource.DataSource.
func (d *cbtStatusesDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var config cbtStatusesModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	if !d.services.known {
		resp.Diagnostics.Append(unknownProvider(path.Root("folder")))
		return
	}
	timeout, diags := config.Timeouts.Read(ctx, readTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	statuses, unreadable, err := d.services.manager.Folder(ctx, config.Folder.ValueString())
	if err != nil {
		resp.Diagnostics.Append(folderDiagnostic(config.Folder.ValueString(), err))
		return
	}
	if len(unreadable) > 0 {
		resp.Diagnostics.AddWarning("Virtual Machines Left Out",
			fmt.Sprintf("%d virtual machines cannot be read, and are not in the list. The first of them: %v", len(unreadable), unreadable[0]))
	}
	config.fill(ctx, statuses, d.services)
	resp.Diagnostics.Append(resp.State.Set(ctx, config)...)
}

// fill takes those that the filters let pass.
func (m *cbtStatusesModel) fill(ctx context.Context, statuses []*cbt.Status, s *services) {
	var chosen []*cbt.Status
	for _, status := range statuses {
		matches := true
		if !m.Name.IsNull() {
			matches, _ = stdpath.Match(m.Name.ValueString(), status.VM.Name) // validated
		}
		if matches && (m.Enabled.IsNull() || m.Enabled.ValueBool() == status.Enabled()) {
			chosen = append(chosen, status)
		}
	}
	blockers := s.manager.AllBlockers(ctx, chosen, false)
	m.VMs = []statusModel{}
	for _, status := range chosen {
		m.VMs = append(m.VMs, newStatusModel(status, blockers[status.VM.Moid]))
	}
}

func folderDiagnostic(folder string, err error) diag.Diagnostic {
	at := path.Root("folder")
	if notFolder, ok := errors.AsType[*vsphere.NotFolderError](err); ok {
		return invalid(at, "%s. Write the path of a folder or datacenter.", notFolder)
	}
	if errors.Is(err, vsphere.ErrNotFound) {
		return diag.NewAttributeErrorDiagnostic(at, "Folder Not Found",
			fmt.Sprintf("vCenter has no folder %q, or the account may not see it.\n\n%v", folder, err))
	}
	return vmDiagnostic("Read Change Tracking", at, err)
}
