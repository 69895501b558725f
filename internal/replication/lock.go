package replication

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/process"
)

// lock keeps other runs on this machine away from the VM and from its exports. Nothing may be changed before: a snapshot of migratekit
// may belong to the run that holds the lock.
func (r *Runner) lock(ctx context.Context, id string, job migratekit.Job) (process.Locks, error) {
	instance, err := r.vcenter.InstanceUUID(ctx)
	if err != nil {
		return nil, err
	}
	names := []string{vmLock(id, instance)}
	for _, key := range slices.Sorted(maps.Keys(job.Exports)) {
		names = append(names, "the export "+job.Exports[key])
	}
	return r.machine.Lock(ctx, names...)
}

// isUnfinished reports whether a run on this machine works on a VM, or was killed so that its end was not seen.
func (r *Runner) isUnfinished(ctx context.Context, id string) bool {
	instance, err := r.vcenter.InstanceUUID(ctx)
	return err == nil && r.machine.Unfinished(vmLock(id, instance))
}

func vmLock(id, instance string) string {
	return fmt.Sprintf("the virtual machine %s of the vCenter %s", id, instance)
}

// InUse reports whether a run on this machine works on a VM, or may do so. It does not wait.
func (r *Runner) InUse(ctx context.Context, id string) bool {
	instance, err := r.vcenter.InstanceUUID(ctx)
	if err != nil {
		return true
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	held, err := r.machine.Lock(ended, vmLock(id, instance))
	held.Release()
	return err != nil
}
