package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/openstack"
)

var _ datasource.DataSourceWithConfigure = (*openStackVolumesDataSource)(nil)

// NewOpenStackVolumesDataSource returns the data source vma_openstack_volumes.
func NewOpenStackVolumesDataSource() datasource.DataSource { return &openStackVolumesDataSource{} }

type openStackVolumesDataSource struct{ data *providerData }

type openStackVolumesModel struct {
	Volumes []openStackVolumeModel `tfsdk:"volumes"`
}

type openStackVolumeModel struct {
	ID           types.String `tfsdk:"id"`
	Name         types.String `tfsdk:"name"`
	VMMoid       types.String `tfsdk:"vm_moid"`
	DeviceKey    types.String `tfsdk:"device_key"`
	SizeGiB      types.Int64  `tfsdk:"size_gib"`
	Status       types.String `tfsdk:"status"`
	ChangeID     types.String `tfsdk:"change_id"`
	AttachedTo   types.List   `tfsdk:"attached_to"`
	CycleEndedAt types.String `tfsdk:"cycle_ended_at"`
}

func (d *openStackVolumesDataSource) Metadata(_ context.Context, req datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_openstack_volumes"
}

func (d *openStackVolumesDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	text := computedText
	resp.Schema = schema.Schema{
		MarkdownDescription: "Lists the volumes that migratekit made in the project of OpenStack, so that those of renamed VMs and destroyed replications, which cost quota, can be found.",
		Attributes: map[string]schema.Attribute{
			"volumes": schema.ListNestedAttribute{
				MarkdownDescription: "The volumes, by name.",
				Computed:            true,
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"id":             text("ID of the volume."),
					"name":           text("Name of the volume."),
					"vm_moid":        text("Managed object ID of the virtual machine that it is a copy of."),
					"device_key":     text("Device key of the disk that it is a copy of."),
					"size_gib":       schema.Int64Attribute{MarkdownDescription: "Size in GiB.", Computed: true},
					"status":         text("Status, such as `available` or `in-use`."),
					"change_id":      text("Change ID that the next copy starts from; null if no copy to it was completed."),
					"attached_to":    schema.ListAttribute{MarkdownDescription: "IDs of the servers that it is attached to.", Computed: true, ElementType: types.StringType},
					"cycle_ended_at": text("End of the last cycle, in RFC 3339; null if it is not known."),
				}},
			},
		},
	}
}

func (d *openStackVolumesDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.data = toProviderData(req.ProviderData, &resp.Diagnostics)
}

func (d *openStackVolumesDataSource) Read(ctx context.Context, _ datasource.ReadRequest, resp *datasource.ReadResponse) {
	switch {
	case !d.data.known:
		resp.Diagnostics.AddError("Unable to Read OpenStack",
			"The provider's configuration depends on values that are known only after apply. Use values that are known at plan time, or delay this read with depends_on until the values are known.")
		return
	case d.data.openstack == nil:
		resp.Diagnostics.AddError("Missing OpenStack Environment",
			"No login to OpenStack is configured. Set openstack in the provider block, or the variables OS_*: in migratekit_environment of the provider, or in the environment of Terraform.")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	volumes, err := d.data.openstack.VolumesNow(ctx)
	if err != nil {
		resp.Diagnostics.Append(openStackDiagnostic(err))
		return
	}
	model := openStackVolumesModel{Volumes: []openStackVolumeModel{}}
	for _, volume := range volumes {
		model.Volumes = append(model.Volumes, newOpenStackVolume(volume))
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, model)...)
}

func newOpenStackVolume(volume openstack.Volume) openStackVolumeModel {
	servers := []attr.Value{}
	for _, server := range volume.AttachedTo {
		servers = append(servers, types.StringValue(server))
	}
	return openStackVolumeModel{
		ID: types.StringValue(volume.ID), Name: types.StringValue(volume.Name), VMMoid: optional(volume.VMMoid), DeviceKey: optional(volume.DeviceKey),
		SizeGiB: types.Int64Value(int64(volume.SizeGiB)), Status: types.StringValue(volume.Status), ChangeID: optional(volume.ChangeID),
		AttachedTo: types.ListValueMust(types.StringType, servers), CycleEndedAt: optional(volume.CycleEndedAt),
	}
}
