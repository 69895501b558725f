package replication

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

// Planned is what the next copy of one disk will be.
type Planned struct {
	Kind   cbt.Kind
	Reason string
	// Lost says that increments were running and that tracking lost them.
	Lost bool
}

func (p Planned) String() string {
	if p.Reason == "" {
		return string(p.Kind)
	}
	return fmt.Sprintf("%s: %s", p.Kind, p.Reason)
}

// Plan tells what the next cycle will copy of each disk, by device key. It is
// pure.
func Plan(cycle *Cycle, status *cbt.Status) map[int32]Planned {
	planned := map[int32]Planned{}
	for _, key := range cycle.keys(status) {
		previous := cycle.Previous[key]
		current := ""
		if disk := status.Disk(key); status.Enabled() && disk != nil {
			current = disk.ChangeID
		}
		kind, reason := cbt.NextCycle(previous, current)
		p := Planned{Kind: kind, Reason: reason, Lost: kind == cbt.Full && previous != ""}
		if previous == "" && len(cycle.Previous) > 0 {
			p.Reason = "disk added since the last cycle"
		}
		planned[key] = p
	}
	return planned
}

// Intact says that the change IDs of the last cycle still hold: on each disk
// that is still there, the epoch is the same.
func Intact(previous map[int32]string, status *cbt.Status) bool {
	for key, id := range previous {
		disk := status.Disk(key)
		if disk == nil {
			continue
		}
		if !disk.Tracked || cbt.Epoch(disk.ChangeID) != cbt.Epoch(id) {
			return false
		}
	}
	return true
}

// Problems are what makes a cycle impossible whatever the state of tracking,
// each with its cure.
func Problems(cycle *Cycle, status *cbt.Status) []string {
	var problems []string
	for key := range cycle.Exports {
		if status.Disk(key) == nil {
			problems = append(problems, fmt.Sprintf("%s has no disk with the device key %d; its disks are %s",
				status.VM.Path, key, describeDisks(status)))
		}
	}
	slices.Sort(problems)
	for _, key := range cycle.keys(status) {
		if disk := status.Disk(key); !disk.Trackable {
			cure := "leave it out of nbd.exports, or give it a form that can be tracked"
			if cycle.OpenStack != nil {
				cure = "migratekit copies every disk to OpenStack, so give it a form that can be tracked, or detach it for the migration"
			}
			problems = append(problems, fmt.Sprintf("%s of %s cannot be copied by migratekit: %s; %s",
				disk, status.VM.Path, disk.Reason, cure))
		}
	}
	return problems
}

// WithoutLeftovers is the status as it is once the snapshots of earlier runs are
// removed, where the cycle removes them. It is pure.
func WithoutLeftovers(cycle *Cycle, status *cbt.Status) *cbt.Status {
	if !cycle.RemoveLeftovers {
		return status
	}
	vm := *status.VM
	vm.Snapshots = slices.DeleteFunc(slices.Clone(vm.Snapshots), isLeftover)
	return cbt.NewStatus(&vm)
}

// NotCopied are the disks of the VM that a cycle leaves out.
func NotCopied(cycle *Cycle, status *cbt.Status) []string {
	keys := cycle.keys(status)
	var left []string
	for _, disk := range status.Disks {
		if !slices.Contains(keys, disk.Key) {
			left = append(left, disk.String())
		}
	}
	return left
}

func describeDisks(status *cbt.Status) string {
	var disks []string
	for _, d := range status.Disks {
		disks = append(disks, fmt.Sprintf("%d (%s)", d.Key, d.Label))
	}
	return strings.Join(disks, ", ")
}
