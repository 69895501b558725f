package replication

import (
	"fmt"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Trap is something that migratekit does not do, or does otherwise than one
// would expect, and that matters to a cycle.
type Trap struct {
	// Summary is a few words, Detail says what happens to what, and the cure.
	Summary, Detail string
}

// Traps are those that a cycle on this VM walks into. It is pure.
func Traps(cycle *Cycle, status *cbt.Status) []Trap {
	var (
		traps         []Trap
		sparse, grown []string
	)
	for _, key := range cycle.keys(status) {
		disk := status.Disk(key)
		if disk.Backing == vsphere.BackingSeSparse {
			sparse = append(sparse, disk.String())
		}
		if before := cycle.Sizes[key]; cycle.OpenStack != nil && before > 0 && disk.Capacity > before {
			grown = append(grown, fmt.Sprintf("%s from %d to %d bytes", disk, before, disk.Capacity))
		}
	}
	add := func(summary, format string, args ...any) {
		traps = append(traps, Trap{summary, fmt.Sprintf(format, args...)})
	}
	path := status.VM.Path
	if len(sparse) > 0 {
		add("Disks That migratekit May Not Read",
			"%q has disks in the format SeSparse, which are tracked, but which migratekit is known not to read: %s. Move them to another datastore or format (storage vMotion) before the first cycle.",
			path, strings.Join(sparse, ", "))
	}
	if len(grown) > 0 {
		add("Disks Grew Since the Last Cycle",
			"Disks of %q are larger than they were when they were copied last: %s. Their volumes are not grown by migratekit: extend them in OpenStack before this cycle.",
			path, strings.Join(grown, ", "))
	}
	if !cycle.cutsOver() {
		return traps
	}
	if v2v := cycle.OpenStack.RunV2V; len(status.Disks) > 1 && (v2v == nil || *v2v) {
		add("virt-v2v Converts the First Disk Only",
			"%q has %d disks, and migratekit lets virt-v2v convert the first one only. A guest whose system lies on several disks may not boot; convert it by hand, and set run_v2v to false.",
			path, len(status.Disks))
	}
	if status.VM.Windows && status.VM.PowerState == poweredOn && !status.VM.ToolsRunning {
		add("Windows Guest Without VMware Tools",
			"VMware Tools do not run in %q, so that the cutover cannot shut Windows down in order. Install or start them, or shut the guest down by hand before the apply.", path)
	}
	return traps
}

const poweredOn = "poweredOn"
