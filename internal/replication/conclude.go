package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// conclude puts together what happened: the kind of each disk's copy from the
// program's log, its bytes and change IDs from the snapshot in vCenter. It is
// pure but for the result that it fills.
func conclude(
	cycle *Cycle, status *cbt.Status, outcome migratekit.Outcome, measured measurement,
	posted map[int32]string, succeeded bool, result *Result,
) {
	planned := Plan(cycle, status)
	copied := copies(status, outcome, measured)
	if !succeeded && measured.first != nil {
		// A cutover that failed had copied the disks as the first snapshot has them,
		// and nobody knows how far it got with the second one.
		measured.disks = measured.first
	}
	for _, key := range cycle.keys(status) {
		kind, logged := copied.kinds[key]
		if !logged {
			kind = planned[key].Kind
		}
		if !copied.ended(key, posted, succeeded, measured.seen) {
			continue // its last good change ID stays
		}
		if told := cycle.told(key, planned); kind != told {
			result.Warnings = append(result.Warnings, fmt.Sprintf("%s of %s was copied %s, and %s was planned",
				status.Disk(key), status.VM.Path, kindText(kind), kindText(told)))
		}
		result.Disks[key] = DiskResult{Kind: kind, ChangedBytes: changedBytes(key, kind, status, measured)}
		id, agreed := changeID(key, status, measured, posted)
		if !agreed {
			next := "the next cycle copies from " + id + ", which is the older one"
			if id == "" {
				next = "the next copy of it is full"
				delete(result.ChangeIDs, key)
			}
			result.Warnings = append(result.Warnings, fmt.Sprintf("migratekit filed the change ID %s for %s of %s, and its snapshot has %s: %s",
				posted[key], status.Disk(key), status.VM.Path, measured.disks[key].ChangeID, next))
		}
		if id != "" {
			result.ChangeIDs[key] = id
		}
	}
	if succeeded {
		result.Warnings = append(result.Warnings, doubts(cycle, status, measured, result)...)
	}
	result.Kind = overall(result.Disks)
}

// told is what the practitioner was told of one disk.
func (c *Cycle) told(key int32, planned map[int32]Planned) cbt.Kind {
	if kind, ok := c.Planned[key]; ok {
		return kind
	}
	return planned[key].Kind
}

// doubts tidies up the change IDs of a cycle that ended well, and says what is
// not known of it.
func doubts(cycle *Cycle, status *cbt.Status, measured measurement, result *Result) []string {
	keys := cycle.keys(status)
	maps.DeleteFunc(result.ChangeIDs, func(key int32, _ string) bool { return !slices.Contains(keys, key) })
	var warnings []string
	for _, key := range keys {
		if _, ok := result.Disks[key]; !ok {
			warnings = append(warnings, fmt.Sprintf("migratekit completed, but nothing says that it copied %s of %s to its end, which therefore keeps its last change ID",
				status.Disk(key), status.VM.Path))
		}
	}
	if !measured.seen || result.ChangedBytes() < 0 {
		reason := "it was gone before"
		if measured.err != nil && !errors.Is(measured.err, context.Canceled) {
			reason = measured.err.Error()
		}
		warnings = append(warnings, fmt.Sprintf("the snapshot of migratekit on %s could not be measured, so changed_bytes of incremental copies is not known: %s",
			status.VM.Path, reason))
	}
	return warnings
}

func kindText(kind cbt.Kind) string {
	if kind == cbt.Full {
		return "whole"
	}
	return "incrementally"
}

// copyLog tells which disks' copies migratekit's log says to have begun.
type copyLog struct {
	kinds map[int32]cbt.Kind
	last  int32 // the disk whose copy began last, -1 for none
}

// ended says that a disk was copied to its end. With a store that is what the
// store has, since a change ID is filed after the copy; without one every disk is
// copied, one after another, unless neither the log nor a snapshot shows that
// anything was.
func (l copyLog) ended(key int32, posted map[int32]string, succeeded, snapshot bool) bool {
	if posted != nil {
		return posted[key] != ""
	}
	_, began := l.kinds[key]
	return (succeeded && (began || snapshot)) || (began && key != l.last)
}

// copies matches the disks that the log names by file with the VM's.
func copies(status *cbt.Status, outcome migratekit.Outcome, measured measurement) copyLog {
	files := map[string]int32{}
	for _, disk := range status.Disks {
		files[disk.Top] = disk.Key
	}
	for key, disk := range measured.disks {
		files[disk.Top] = key
	}
	l := copyLog{kinds: map[int32]cbt.Kind{}, last: -1}
	for _, c := range outcome.Copies {
		key, ok := files[c.Disk]
		if !ok {
			continue
		}
		l.last = key
		if c.Full || l.kinds[key] == "" { // a cutover copies twice, and a whole copy stays one
			l.kinds[key] = kindOf(c)
		}
	}
	return l
}

func kindOf(c migratekit.Copy) cbt.Kind {
	if c.Full {
		return cbt.Full
	}
	return cbt.Incremental
}

// changedBytes is the whole disk for a full copy.
func changedBytes(key int32, kind cbt.Kind, status *cbt.Status, measured measurement) int64 {
	if kind == cbt.Full {
		return status.Disk(key).Capacity
	}
	if changed, ok := measured.changed[key]; ok {
		return changed
	}
	return -1
}

// changeID is what the next cycle copies from: that of the snapshot that was
// copied, else what migratekit filed, else that of before the run, which is older
// and so never too new. Where the first two do not agree it is the older one, and
// none where not even their epochs are the same.
func changeID(key int32, status *cbt.Status, measured measurement, posted map[int32]string) (id string, agreed bool) {
	filed, kept := posted[key], measured.disks[key].ChangeID
	switch {
	case kept == "" && filed == "":
		return status.Disk(key).ChangeID, true
	case kept == "":
		return filed, true
	case filed == "" || filed == kept:
		return kept, true
	case cbt.Epoch(filed) != cbt.Epoch(kept):
		return "", false // nobody knows what the target holds
	case sequence(filed) < sequence(kept):
		return filed, false
	}
	return kept, false
}

func sequence(id string) int64 {
	parsed, _ := cbt.ParseChangeID(id)
	return parsed.Sequence
}

// overall is what a cycle was as a whole.
func overall(disks map[int32]DiskResult) cbt.Kind {
	var kind cbt.Kind
	for _, disk := range disks {
		switch kind {
		case "", disk.Kind:
			kind = disk.Kind
		default:
			return cbt.Mixed
		}
	}
	return kind
}

// ChangedBytes is the sum over all disks, -1 where one is not known.
func (r *Result) ChangedBytes() int64 {
	var total int64
	for _, disk := range r.Disks {
		if disk.ChangedBytes < 0 {
			return -1
		}
		total += disk.ChangedBytes
	}
	return total
}
