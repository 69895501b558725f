// Command nothing is a provider that does nothing. No provider can be faster; the benchmark compares with it.
package main

import (
	"context"
	"log"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	vma "github.com/vma-project/terraform-provider-vma/internal/provider"
)

func main() {
	err := providerserver.Serve(context.Background(), func() provider.Provider { return nothing{} }, providerserver.ServeOpts{
		Address: "example.org/vma-project/nothing",
	})
	if err != nil {
		log.Fatal(err)
	}
}

type nothing struct{}

func (nothing) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "nothing"
}
func (nothing) Schema(context.Context, provider.SchemaRequest, *provider.SchemaResponse)          {}
func (nothing) Configure(context.Context, provider.ConfigureRequest, *provider.ConfigureResponse) {}
func (nothing) DataSources(context.Context) []func() datasource.DataSource                        { return nil }

func (nothing) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{func() resource.Resource { return thing{} }, func() resource.Resource { return tracked{} }}
}

type thing struct{}

type model struct {
	Name types.String `tfsdk:"name"`
}

func (thing) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_thing"
}

func (thing) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = schema.Schema{Attributes: map[string]schema.Attribute{"name": schema.StringAttribute{Required: true}}}
}

func (thing) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var m model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func (thing) Read(context.Context, resource.ReadRequest, *resource.ReadResponse) {}

func (thing) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var m model
	resp.Diagnostics.Append(req.Plan.Get(ctx, &m)...)
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

func (thing) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {}

// tracked does nothing with the attributes of vma_cbt. It measures the cost of a resource of that size.
type tracked struct{ thing }

func (tracked) Metadata(_ context.Context, req resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cbt"
}

func (tracked) Schema(ctx context.Context, req resource.SchemaRequest, resp *resource.SchemaResponse) {
	vma.NewCBTResource().Schema(ctx, req, resp)
}

func (tracked) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	resp.State.Raw = req.Plan.Raw
	for _, attribute := range []string{"id", "vm_name", "vm_uuid", "vm_moid"} {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(attribute), "265104de-1472-547c-b873-6dc7883fb6cb")...)
	}
	disk, ok := resp.State.Schema.GetAttributes()["disks"].GetType().(types.ListType)
	if !ok {
		resp.Diagnostics.AddError("No Disks", "vma_cbt no longer has a list of disks. Update the benchmark.")
		return
	}
	object, ok := disk.ElemType.(types.ObjectType)
	if !ok {
		resp.Diagnostics.AddError("No Disks", "The disks of vma_cbt are no longer objects. Update the benchmark.")
		return
	}
	values := map[string]attr.Value{}
	for name, kind := range object.AttrTypes {
		switch kind {
		case types.StringType:
			values[name] = types.StringValue("52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/81")
		case types.Int64Type:
			values[name] = types.Int64Value(2000)
		case types.BoolType:
			values[name] = types.BoolValue(true)
		default:
			value, err := kind.ValueFromTerraform(ctx, tftypes.NewValue(kind.TerraformType(ctx), nil))
			if err != nil {
				resp.Diagnostics.AddError("No Disks", err.Error())
			}
			values[name] = value
		}
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("disks"), types.ListValueMust(object, []attr.Value{
		types.ObjectValueMust(object.AttrTypes, values),
	}))...)
}

func (tracked) Update(_ context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	resp.State.Raw = req.Plan.Raw
}
