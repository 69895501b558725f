package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/vma-project/terraform-provider-vma/internal/replication"
)

type concurrencyModel struct {
	Total        types.Int64 `tfsdk:"total"`
	PerHost      types.Int64 `tfsdk:"per_host"`
	PerDatastore types.Int64 `tfsdk:"per_datastore"`
}

func concurrencyAttribute() schema.Attribute {
	limit := func(what string) schema.Attribute {
		return schema.Int64Attribute{
			MarkdownDescription: what + " Default: no limit.",
			Optional:            true, Validators: []validator.Int64{int64validator.Between(1, 10000)},
		}
	}
	return schema.SingleNestedAttribute{
		MarkdownDescription: "How many replication cycles this provider runs at once. Other cycles wait, first come first served, and say at INFO in Terraform's log what they wait for. " +
			"A waiting cycle occupies one of Terraform's `-parallelism` (10 unless set), and its timeout begins when it starts. Default: no limits.",
		Optional: true,
		Attributes: map[string]schema.Attribute{
			"total":         limit("How many cycles run at once in all."),
			"per_host":      limit("How many cycles run at once for the virtual machines of one ESXi host."),
			"per_datastore": limit("How many cycles run at once for the virtual machines that use one datastore."),
		},
	}
}

func (m providerModel) limits(ctx context.Context, diags *diag.Diagnostics) replication.Limits {
	if m.Concurrency.IsNull() {
		return replication.Limits{}
	}
	var model concurrencyModel
	diags.Append(m.Concurrency.As(ctx, &model, basetypes.ObjectAsOptions{})...)
	return replication.Limits{
		Total: int(model.Total.ValueInt64()), PerHost: int(model.PerHost.ValueInt64()), PerDatastore: int(model.PerDatastore.ValueInt64()),
	}
}
