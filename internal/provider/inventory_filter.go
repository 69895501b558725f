package provider

import (
	"context"
	"errors"
	"fmt"
	stdpath "path"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

const (
	descriptionFolder  = "Inventory path of a folder or datacenter, such as `/DC0/vm/prod`; everything below it is included. Default: the whole inventory."
	descriptionGlob    = "Pattern for the names of the virtual machines, with `*`, `?` and `[…]`; it is case-sensitive. Default: all names."
	descriptionEnabled = "Whether to read only virtual machines with CBT enabled (`true`) or disabled (`false`). Default: both."
)

// folderFilter selects VMs by folder and name. Other models embed it.
type folderFilter struct {
	Folder types.String `tfsdk:"folder"`
	Name   types.String `tfsdk:"name"`
}

// inventoryFilter selects VMs by folder, name and CBT state. Other models embed it.
type inventoryFilter struct {
	folderFilter
	Enabled types.Bool `tfsdk:"enabled"`
}

// read returns the selected VMs sorted by path, with a warning if some cannot be read.
func (m inventoryFilter) read(ctx context.Context, p *providerData) ([]*cbt.Status, diag.Diagnostics) {
	statuses, unreadable, err := p.manager.ReadFolder(ctx, m.Folder.ValueString())
	if err != nil {
		return nil, diag.Diagnostics{folderDiagnostic(m.Folder.ValueString(), err)}
	}
	return slices.DeleteFunc(statuses, func(status *cbt.Status) bool { return !m.matches(status) }), warnUnreadable(unreadable)
}

// warnUnreadable warns about VMs that could not be read.
func warnUnreadable(unreadable []error) diag.Diagnostics {
	if len(unreadable) == 0 {
		return nil
	}
	return diag.Diagnostics{diag.NewWarningDiagnostic("Virtual Machines Left Out",
		fmt.Sprintf("%d virtual machines could not be read and are not in the list. Check that vCenter shows their configuration and that the account may read them.\n\nThe first of them: %v", len(unreadable), unreadable[0]))}
}

func (m inventoryFilter) matches(status *cbt.Status) bool {
	if !m.Enabled.IsNull() && m.Enabled.ValueBool() != status.Enabled() {
		return false
	}
	return m.matchesName(status.VM)
}

func (m folderFilter) matchesName(vm *vsphere.VM) bool {
	if m.Name.IsNull() {
		return true
	}
	matches, _ := stdpath.Match(m.Name.ValueString(), vm.Name) // already validated
	return matches
}

func folderDiagnostic(folder string, err error) diag.Diagnostic {
	at := path.Root("folder")
	if notFolder, ok := errors.AsType[*vsphere.NotFolderError](err); ok {
		return invalid(at, "%s. Write the path of a folder or datacenter.", notFolder)
	}
	if errors.Is(err, vsphere.ErrNotFound) {
		return diag.NewAttributeErrorDiagnostic(at, "Folder Not Found",
			fmt.Sprintf("vCenter has no folder %q, or the account cannot see it. Check the path, and check that the account has System.Read on the folder.\n\n%v", folder, err))
	}
	return vmDiagnostic("Read Change Tracking", at, err)
}
