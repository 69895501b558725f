package provider

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/actionvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/action/schema"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	resourceschema "github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
)

var (
	_ action.ActionWithConfigure        = (*replicateAction)(nil)
	_ action.ActionWithConfigValidators = (*replicateAction)(nil)
	_ action.ActionWithValidateConfig   = (*replicateAction)(nil)
	_ action.ActionWithModifyPlan       = (*replicateAction)(nil)
)

// NewReplicateAction returns the action vma_replicate.
func NewReplicateAction() action.Action { return &replicateAction{} }

type replicateAction struct{ data *providerData }

type replicateModel struct {
	VMPath             types.String   `tfsdk:"vm_path"`
	VMUUID             types.String   `tfsdk:"vm_uuid"`
	VMMoid             types.String   `tfsdk:"vm_moid"`
	OpenStack          types.Object   `tfsdk:"openstack"`
	AutoCBT            types.Bool     `tfsdk:"auto_cbt"`
	CompressionMethod  types.String   `tfsdk:"compression_method"`
	ExtraArgs          types.List     `tfsdk:"extra_args"`
	OnTrackingReset    types.String   `tfsdk:"on_tracking_reset"`
	OnLeftoverSnapshot types.String   `tfsdk:"on_leftover_snapshot"`
	Timeouts           timeouts.Value `tfsdk:"timeouts"`
}

// replication returns the same as a configuration of vma_replication.
func (m replicateModel) replication() replicationModel {
	return replicationModel{
		vmNames:   vmNames{VMPath: m.VMPath, VMUUID: m.VMUUID, VMMoid: m.VMMoid},
		OpenStack: m.OpenStack, AutoCBT: m.AutoCBT, CompressionMethod: m.CompressionMethod, ExtraArgs: m.ExtraArgs, OnTrackingReset: m.OnTrackingReset,
		OnLeftoverSnapshot: m.OnLeftoverSnapshot, StopGrace: types.StringValue(defaultStopGrace),
	}
}

func (a *replicateAction) Metadata(_ context.Context, req action.MetadataRequest, resp *action.MetadataResponse) {
	resp.TypeName = req.ProviderTypeName + "_replicate"
}

func (a *replicateAction) Schema(ctx context.Context, _ action.SchemaRequest, resp *action.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Copies a virtual machine to OpenStack once more, behind the CBT gate, without changing a trigger: a nightly increment that causes no diff. " +
			"The first cycle copies everything, and later ones what changed; a `vma_replication` of the same virtual machine goes on from there. The next apply does not repeat a failed action.",
		Attributes: map[string]schema.Attribute{
			attributePath: schema.StringAttribute{MarkdownDescription: descriptionInputPath, Optional: true, Validators: []validator.String{validInventoryPath()}},
			attributeUUID: schema.StringAttribute{MarkdownDescription: descriptionUUID, Optional: true, Validators: []validator.String{validUUID()}},
			attributeMoid: schema.StringAttribute{MarkdownDescription: descriptionMoid, Optional: true, Validators: []validator.String{validMoid()}},
			"openstack":   openStackActionAttribute(),
			"auto_cbt": schema.BoolAttribute{
				MarkdownDescription: "Whether to enable CBT if it is disabled. Default: the provider's `auto_cbt`.", Optional: true,
			},
			"compression_method": schema.StringAttribute{
				MarkdownDescription: "How the ESXi host compresses the data that it sends: `none`, `zlib`, `fastlz` or `skipz`. Default: migratekit's own.",
				Optional:            true, Validators: []validator.String{stringvalidator.OneOf("none", "zlib", "fastlz", "skipz")},
			},
			"extra_args": schema.ListAttribute{
				MarkdownDescription: "Arguments to add to migratekit's command line. Arguments that the provider sets itself are rejected. Default: none.",
				Optional:            true, ElementType: types.StringType, Validators: []validator.List{noNulls{}, listvalidator.ValueStringsAre(validArgument()), listvalidator.SizeAtMost(maxArguments)},
			},
			"on_tracking_reset": schema.StringAttribute{
				MarkdownDescription: "What to do if CBT was reset since the last cycle: `full` copies everything, `fail` fails. Default: `full`.",
				Optional:            true, Validators: []validator.String{stringvalidator.OneOf(onResetFull, onResetFail)},
			},
			"on_leftover_snapshot": schema.StringAttribute{
				MarkdownDescription: "What to do with a snapshot named `migratekit` that an earlier run left: `fail` or `remove` it. Default: the provider's `on_leftover_snapshot`.",
				Optional:            true, Validators: []validator.String{stringvalidator.OneOf(onLeftoverFail, onLeftoverRemove)},
			},
			"timeouts": describedInvokeTimeout(ctx, cycleTimeout),
		},
	}
}

// openStackActionAttribute is openstack of vma_replication, in the schema of an action.
func openStackActionAttribute() schema.Attribute {
	from, ok := openStackAttribute().(resourceschema.SingleNestedAttribute)
	if !ok {
		panic("openstack is no single nested attribute") // tests cover this
	}
	attributes := map[string]schema.Attribute{}
	for name, attribute := range from.Attributes {
		attributes[name] = actionAttribute(attribute)
	}
	return schema.SingleNestedAttribute{
		MarkdownDescription: "Copies to OpenStack volumes, as `openstack` of `vma_replication` does. What only a cutover needs is compared with the project, too.", Required: true, Attributes: attributes,
	}
}

// actionAttribute converts the attributes that openstack has.
func actionAttribute(from resourceschema.Attribute) schema.Attribute {
	switch from := from.(type) {
	case resourceschema.StringAttribute:
		return schema.StringAttribute{MarkdownDescription: from.MarkdownDescription, Optional: from.Optional, Required: from.Required, Validators: from.Validators}
	case resourceschema.BoolAttribute:
		return schema.BoolAttribute{MarkdownDescription: from.MarkdownDescription, Optional: from.Optional}
	case resourceschema.ListAttribute:
		return schema.ListAttribute{MarkdownDescription: from.MarkdownDescription, Optional: from.Optional, ElementType: from.ElementType, Validators: from.Validators}
	case resourceschema.ListNestedAttribute:
		attributes := map[string]schema.Attribute{}
		for name, attribute := range from.NestedObject.Attributes {
			attributes[name] = actionAttribute(attribute)
		}
		return schema.ListNestedAttribute{
			MarkdownDescription: from.MarkdownDescription, Optional: from.Optional, Validators: from.Validators, NestedObject: schema.NestedAttributeObject{Attributes: attributes},
		}
	}
	panic(fmt.Sprintf("an attribute of the type %T", from)) // tests cover this
}

func (a *replicateAction) Configure(_ context.Context, req action.ConfigureRequest, resp *action.ConfigureResponse) {
	a.data = toProviderData(req.ProviderData, &resp.Diagnostics)
}

func (a *replicateAction) ConfigValidators(context.Context) []action.ConfigValidator {
	return []action.ConfigValidator{actionvalidator.ExactlyOneOf(namePaths()...)}
}

func (a *replicateAction) ValidateConfig(ctx context.Context, req action.ValidateConfigRequest, resp *action.ValidateConfigResponse) {
	var config replicateModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if !resp.Diagnostics.HasError() {
		config.replication().validateExtraArgs(ctx, &resp.Diagnostics)
	}
}

// ModifyPlan implements action.ActionWithModifyPlan. It reports what would make the cycle fail.
func (a *replicateAction) ModifyPlan(ctx context.Context, req action.ModifyPlanRequest, resp *action.ModifyPlanResponse) {
	var config replicateModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	model := config.replication()
	name, at, known := model.name()
	if resp.Diagnostics.HasError() || !known || a.data == nil || !a.data.known || !model.targetKnown(ctx) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	status, err := a.data.manager.ReadCached(ctx, name)
	vm := ""
	defer func() {
		resp.Diagnostics = a.data.warnIfBlocked(resp.Diagnostics, "Replication Blocked", types.StringNull(), model.vmNames, vm)
	}()
	if err != nil {
		resp.Diagnostics.Append(classify(vmDiagnostic("Read Virtual Machine", at, err), err))
		return
	}
	vm = status.VM.Path
	cycle := a.cycle(ctx, model, status, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	found := a.data.runner.Preflight(ctx, cycle, status, status.Tracking())
	for _, err := range found.Errors {
		for _, refusal := range cycleDiagnostics(at, status.VM, nil, err, "") {
			resp.Diagnostics.Append(classify(refusal, err))
		}
	}
	for _, warning := range found.Warnings {
		if warning.Subject != replication.SubjectPlannedCycle { // an action has no planned_cycle
			resp.Diagnostics.Append(warningDiagnostic(at, status.VM.Path, warning))
		}
	}
}

func (a *replicateAction) cycle(ctx context.Context, model replicationModel, status *cbt.Status, diags *diag.Diagnostics) *replication.Cycle {
	model.OnLeftoverSnapshot = model.plannedLeftover(nil, a.data)
	return model.toCycle(ctx, replicationModel{}, status.VM.Moid, a.data, nil, diags)
}

func (a *replicateAction) Invoke(ctx context.Context, req action.InvokeRequest, resp *action.InvokeResponse) {
	var config replicateModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	timeout, diags := config.Timeouts.Invoke(ctx, cycleTimeout)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	tell := oneAtATime(ctx, func(text string) { resp.SendProgress(action.InvokeProgressEvent{Message: text}) })
	model := config.replication()
	found, at, err := a.data.readNamed(ctx, model.vmNames)
	if err != nil {
		failed := vmDiagnostic("Read Virtual Machine", at, err)
		resp.Diagnostics.AddAttributeError(at, failed.Summary(), failed.Detail()+invokeAgain)
		return
	}
	cycle := a.cycle(ctx, model, found, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	cycle.Timeout = timeout
	result, err := a.data.runner.Run(withProgress(ctx, tell), cycle)
	for _, warning := range result.Warnings {
		resp.Diagnostics.AddAttributeWarning(at, onVM(warningSummary(warning), found.VM.Path), warning)
	}
	if err != nil {
		a.fail(ctx, at, found, result, err, &resp.Diagnostics)
		return
	}
	if bytes := result.ChangedBytes(); bytes >= 0 && result.Kind != "" {
		tell(fmt.Sprintf("The cycle of %q was %s and copied %d bytes", found.VM.Path, result.Kind, bytes))
	} else {
		tell(fmt.Sprintf("The cycle of %q has ended", found.VM.Path))
	}
}

const invokeAgain = "\n\nThe next apply does not repeat a failed action: invoke it again."

// fail reports an error. An action that was interrupted has failed: nothing resumes it.
func (a *replicateAction) fail(ctx context.Context, at path.Path, found *cbt.Status, result *replication.Result, err error, diags *diag.Diagnostics) {
	if ctx.Err() != nil {
		detail := fmt.Sprintf("The cycle of %q was interrupted.", found.VM.Path)
		if result.Started {
			detail += " Disks that were copied completely are not copied in full again. migratekit's log is " + result.LogFile + "."
		}
		if left, ok := errors.AsType[*cbt.LeftSnapshotError](err); ok {
			detail += "\n\n" + sentence(left)
		}
		diags.AddAttributeError(at, "Replication Interrupted", detail+invokeAgain)
		return
	}
	for _, each := range cycleDiagnostics(at, found.VM, result, err, "") {
		if located, ok := each.(diag.DiagnosticWithPath); ok {
			diags.AddAttributeError(located.Path(), each.Summary(), each.Detail()+invokeAgain)
		} else {
			diags.AddError(each.Summary(), each.Detail()+invokeAgain)
		}
	}
}

// oneAtATime returns a function that several goroutines may call, and that sends nothing any more once the context has ended.
func oneAtATime(ctx context.Context, send func(text string)) func(text string) {
	var mu sync.Mutex
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() == nil {
			send(text)
		}
	}
}
