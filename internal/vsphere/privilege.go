package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// MissingPrivileges tells which of the privileges the account has not on each
// of the VMs, by managed object ID and in the order that they were given, in
// one call.
func (c *Client) MissingPrivileges(ctx context.Context, moids, privileges []string) (map[string][]string, error) {
	missing := map[string][]string{}
	err := c.do(ctx, "check privileges", func(vim *vim25.Client) error {
		req := &types.HasUserPrivilegeOnEntities{
			This: *vim.ServiceContent.AuthorizationManager, UserName: c.userName(), PrivId: privileges,
		}
		for _, moid := range moids {
			req.Entities = append(req.Entities, vmRef(moid))
		}
		res, err := methods.HasUserPrivilegeOnEntities(ctx, vim, req)
		if err != nil {
			return err
		}
		for _, entity := range res.Returnval {
			for _, privilege := range entity.PrivAvailability {
				if !privilege.IsGranted {
					missing[entity.Entity.Value] = append(missing[entity.Entity.Value], privilege.PrivId)
				}
			}
		}
		return nil
	})
	return missing, err
}
