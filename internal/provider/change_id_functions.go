package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

var (
	_ function.Function = parseChangeIDFunction{}
	_ function.Function = nextCycleFunction{}
)

// NewParseChangeIDFunction returns provider::vma::parse_change_id.
func NewParseChangeIDFunction() function.Function { return parseChangeIDFunction{} }

// NewNextCycleFunction returns provider::vma::next_cycle.
func NewNextCycleFunction() function.Function { return nextCycleFunction{} }

type (
	parseChangeIDFunction struct{}
	nextCycleFunction     struct{}
)

type changeIDModel struct {
	Epoch    string `tfsdk:"epoch"`
	Sequence int64  `tfsdk:"sequence"`
}

func (parseChangeIDFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "parse_change_id"
}

func (parseChangeIDFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Splits a change ID into its epoch and its sequence",
		MarkdownDescription: "Splits a change ID, `<epoch>/<sequence>`, into an object with `epoch` (a string) and `sequence` (a number). " +
			"The epoch changes when CBT is reset, and older change IDs are then invalid. The sequence grows with each snapshot.",
		Parameters: []function.Parameter{function.StringParameter{
			Name: "id", MarkdownDescription: "Change ID, such as `change_id` of a disk in `vma_cbt_status`.",
		}},
		Return: function.ObjectReturn{AttributeTypes: map[string]attr.Type{"epoch": types.StringType, "sequence": types.Int64Type}},
	}
}

func (parseChangeIDFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var id string
	if resp.Error = req.Arguments.Get(ctx, &id); resp.Error != nil {
		return
	}
	parsed, err := cbt.ParseChangeID(id)
	if err != nil {
		resp.Error = invalidChangeID(0, id)
		return
	}
	resp.Error = resp.Result.Set(ctx, changeIDModel{Epoch: parsed.Epoch, Sequence: parsed.Sequence})
}

func (nextCycleFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "next_cycle"
}

func (nextCycleFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	none := "; null or empty if there is none"
	resp.Definition = function.Definition{
		Summary: "Tells whether the next copy of a disk is full or incremental",
		MarkdownDescription: "Returns the kind of the next copy of a disk: `incremental` if the change ID that was copied last and the current change ID of the disk " +
			"have the same epoch, else `full`.",
		Parameters: []function.Parameter{
			function.StringParameter{
				Name: "previous", AllowNullValue: true,
				MarkdownDescription: "Change ID that was copied last, such as a value in `change_ids` of `vma_replication`" + none + ".",
			},
			function.StringParameter{
				Name: "current", AllowNullValue: true,
				MarkdownDescription: "Current change ID of the disk, such as `change_id` of a disk in `vma_cbt_status`" + none + ".",
			},
		},
		Return: function.StringReturn{},
	}
}

func (nextCycleFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var previous, current types.String
	if resp.Error = req.Arguments.Get(ctx, &previous, &current); resp.Error != nil {
		return
	}
	for i, id := range []string{previous.ValueString(), current.ValueString()} {
		if _, err := cbt.ParseChangeID(id); err != nil && id != "" {
			resp.Error = function.ConcatFuncErrors(resp.Error, invalidChangeID(int64(i), id))
		}
	}
	if resp.Error != nil {
		return
	}
	kind, _ := cbt.NextCycle(previous.ValueString(), current.ValueString())
	resp.Error = resp.Result.Set(ctx, string(kind))
}

func invalidChangeID(argument int64, id string) *function.FuncError {
	return function.NewArgumentFuncError(argument, fmt.Sprintf(
		"%q is not a change ID: write it as vCenter shows it, <epoch>/<sequence>, with a whole number as sequence", id))
}
