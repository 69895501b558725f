package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// buildResult fills the result: the kind of each disk's copy comes from the program's log, its bytes and change IDs from the snapshot in
// vCenter.
func buildResult(
	cycle *Cycle, status *cbt.Status, outcome migratekit.Outcome, measured measurement, succeeded bool, result *Result,
) Run {
	tracking := status.Tracking()
	planned := Plan(cycle, tracking)
	evidence := newEvidence(status, outcome, measured, succeeded)
	if !succeeded && measured.first != nil {
		// A cutover that failed has copied the disks of its first snapshot. How far it got with the second one is unknown.
		measured.disks = measured.first
	}
	for _, key := range cycle.Target.Disks(tracking) {
		kind, logged := evidence.Kinds[key]
		if !logged {
			kind = planned[key].Kind
		}
		if !cycle.Target.Copied(key, evidence) {
			continue // it keeps its last change ID
		}
		if announced := cycle.announcedKind(key, planned); kind != announced {
			result.warn("%s of %s was copied %s, and %s was planned",
				status.Disk(key), status.VM.Path, kindText(kind), kindText(announced))
		}
		result.Disks[key] = DiskResult{Kind: kind, ChangedBytes: changedBytes(key, kind, status, measured)}
		result.setChangeID(key, status, measured, outcome.ChangeIDs)
	}
	if succeeded {
		keys := cycle.Target.Disks(tracking)
		maps.DeleteFunc(result.ChangeIDs, func(key int32, _ string) bool { return !slices.Contains(keys, key) })
		completionWarnings(keys, status, measured, result)
	}
	result.Kind = overallKind(result.Disks)
	return Run{Evidence: evidence, ChangeIDs: changeIDs(measured.disks), First: changeIDs(measured.first)}
}

func changeIDs(disks map[int32]vsphere.Disk) map[int32]string {
	ids := map[int32]string{}
	for key, disk := range disks {
		ids[key] = disk.ChangeID
	}
	return ids
}

func (r *Result) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// setChangeID sets what the next cycle copies a disk from.
func (r *Result) setChangeID(key int32, status *cbt.Status, measured measurement, filed map[int32]string) {
	id, agreed := changeID(key, status, measured, filed)
	if !agreed {
		next := "the next cycle copies from " + id + ", which is the older one"
		if id == "" {
			next = "the next copy of it is full"
			delete(r.ChangeIDs, key)
		}
		r.warn("migratekit filed the change ID %s for %s of %s, and its snapshot has %s: %s",
			filed[key], status.Disk(key), status.VM.Path, measured.disks[key].ChangeID, next)
	}
	if id != "" {
		r.ChangeIDs[key] = id
	}
}

// announcedKind returns the copy kind that the plan announced for a disk.
func (c *Cycle) announcedKind(key int32, planned map[int32]PlannedCopy) cbt.Kind {
	if announced, ok := c.Announced[key]; ok {
		return announced.Kind
	}
	return planned[key].Kind
}

// completionWarnings warns about disks of a successful cycle that could not be verified, and says why bytes are not known.
func completionWarnings(keys []int32, status *cbt.Status, measured measurement, result *Result) {
	for _, key := range keys {
		if _, ok := result.Disks[key]; !ok {
			result.warn("migratekit completed, but nothing shows that it copied %s of %s completely, which therefore keeps its last change ID",
				status.Disk(key), status.VM.Path)
		}
	}
	if result.ChangedBytes() < 0 {
		result.Unmeasured = "migratekit removed its snapshot before it was measured"
		if measured.err != nil && !errors.Is(measured.err, context.Canceled) && !errors.Is(measured.err, vsphere.ErrNotFound) {
			result.Unmeasured = "migratekit's snapshot could not be measured: " + measured.err.Error()
		}
	}
}

func kindText(kind cbt.Kind) string {
	if kind == cbt.Full {
		return "whole"
	}
	return "incrementally"
}

// newEvidence matches the disks in migratekit's log with the VM's disks. The log names a disk by its file.
func newEvidence(status *cbt.Status, outcome migratekit.Outcome, measured measurement, succeeded bool) Evidence {
	keys := map[string]int32{}
	for _, disk := range status.Disks {
		keys[disk.Top] = disk.Key
	}
	for key, disk := range measured.disks {
		keys[disk.Top] = key
	}
	e := Evidence{Outcome: outcome, Succeeded: succeeded, SnapshotSeen: measured.seen, Kinds: map[int32]cbt.Kind{}, Last: -1, Begun: map[int32]int{}, FullDone: map[int32]int{}}
	for key, full := range outcome.FullCopies {
		e.Kinds[key] = kindOf(migratekit.Copy{Full: full})
	}
	for _, c := range outcome.Copies {
		key, ok := keys[c.Disk]
		if !ok {
			continue
		}
		e.Last = key
		e.Begun[key]++
		if c.Full || e.Kinds[key] == "" { // a cutover copies twice; if one copy was full, the disk's is
			e.Kinds[key] = kindOf(c)
		}
	}
	for _, file := range outcome.FullDone {
		if key, ok := keys[file]; ok {
			e.FullDone[key]++
		}
	}
	return e
}

func kindOf(c migratekit.Copy) cbt.Kind {
	if c.Full {
		return cbt.Full
	}
	return cbt.Incremental
}

// changedBytes returns how much there was to copy, or -1.
func changedBytes(key int32, kind cbt.Kind, status *cbt.Status, measured measurement) int64 {
	if kind == cbt.Full {
		return status.Disk(key).Capacity
	}
	if changed, ok := measured.changed[key]; ok {
		return changed
	}
	return -1
}

// changeID returns the change ID that the next cycle copies from: that of the snapshot that was copied, else the filed one, else the one
// that the disk had before the run. An older change ID is safe: more is copied than needed. If snapshot and store disagree, agreed is
// false, and id is the older of the two, or "" if their epochs differ.
func changeID(key int32, status *cbt.Status, measured measurement, filed map[int32]string) (id string, agreed bool) {
	stored, snapshot := filed[key], measured.disks[key].ChangeID
	switch {
	case snapshot == "" && stored == "":
		return status.Disk(key).ChangeID, true
	case snapshot == "":
		return stored, true
	case stored == "" || stored == snapshot:
		return snapshot, true
	case cbt.Epoch(stored) != cbt.Epoch(snapshot):
		return "", false // what the target holds is unknown
	case sequence(stored) < sequence(snapshot):
		return stored, false
	}
	return snapshot, false
}

func sequence(id string) int64 {
	parsed, _ := cbt.ParseChangeID(id)
	return parsed.Sequence
}

// overallKind returns the kind of a whole cycle.
func overallKind(disks map[int32]DiskResult) cbt.Kind {
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
