package provider

import (
	"context"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

var (
	_ validator.List = noNulls{}
	_ validator.Map  = noNulls{}
)

// noNulls refuses null elements, and names the first one.
type noNulls struct{}

func (noNulls) Description(context.Context) string { return "elements must not be null" }

func (v noNulls) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (noNulls) ValidateList(_ context.Context, req validator.ListRequest, resp *validator.ListResponse) {
	for i, element := range req.ConfigValue.Elements() {
		if element.IsNull() {
			resp.Diagnostics.Append(invalid(req.Path.AtListIndex(i), "Element %d of %s is null. Write a value, or remove it.", i, req.Path))
			return
		}
	}
}

func (noNulls) ValidateMap(_ context.Context, req validator.MapRequest, resp *validator.MapResponse) {
	var nulls []string
	for key, element := range req.ConfigValue.Elements() {
		if element.IsNull() {
			nulls = append(nulls, key)
		}
	}
	if len(nulls) > 0 {
		key := slices.Min(nulls)
		resp.Diagnostics.Append(invalid(req.Path.AtMapKey(key), "The value of %q in %s is null. Write a value, or remove it.", key, req.Path))
	}
}
