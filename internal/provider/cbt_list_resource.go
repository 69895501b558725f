package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/list/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/list/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

var _ list.ListResourceWithConfigure = (*cbtListResource)(nil)

// NewCBTListResource makes the list resource vma_cbt.
func NewCBTListResource() list.ListResource { return &cbtListResource{} }

// cbtListResource lists what vma_cbt can manage.
type cbtListResource struct{ services *services }

type cbtListModel struct {
	estateModel
	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

// Metadata implements list.ListResource.
func (l *cbtListResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cbt"
}

// Configure implements list.ListResourceWithConfigure.
func (l *cbtListResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	l.services = servicesOf(req.ProviderData, &resp.Diagnostics)
}

// ListResourceConfigSchema implements list.ListResource.
func (l *cbtListResource) ListResourceConfigSchema(ctx context.Context, _ list.ListResourceSchemaRequest, resp *list.ListResourceSchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Lists the virtual machines of a folder with the state of their changed block tracking (CBT), so that `terraform query` can generate a `vma_cbt` for each. " +
			"List blocks stand in files of their own, `*.tfquery.hcl`. Templates, which cannot be tracked, are left out; a virtual machine whose tracking cannot work says so in its display name, and what is generated for it is best deleted.",
		Attributes: map[string]schema.Attribute{
			"folder":   schema.StringAttribute{MarkdownDescription: descriptionFolder, Optional: true, Validators: []validator.String{validFolder()}},
			"name":     schema.StringAttribute{MarkdownDescription: descriptionGlob, Optional: true, Validators: []validator.String{validGlob()}},
			"enabled":  schema.BoolAttribute{MarkdownDescription: descriptionEnabled, Optional: true},
			"timeouts": describedListTimeout(ctx),
		},
	}
}

// List implements list.ListResource.
func (l *cbtListResource) List(ctx context.Context, req list.ListRequest, stream *list.ListResultsStream) {
	var config cbtListModel
	diags := req.Config.Get(ctx, &config)
	if !diags.HasError() && !l.services.known {
		diags.Append(unknownProvider(path.Root("folder")))
	}
	timeout, problems := config.Timeouts.List(ctx, readTimeout)
	if diags.Append(problems...); diags.HasError() {
		stream.Results = list.ListResultsStreamDiagnostics(diags)
		return
	}
	reading, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	statuses, problems := config.read(reading, l.services)
	stream.Results = func(push func(list.ListResult) bool) {
		if len(problems) > 0 && !push(list.ListResult{Diagnostics: problems}) {
			return
		}
		left := req.Limit
		for _, status := range statuses {
			if status.VM.Template {
				continue
			}
			if left--; left < 0 || !push(listed(ctx, req, status)) {
				return
			}
		}
	}
}

// listed is one virtual machine as vma_cbt would import it.
func listed(ctx context.Context, req list.ListRequest, status *cbt.Status) list.ListResult {
	result := req.NewListResult(ctx)
	result.DisplayName = fmt.Sprintf("%s (%s)", status.VM.Path, describeTracking(status))
	result.Diagnostics.Append(setIdentity(ctx, result.Identity, types.StringValue(vmID(status.VM)))...)
	if req.IncludeResource {
		result.Diagnostics.Append(setImported(ctx, result.Resource, status)...)
		// Configuration is generated from it, which wants one name.
		for _, attribute := range []string{attributeUUID, attributeMoid} {
			result.Diagnostics.Append(result.Resource.SetAttribute(ctx, path.Root(attribute), types.StringNull())...)
		}
	}
	return result
}

// describeTracking says in a few words what is true of tracking.
func describeTracking(status *cbt.Status) string {
	blockers := status.Blockers(false)
	switch {
	case status.Initialized():
		return "tracking works"
	case len(blockers) > 0:
		return "tracking cannot work: " + strings.Join(blockers, "; ")
	case status.Enabled():
		var disks []string
		for _, disk := range status.Uninitialized() {
			disks = append(disks, disk.Label)
		}
		return "tracking is on, but not initialised on " + strings.Join(disks, ", ")
	}
	return "tracking is off"
}
