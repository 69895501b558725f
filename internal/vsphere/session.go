package vsphere

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/vim25"
)

// do connects if needed and makes a call. It converts a fault to a typed error and adds the context's error.
func (c *Client) do(ctx context.Context, what string, call func(vim *vim25.Client) error) error {
	vim, err := c.connect(ctx)
	if err != nil {
		return err
	}
	if err := call(vim); err != nil {
		return fmt.Errorf("%s: %w", what, withCause(ctx, typed(err)))
	}
	return nil
}
