package replication

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/nbd"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

var _ Target = (*NBD)(nil)

// NBD copies to NBD exports. The change IDs are in Terraform's state, and the run's change-ID store gives them to migratekit.
type NBD struct {
	// Exports are by device key.
	Exports map[int32]nbd.URI
	// Claims are those of all cycles of this process; nil for none.
	Claims *ExportClaims
}

// Disks implements Target: only disks with an export are copied.
func (t *NBD) Disks(tracking cbt.Tracking) []int32 {
	var keys []int32
	for _, disk := range tracking.Disks {
		if _, ok := t.Exports[disk.Key]; ok {
			keys = append(keys, disk.Key)
		}
	}
	return keys
}

// Check implements Target.
func (t *NBD) Check(ctx context.Context, place migratekit.Place, source Source) Findings {
	var f Findings
	status := source.Status
	var problems, all, missing, left []string
	for _, disk := range status.Disks {
		name := fmt.Sprintf("%d (%s)", disk.Key, disk.Label)
		all = append(all, name)
		_, exported := t.Exports[disk.Key]
		switch {
		case exported:
		case disk.Trackable:
			missing = append(missing, name)
		default: // snapshots do not include it
			left = append(left, disk.String())
		}
	}
	if len(missing) > 0 {
		problems = append(problems, fmt.Sprintf("%s has disks without an export, and migratekit copies every disk: %s; add an export for each",
			status.VM.Path, strings.Join(missing, ", ")))
	}
	for key := range t.Exports {
		if status.Disk(key) == nil {
			problems = append(problems, fmt.Sprintf("%s has no disk with the device key %d; its disks are %s",
				status.VM.Path, key, strings.Join(all, ", ")))
		}
	}
	slices.Sort(problems)
	problems = append(problems, untrackableDisks(status, t.Disks(status.Tracking()),
		"leave it out of nbd.exports, or give it a form that can be tracked")...)
	if len(problems) > 0 {
		f.Errors = append(f.Errors, &ImpossibleError{Problems: problems, Subject: SubjectExports})
	} else if claimed := t.Claim(status.VM); len(claimed) > 0 {
		f.Errors = append(f.Errors, claimed...)
	} else if err := t.verify(ctx, place, status); err != nil {
		f.Errors = append(f.Errors, err)
	}
	if len(left) > 0 {
		f.warn(SubjectExports, "Disks Not Copied",
			"%q has disks that cannot be tracked and have no export, so this cycle does not copy them: %s.",
			status.VM.Path, strings.Join(left, ", "))
	}
	return f
}

// Claim takes the exports for a VM.
func (t *NBD) Claim(vm *vsphere.VM) []error {
	if t.Claims == nil {
		return nil
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(t.Exports)) {
		if err := t.Claims.Claim(vm, key, t.Exports[key].Plain().String()); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// verify checks all exports at once.
func (t *NBD) verify(ctx context.Context, place migratekit.Place, status *cbt.Status) error {
	if place.Dial == nil {
		return nil
	}
	var group errgroup.Group
	for key, uri := range t.Exports {
		group.Go(func() error {
			size := uint64(status.Disk(key).Capacity) //nolint:gosec // a capacity is not negative
			err := nbd.Verify(ctx, place.Dial, uri, size)
			if err == nil && uri.TLS {
				err = nbd.Verify(ctx, place.Dial, uri.Plain(), size) // migratekit does not support TLS
			}
			if err != nil {
				return &ExportError{Key: key, Err: err}
			}
			return nil
		})
	}
	return group.Wait()
}

// Job implements Target.
func (t *NBD) Job(common migratekit.Common, source Source) migratekit.Job {
	target := migratekit.NBD{
		Exports: map[int32]migratekit.Export{}, SingleDisk: len(source.Status.Disks) == 1,
		JobID: "vma-" + strings.ToLower(rand.Text()[:16]), KnownChangeIDs: map[int32]string{},
	}
	for key, uri := range t.Exports {
		target.Exports[key], target.Port = migratekit.Export{URI: uri.Plain().String(), Name: uri.Export}, uri.Port
	}
	for _, key := range t.Disks(source.Status.Tracking()) {
		target.KnownChangeIDs[key] = source.Previous[key]
	}
	return migratekit.NewNBDJob(common, target)
}

// Copied implements Target: migratekit files a disk's change ID after its copy.
func (t *NBD) Copied(key int32, e Evidence) bool { return e.Outcome.ChangeIDs[key] != "" }

// Holds implements Target: the change IDs of copies to exports are in the state only.
func (t *NBD) Holds(recorded map[int32]string) map[int32]Held { return heldAsRecorded(recorded) }

// Names implements Target.
func (t *NBD) Names(Source) map[int32]string {
	names := map[int32]string{}
	for key, uri := range t.Exports {
		names[key] = uri.String()
	}
	return names
}

// Prepare implements Target.
func (t *NBD) Prepare(context.Context, Source) error { return nil }

// Began implements Target.
func (t *NBD) Began(context.Context, Source) error { return nil }

// Conclude implements Target.
func (t *NBD) Conclude(context.Context, Source, Run, *Result) error { return nil }

// Final implements Target.
func (t *NBD) Final() bool { return false }
