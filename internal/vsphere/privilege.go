package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// MissingPrivileges tells which of the privileges the account has not on a VM,
// in the order that they were given, in one call.
func (c *Client) MissingPrivileges(ctx context.Context, moid string, privileges []string) ([]string, error) {
	var missing []string
	err := c.do(ctx, "check privileges", func(vim *vim25.Client) error {
		res, err := methods.HasUserPrivilegeOnEntities(ctx, vim, &types.HasUserPrivilegeOnEntities{
			This:     *vim.ServiceContent.AuthorizationManager,
			Entities: []types.ManagedObjectReference{vmRef(moid)},
			UserName: c.userName(),
			PrivId:   privileges,
		})
		if err != nil {
			return err
		}
		for _, entity := range res.Returnval {
			for _, privilege := range entity.PrivAvailability {
				if !privilege.IsGranted {
					missing = append(missing, privilege.PrivId)
				}
			}
		}
		return nil
	})
	return missing, err
}
