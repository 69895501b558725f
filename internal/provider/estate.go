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
	descriptionFolder  = "Inventory path of a folder or datacenter, such as `/DC0/vm/prod`; what is below it counts too. Default: everything."
	descriptionGlob    = "Only virtual machines whose name matches, with `*`, `?` and `[…]`; case matters."
	descriptionEnabled = "Only those whose tracking is switched on, or off."
)

// estateModel chooses virtual machines of an estate. It is embedded in models.
type estateModel struct {
	Folder  types.String `tfsdk:"folder"`
	Name    types.String `tfsdk:"name"`
	Enabled types.Bool   `tfsdk:"enabled"`
}

// read gives those that are chosen, sorted by path, with a warning where some
// cannot be read.
func (m estateModel) read(ctx context.Context, s *services) ([]*cbt.Status, diag.Diagnostics) {
	var diags diag.Diagnostics
	statuses, unreadable, err := s.manager.Folder(ctx, m.Folder.ValueString())
	if err != nil {
		return nil, diag.Diagnostics{folderDiagnostic(m.Folder.ValueString(), err)}
	}
	if len(unreadable) > 0 {
		diags.AddWarning("Virtual Machines Left Out",
			fmt.Sprintf("%d virtual machines cannot be read, and are not in the list. The first of them: %v", len(unreadable), unreadable[0]))
	}
	return slices.DeleteFunc(statuses, func(status *cbt.Status) bool { return !m.matches(status) }), diags
}

func (m estateModel) matches(status *cbt.Status) bool {
	if !m.Enabled.IsNull() && m.Enabled.ValueBool() != status.Enabled() {
		return false
	}
	if m.Name.IsNull() {
		return true
	}
	matches, _ := stdpath.Match(m.Name.ValueString(), status.VM.Name) // validated
	return matches
}

func folderDiagnostic(folder string, err error) diag.Diagnostic {
	at := path.Root("folder")
	if notFolder, ok := errors.AsType[*vsphere.NotFolderError](err); ok {
		return invalid(at, "%s. Write the path of a folder or datacenter.", notFolder)
	}
	if errors.Is(err, vsphere.ErrNotFound) {
		return diag.NewAttributeErrorDiagnostic(at, "Folder Not Found",
			fmt.Sprintf("vCenter has no folder %q, or the account may not see it.\n\n%v", folder, err))
	}
	return vmDiagnostic("Read Change Tracking", at, err)
}
