package replication

import (
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
	for _, key := range cycle.keys(status) {
		kind, logged := copied.kinds[key]
		if !logged {
			kind = planned[key].Kind
		}
		if !succeeded && !copied.done(key, posted) {
			continue // its last good change ID stays
		}
		if logged && kind != planned[key].Kind {
			result.Warnings = append(result.Warnings, fmt.Sprintf("%s (device key %d) of %s was copied %s, and %s was expected",
				status.Disk(key).Label, key, status.VM.Path, kindText(kind), kindText(planned[key].Kind)))
		}
		result.Disks[key] = DiskResult{Kind: kind, ChangedBytes: changedBytes(key, kind, status, measured)}
		if id := changeID(key, status, measured, posted); id != "" {
			result.ChangeIDs[key] = id
		}
	}
	if succeeded {
		keep := cycle.keys(status)
		maps.DeleteFunc(result.ChangeIDs, func(key int32, _ string) bool { return !slices.Contains(keep, key) })
		if !measured.seen {
			result.Warnings = append(result.Warnings, fmt.Sprintf(
				"the snapshot of migratekit on %s was gone before it could be measured, so the bytes of incremental copies are not known", status.VM.Path))
		}
	}
	result.Kind = overall(result.Disks)
}

func kindText(kind cbt.Kind) string {
	if kind == cbt.Full {
		return "whole"
	}
	return "incrementally"
}

// done tells which disks' copies the log or the store says to have ended.
type done struct {
	kinds map[int32]cbt.Kind
	last  int32 // the disk whose copy began last, -1 for none
}

// done says that a disk was copied to its end although the run failed: the
// store has its change ID, or another disk's copy began after it.
func (d done) done(key int32, posted map[int32]string) bool {
	if posted != nil {
		return posted[key] != ""
	}
	_, began := d.kinds[key]
	return began && key != d.last
}

// copies matches the disks that the log names by file with the VM's.
func copies(status *cbt.Status, outcome migratekit.Outcome, measured measurement) done {
	files := map[string]int32{}
	for _, disk := range status.Disks {
		files[disk.File] = disk.Key
	}
	for key, disk := range measured.disks {
		files[disk.File] = key
	}
	d := done{kinds: map[int32]cbt.Kind{}, last: -1}
	for _, c := range outcome.Copies {
		key, ok := files[c.Disk]
		if !ok {
			continue
		}
		d.kinds[key], d.last = cbt.Incremental, key
		if c.Full {
			d.kinds[key] = cbt.Full
		}
	}
	return d
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

// changeID is what the next cycle copies from: what migratekit filed, else that
// of its snapshot, else that of before the run, which is older and so never
// too new.
func changeID(key int32, status *cbt.Status, measured measurement, posted map[int32]string) string {
	if id := posted[key]; id != "" {
		return id
	}
	if disk, ok := measured.disks[key]; ok {
		return disk.ChangeID
	}
	return status.Disk(key).ChangeID
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
