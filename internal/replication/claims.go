package replication

import (
	"fmt"
	"sync"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// ExportClaims remembers which VM each NBD export is for, so that no two VMs of this process are copied to one export. It is safe for
// concurrent use.
type ExportClaims struct {
	mu    sync.Mutex
	owner map[string]*vsphere.VM // by URI in canonical form
}

func newExportClaims() *ExportClaims { return &ExportClaims{owner: map[string]*vsphere.VM{}} }

// ExportInUseError is returned for an export that is for another VM already.
type ExportInUseError struct {
	// Key is the device key of the disk.
	Key int32
	// URI is the export, Path the inventory path of the other VM.
	URI, Path string
}

func (e *ExportInUseError) Error() string {
	return fmt.Sprintf("the export %s of the disk with the device key %d is also an export of %s: one VM would overwrite the other", e.URI, e.Key, e.Path)
}

// Claim takes an export for a VM. The error is an ExportInUseError.
func (c *ExportClaims) Claim(vm *vsphere.VM, key int32, uri string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if owner := c.owner[uri]; owner != nil && owner.Moid != vm.Moid {
		return &ExportInUseError{Key: key, URI: uri, Path: owner.Path}
	}
	c.owner[uri] = vm
	return nil
}
