package provider

import (
	"context"
	"fmt"
	"slices"
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

// NewCBTListResource returns the list resource vma_cbt.
func NewCBTListResource() list.ListResource { return &cbtListResource{} }

type cbtListResource struct{ data *providerData }

type cbtListModel struct {
	inventoryFilter
	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

func (l *cbtListResource) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cbt"
}

func (l *cbtListResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	l.data = toProviderData(req.ProviderData, &resp.Diagnostics)
}

func (l *cbtListResource) ListResourceConfigSchema(ctx context.Context, _ list.ListResourceSchemaRequest, resp *list.ListResourceSchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Lists the virtual machines of a folder with the state of changed block tracking (CBT), so that `terraform query` can generate a `vma_cbt` for each. " +
			"Write list blocks in `*.tfquery.hcl` files. Templates are not listed, because they cannot be tracked. If CBT cannot work on a virtual machine, its display name gives the reason; delete the configuration that is generated for it.",
		Attributes: map[string]schema.Attribute{
			"folder":   schema.StringAttribute{MarkdownDescription: descriptionFolder, Optional: true, Validators: []validator.String{validFolder()}},
			"name":     schema.StringAttribute{MarkdownDescription: descriptionGlob, Optional: true, Validators: []validator.String{validGlob()}},
			"enabled":  schema.BoolAttribute{MarkdownDescription: descriptionEnabled, Optional: true},
			"timeouts": describedListTimeout(ctx),
		},
	}
}

func (l *cbtListResource) List(ctx context.Context, req list.ListRequest, stream *list.ListResultsStream) {
	var config cbtListModel
	diags := req.Config.Get(ctx, &config)
	if !diags.HasError() && !l.data.known {
		diags.Append(unknownProvider(path.Root("folder")))
	}
	timeout, problems := config.Timeouts.List(ctx, readTimeout)
	if diags.Append(problems...); diags.HasError() {
		stream.Results = list.ListResultsStreamDiagnostics(diags)
		return
	}
	reading, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	statuses, problems := config.read(reading, l.data)
	statuses = slices.DeleteFunc(statuses, func(s *cbt.Status) bool { return s.VM.Template || s.VM.Identity() == "" })
	blockers := l.data.manager.AllBlockers(reading, statuses, false)
	stream.Results = func(push func(list.ListResult) bool) {
		if len(problems) > 0 && !push(list.ListResult{Diagnostics: problems}) {
			return
		}
		left := req.Limit
		for _, status := range statuses {
			if left--; left < 0 || !push(listed(ctx, req, status, blockers[status.VM.Moid])) {
				return
			}
		}
	}
}

func listed(ctx context.Context, req list.ListRequest, status *cbt.Status, blockers []string) list.ListResult {
	result := req.NewListResult(ctx)
	result.DisplayName = fmt.Sprintf("%s (%s)", status.VM.Path, describeTracking(status, blockers))
	result.Diagnostics.Append(setIdentity(ctx, result.Identity, types.StringValue(status.VM.Identity()))...)
	if req.IncludeResource {
		result.Diagnostics.Append(setImported(ctx, result.Resource, status)...)
		// Terraform generates configuration from these values, and it should have one name only.
		for _, attribute := range []string{attributeUUID, attributeMoid} {
			result.Diagnostics.Append(result.Resource.SetAttribute(ctx, path.Root(attribute), types.StringNull())...)
		}
	}
	return result
}

func describeTracking(status *cbt.Status, blockers []string) string {
	switch {
	case status.Tracked():
		return "tracking works"
	case len(blockers) > 0:
		return "tracking cannot work: " + strings.Join(blockers, "; ")
	case status.Enabled():
		var disks []string
		for _, disk := range status.Uninitialized() {
			disks = append(disks, disk.Label)
		}
		return "tracking is on, but not initialized on " + strings.Join(disks, ", ")
	}
	return "tracking is off"
}
