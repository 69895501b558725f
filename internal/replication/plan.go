package replication

import (
	"fmt"
	"maps"
	"slices"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

// PlannedCopy predicts the next copy of one disk.
type PlannedCopy struct {
	Kind cbt.Kind
	// Reason says why the copy is full, "" for an incremental copy.
	Reason string
	// Lost is true if the disk was copied before and must be copied in full again, because its change tracking started anew.
	Lost bool
	// TargetLost is true if that is because the target has lost the copy, and Renamed if it lost it because the VM has another name.
	TargetLost, Renamed bool
}

// String returns the text of planned_cycle.
func (p PlannedCopy) String() string {
	if p.Reason == "" {
		return string(p.Kind)
	}
	return fmt.Sprintf("%s: %s", p.Kind, p.Reason)
}

// Plan returns what the next cycle will copy, by device key. It is pure.
func Plan(cycle *Cycle, tracking cbt.Tracking) map[int32]PlannedCopy {
	planned := map[int32]PlannedCopy{}
	holds := cycle.Target.Holds(cycle.Previous)
	for _, key := range cycle.Target.Disks(tracking) {
		held := holds[key]
		kind, reason := tracking.NextCopy(key, held.Epoch)
		p := PlannedCopy{Kind: kind, Reason: reason, Lost: kind == cbt.Full && held.Epoch != ""}
		switch {
		case held.Lost != "":
			p = PlannedCopy{Kind: cbt.Full, Reason: held.Lost, TargetLost: cycle.Previous[key] != "", Renamed: held.Renamed}
		case cycle.Moved[key]:
			p.Reason = "export changed since the last cycle"
		case held.Epoch == "" && cycle.Previous[key] == "" && len(cycle.Previous) > 0:
			p.Reason = "disk added since the last cycle"
		}
		planned[key] = p
	}
	return planned
}

// describe describes the disks whose plan is of a kind, one line each.
func describe(planned map[int32]PlannedCopy, tracking cbt.Tracking, is func(PlannedCopy) bool) []string {
	var lost []string
	for _, key := range slices.Sorted(maps.Keys(planned)) {
		if is(planned[key]) {
			lost = append(lost, fmt.Sprintf("%s: %s", tracking.Disk(key), planned[key].Reason))
		}
	}
	return lost
}

// withoutLeftovers returns the status as it will be after the cycle removed the snapshots of earlier runs.
func withoutLeftovers(cycle *Cycle, status *cbt.Status) *cbt.Status {
	if !cycle.RemoveLeftovers {
		return status
	}
	vm := *status.VM
	vm.Snapshots = slices.DeleteFunc(slices.Clone(vm.Snapshots), cbt.IsLeftover)
	return cbt.NewStatus(&vm)
}
