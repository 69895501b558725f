package vsphere

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/vim25"
)

// do connects where that was not done yet, makes a call and gives its error a
// type and the reason why the context ended.
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
