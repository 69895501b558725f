package replication

import (
	"context"
	"fmt"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// Target is where a cycle copies a VM's disks to.
type Target interface {
	// Disks returns the device keys of the disks that a cycle copies.
	Disks(tracking cbt.Tracking) []int32
	// Check returns errors and warnings about a copy to this target. It connects to the target only if place.Dial is set.
	Check(ctx context.Context, place migratekit.Place, source Source) Findings
	// Job returns the run of migratekit.
	Job(common migratekit.Common, source Source) migratekit.Job
	// Copied reports whether a disk was copied completely.
	Copied(key int32, evidence Evidence) bool
	// Final reports whether this is the cutover: migratekit copies twice, and there is no later cycle.
	Final() bool
}

// Source is the VM that a cycle copies.
type Source struct {
	Status *cbt.Status
	// Previous are the change IDs of the last cycle, by device key.
	Previous map[int32]string
	// Sizes are the disks' sizes at their last copy in bytes, by device key.
	Sizes map[int32]int64
}

// Evidence is what the provider knows about a run that has ended.
type Evidence struct {
	Outcome migratekit.Outcome
	// Succeeded is true if migratekit ended well and its log says that it completed.
	Succeeded bool
	// SnapshotSeen is true if migratekit's snapshot was seen in vCenter.
	SnapshotSeen bool
	// Kinds has the disks whose copy began, by device key. Last is the one that began last, or -1.
	Kinds map[int32]cbt.Kind
	Last  int32
}

// untrackableDisks returns a problem for each of the disks that migratekit cannot copy because CBT does not support them.
func untrackableDisks(status *cbt.Status, keys []int32, remedy string) []string {
	var problems []string
	for _, key := range keys {
		if disk := status.Disk(key); !disk.Trackable {
			problems = append(problems, fmt.Sprintf("%s of %s cannot be copied by migratekit: %s; %s",
				disk, status.VM.Path, disk.Reason, remedy))
		}
	}
	return problems
}
