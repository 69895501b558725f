package replication

import (
	"log/slog"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/nbd"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// snapshotName is the name of migratekit's own snapshot.
const snapshotName = "migratekit"

// Cycle is what one run of migratekit is asked to do.
type Cycle struct {
	// Moid is the managed object ID of the VM.
	Moid string
	// Username and Password are what migratekit logs in to vCenter with.
	Username, Password string
	// Program is migratekit: a path, or a name to find in PATH.
	Program string
	// Env is added to its environment.
	Env map[string]string
	// CompressionMethod is its own option; "" leaves it to the program.
	CompressionMethod string
	// ExtraArgs are added to its command line.
	ExtraArgs []string
	// Exactly one of OpenStack and Exports is set. Exports are by device key.
	OpenStack *migratekit.OpenStack
	Exports   map[int32]nbd.URI
	// AutoCBT makes tracking work first; without it the cycle goes on with a
	// warning.
	AutoCBT bool
	// Previous are the change IDs of the last cycle, by device key.
	Previous map[int32]string
	// Sizes are how large the disks were when they were copied last, in bytes,
	// by device key.
	Sizes map[int32]int64
	// Planned is what the practitioner was told that this cycle copies, by device
	// key; what Plan says now where it is nil.
	Planned map[int32]cbt.Kind
	// FailOnReset refuses to copy whole what was copied incrementally before.
	FailOnReset bool
	// RemoveLeftovers removes snapshots of earlier runs in place of failing.
	RemoveLeftovers bool
	// StopGrace is how long migratekit may take to end after an interrupt.
	StopGrace time.Duration
	// LogDirectory is where the log of the cycle goes.
	LogDirectory string
}

// Result is what a cycle did.
type Result struct {
	// Status is the VM as it was before migratekit was started, nil where the
	// cycle did not get that far.
	Status *cbt.Status
	// Started is false where migratekit was not started.
	Started bool
	// ChangeIDs are what the next cycle copies from, by device key: those of
	// this cycle's snapshot for each disk that was copied.
	ChangeIDs map[int32]string
	// Kind is what the cycle was as a whole.
	Kind               cbt.Kind
	StartedAt, EndedAt time.Time
	Disks              map[int32]DiskResult
	LogFile            string
	// Tail are the last lines of migratekit's output, without secrets.
	Tail     []string
	Warnings []string
}

// DiskResult is what a cycle did to one disk.
type DiskResult struct {
	Kind cbt.Kind
	// ChangedBytes is how much there was to copy; -1 where it could not be
	// measured.
	ChangedBytes int64
}

// Runner runs cycles on VMs of one vCenter.
type Runner struct {
	vcenter  *vsphere.Client
	manager  *cbt.Manager
	progress *migratekit.ProgressListener
	log      *slog.Logger
}

// NewRunner makes a runner.
func NewRunner(vcenter *vsphere.Client, manager *cbt.Manager, log *slog.Logger) *Runner {
	return &Runner{
		vcenter: vcenter, manager: manager, log: log,
		progress: migratekit.NewProgressListener(migratekit.ProgressAddress),
	}
}

// cutsOver says that it is the last one, which copies twice.
func (c *Cycle) cutsOver() bool { return c.OpenStack != nil && c.OpenStack.Cutover }

// keys are the device keys of the disks that a cycle copies.
func (c *Cycle) keys(status *cbt.Status) []int32 {
	var keys []int32
	for _, disk := range status.Disks {
		if _, ok := c.Exports[disk.Key]; ok || c.OpenStack != nil {
			keys = append(keys, disk.Key)
		}
	}
	return keys
}
