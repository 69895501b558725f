package provider

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

const (
	onBlockedFail = "fail"
	onBlockedWarn = "warn"
)

func onBlockedAttribute() schema.Attribute {
	return schema.StringAttribute{
		MarkdownDescription: "What a plan does if this virtual machine is blocked: `fail`, or `warn`, so that only the apply of this virtual machine fails and the others continue. Default: the provider's `on_blocked`.",
		Optional:            true, Validators: []validator.String{stringvalidator.OneOf(onBlockedFail, onBlockedWarn)},
	}
}

// warnsBlocked reports whether a plan only warns about a blocked VM. setting is the resource's on_blocked.
func (p *providerData) warnsBlocked(setting types.String) bool {
	if setting.ValueString() != "" {
		return setting.ValueString() == onBlockedWarn
	}
	return p != nil && p.onBlocked == onBlockedWarn
}

// vmProblem is an error that blocks one VM and says nothing about the others.
type vmProblem struct{ diag.DiagnosticWithPath }

func newVMProblem(d diag.Diagnostic) diag.Diagnostic {
	if d.Severity() != diag.SeverityError {
		return d
	}
	if at, ok := d.(diag.DiagnosticWithPath); ok {
		return vmProblem{at}
	}
	return vmProblem{diag.WithPath(path.Empty(), d)}
}

// Equal implements diag.Diagnostic.
func (p vmProblem) Equal(other diag.Diagnostic) bool {
	o, ok := other.(vmProblem)
	return ok && p.DiagnosticWithPath.Equal(o.DiagnosticWithPath)
}

// classify marks a diagnostic as a vmProblem if its error was learned by reading one VM, its privileges, its target or its names.
func classify(d diag.Diagnostic, err error) diag.Diagnostic {
	if isAboutVM(err) {
		return newVMProblem(d)
	}
	return d
}

// isAboutVM is false for errors of the connection, the program, the credentials and the configuration. An export that two VMs have is such an error:
// the apply could otherwise overwrite the copy of the VM that had it first.
func isAboutVM(err error) bool {
	if _, connection := errors.AsType[*vsphere.ConnectError](err); connection {
		return false
	}
	return errors.Is(err, vsphere.ErrNotFound) ||
		is[*vsphere.NotVMError](err) || is[*vsphere.AmbiguousError](err) || is[*vsphere.NoIdentityError](err) ||
		is[*vsphere.InstanceUUIDError](err) || is[*vsphere.InaccessibleError](err) ||
		is[*vsphere.NoPermissionError](err) || is[*vsphere.MethodDisabledError](err) || is[*cbt.BlockedError](err) ||
		is[*replication.GateError](err) || is[*replication.ImpossibleError](err) || is[*replication.ExportError](err) || is[*replication.TargetError](err) ||
		is[*replication.TrackingResetError](err) || is[*replication.TargetLostError](err) || is[*replication.LimitError](err) || is[*replication.LeftoverError](err)
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// warnBlocked replaces all problems of one VM by a single warning. Other diagnostics stay as they are.
func warnBlocked(diags diag.Diagnostics, summary, effect, vm string, at path.Path) diag.Diagnostics {
	var kept diag.Diagnostics
	var problems []string
	for _, d := range diags {
		if _, ok := d.(vmProblem); ok {
			problems = append(problems, d.Summary()+": "+d.Detail())
		} else {
			kept.Append(d)
		}
	}
	if len(problems) == 0 {
		return diags
	}
	kept.Append(diag.NewAttributeWarningDiagnostic(at, onVM(summary, vm),
		fmt.Sprintf("%s, because on_blocked is %q.\n\n%s", effect, onBlockedWarn, strings.Join(problems, "\n\n"))))
	return kept
}

// warnIfBlocked replaces the problems of a plan by a warning if on_blocked says so. setting is the resource's on_blocked, vm the path of the VM, "" if it
// could not be read.
func (p *providerData) warnIfBlocked(diags diag.Diagnostics, summary string, setting types.String, config vmNames, vm string) diag.Diagnostics {
	if !p.warnsBlocked(setting) {
		return diags
	}
	return warnBlocked(diags, summary, "The apply fails for this virtual machine and continues with the others", cmp.Or(vm, config.shown()), config.at())
}

// onVM ends the summary of a warning with the VM's path: Terraform folds warnings that have the same summary.
func onVM(summary, vm string) string { return summary + " on " + vm }

// shown returns the VM's path, or the name that is known of it.
func (m vmNames) shown() string {
	return cmp.Or(m.VMPath.ValueString(), m.VMUUID.ValueString(), m.VMMoid.ValueString(), "an unknown virtual machine")
}
