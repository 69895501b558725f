package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/actionvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

var (
	_ action.ActionWithConfigure        = (*cbtResetAction)(nil)
	_ action.ActionWithConfigValidators = (*cbtResetAction)(nil)
	_ action.ActionWithModifyPlan       = (*cbtResetAction)(nil)
)

// NewCBTResetAction returns the action vma_cbt_reset.
func NewCBTResetAction() action.Action { return &cbtResetAction{} }

type cbtResetAction struct{ data *providerData }

type cbtResetModel struct {
	VMPath   types.String   `tfsdk:"vm_path"`
	VMUUID   types.String   `tfsdk:"vm_uuid"`
	VMMoid   types.String   `tfsdk:"vm_moid"`
	Timeouts timeouts.Value `tfsdk:"timeouts"`
}

func (m cbtResetModel) names() vmNames {
	return vmNames{VMPath: m.VMPath, VMUUID: m.VMUUID, VMMoid: m.VMMoid}
}

func (a *cbtResetAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_cbt_reset"
}

func (a *cbtResetAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Resets changed block tracking (CBT) of a virtual machine once: disables it, enables it and initializes every disk. Every disk gets a new epoch, so its next copy is full, also that of a backup product. This cannot be undone. " +
			"The action fails if the virtual machine has snapshots. The next apply does not repeat a failed action; if it should, use `reset_triggers` of `vma_cbt` instead.",
		Attributes: map[string]schema.Attribute{
			attributePath: schema.StringAttribute{MarkdownDescription: descriptionInputPath, Optional: true, Validators: []validator.String{validInventoryPath()}},
			attributeUUID: schema.StringAttribute{MarkdownDescription: descriptionUUID, Optional: true, Validators: []validator.String{validUUID()}},
			attributeMoid: schema.StringAttribute{MarkdownDescription: descriptionMoid, Optional: true, Validators: []validator.String{validMoid()}},
			"timeouts":    describedInvokeTimeout(ctx, cbtWriteTimeout),
		},
	}
}

func (a *cbtResetAction) Configure(_ context.Context, req action.ConfigureRequest, resp *action.ConfigureResponse) {
	a.data = toProviderData(req.ProviderData, &resp.Diagnostics)
}

func (a *cbtResetAction) ConfigValidators(context.Context) []action.ConfigValidator {
	return []action.ConfigValidator{actionvalidator.ExactlyOneOf(namePaths()...)}
}

// ModifyPlan implements action.ActionWithModifyPlan. It rejects a reset that cannot work.
func (a *cbtResetAction) ModifyPlan(ctx context.Context, req action.ModifyPlanRequest, resp *action.ModifyPlanResponse) {
	var config cbtResetModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	name, at, known := config.names().name()
	if resp.Diagnostics.HasError() || !known || a.data == nil || !a.data.known {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	status, err := a.data.manager.ReadCached(ctx, name)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", at, err))
		return
	}
	if reasons := a.data.manager.ResetBlockers(ctx, status); len(reasons) > 0 {
		resp.Diagnostics.Append(vmDiagnostic("Reset Change Tracking", at, &cbt.BlockedError{VM: status.VM.Path, Reasons: reasons, Reset: true}))
	}
}

func (a *cbtResetAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var config cbtResetModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	timeout, diags := config.Timeouts.Invoke(ctx, cbtWriteTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ctx = withProgress(ctx, oneAtATime(ctx, func(text string) { resp.SendProgress(action.InvokeProgressEvent{Message: text}) }))
	name, at, _ := config.names().name()
	found, err := a.data.manager.ReadCached(ctx, name)
	if err != nil {
		resp.Diagnostics.Append(vmDiagnostic("Read Virtual Machine", at, err))
		return
	}
	status, err := a.data.manager.Reset(ctx, found.VM.Moid)
	if err != nil {
		failed := vmDiagnostic("Reset Change Tracking", at, err)
		resp.Diagnostics.AddAttributeError(at, failed.Summary(), failed.Detail()+
			"\n\nThe next apply does not repeat a failed action: invoke it again. CBT may already be disabled or have a new epoch, so the next copy may be full.")
		return
	}
	resp.SendProgress(action.InvokeProgressEvent{
		Message: fmt.Sprintf("Change tracking of %q has a new epoch on every disk; the next copy is full", status.VM.Path),
	})
	warnConsolidation(status.VM, &resp.Diagnostics)
}
