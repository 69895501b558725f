package replication

import (
	"context"
	"fmt"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// Target is where a cycle copies a VM's disks to. Check comes first: Names, Prepare, Job and Conclude use what it found right before the start.
type Target interface {
	// Disks returns the device keys of the disks that a cycle copies.
	Disks(tracking cbt.Tracking) []int32
	// Check returns errors and warnings about a copy to this target. place.Dial is set right before a cycle starts, and nil while planning.
	Check(ctx context.Context, place migratekit.Place, source Source) Findings
	// Holds returns what the target has of each disk, by device key. recorded are the change IDs of the last cycle, as the state has them.
	Holds(recorded map[int32]string) map[int32]Held
	// Names returns what a reader calls the targets of the disks, by device key.
	Names(source Source) map[int32]string
	// Prepare makes the target ready, right before migratekit is started.
	Prepare(ctx context.Context, source Source) error
	// Began is called when the copy of a disk has begun. It does not delay the copy, and an error does not end it.
	Began(ctx context.Context, source Source) error
	// Job returns the run of migratekit.
	Job(common migratekit.Common, source Source) migratekit.Job
	// Copied reports whether a disk was copied completely.
	Copied(key int32, evidence Evidence) bool
	// Conclude tidies the target after a run and corrects the result by what the target has. It returns an error if a run that succeeded left no usable copy.
	Conclude(ctx context.Context, source Source, run Run, result *Result) error
	// Final reports whether this is the cutover: migratekit copies twice, and there is no later cycle.
	Final() bool
}

// Held is what a target has of a disk.
type Held struct {
	// Epoch is that of the copy, "" if there is no complete one.
	Epoch string
	// ChangeID is what the next copy starts from, "" if only the epoch is known.
	ChangeID string
	// Lost says why a copy that was there cannot be used, "" if it can.
	Lost string
	// Renamed is true if it is lost because the VM has another name or managed object ID.
	Renamed bool
}

// heldAsRecorded returns what a target has according to the state.
func heldAsRecorded(recorded map[int32]string) map[int32]Held {
	held := map[int32]Held{}
	for key, id := range recorded {
		held[key] = Held{Epoch: cbt.Epoch(id), ChangeID: id}
	}
	return held
}

// Source is the VM that a cycle copies.
type Source struct {
	Status *cbt.Status
	// Previous are the change IDs of the last cycle, by device key.
	Previous map[int32]string
	// Sizes are the disks' sizes at their last copy in bytes, by device key.
	Sizes map[int32]int64
	// Unfinished is true if the end of the last run on this machine was not seen, so that what is attached there is its own.
	Unfinished bool
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
	// Begun is how many copies of a disk began, and FullDone how many full ones the log says are complete, by device key.
	Begun, FullDone map[int32]int
}

// Run is a run that has ended.
type Run struct {
	Evidence
	// ChangeIDs are those of the snapshot that was copied last, and First those of the first one, by device key.
	ChangeIDs, First map[int32]string
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
