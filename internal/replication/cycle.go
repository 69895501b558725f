package replication

import (
	"log/slog"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/openstack"
	"github.com/vma-project/terraform-provider-vma/internal/process"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Cycle configures one run of migratekit.
type Cycle struct {
	// Moid is the managed object ID of the VM.
	Moid   string
	Target Target
	// Program is migratekit: a path, or a name to find in PATH.
	Program string
	// Environment is added to migratekit's environment.
	Environment map[string]string
	// CompressionMethod is "" for migratekit's default.
	CompressionMethod string
	ExtraArgs         []string
	// AutoCBT enables CBT first. Without it the cycle continues with a warning.
	AutoCBT bool
	// Previous are the change IDs of the last cycle, by device key.
	Previous map[int32]string
	// Moved has the device keys of disks whose target is another one than at their last copy.
	Moved map[int32]bool
	// Sizes are the disks' sizes at their last copy in bytes, by device key.
	Sizes map[int32]int64
	// Announced has the copy that the plan announced for each disk, by device key. It is nil if the plan announced none.
	Announced map[int32]PlannedCopy
	// FailOnReset refuses a full copy where increments were running, and FailOnTargetLost one because the target has lost the copy.
	FailOnReset, FailOnTargetLost bool
	// RemoveLeftovers removes snapshots of earlier runs instead of failing.
	RemoveLeftovers bool
	// StopGrace is how long migratekit may take to end after an interrupt.
	StopGrace time.Duration
	// Timeout is how long the cycle may take once it has its slot.
	Timeout time.Duration
	// StallTimeout is how long a copy may be without progress.
	StallTimeout time.Duration
	// Shutdown applies to a cutover.
	Shutdown Shutdown
	// LogDirectory is where the cycle's log is written.
	LogDirectory string

	// unfinished is true if the end of the last run on this machine was not seen.
	unfinished bool
}

// copiesFrom returns the change IDs that migratekit copies from, by device key, as far as they are known.
func (c *Cycle) copiesFrom() map[int32]string {
	ids := map[int32]string{}
	for key, held := range c.Target.Holds(c.Previous) {
		if held.Lost == "" && held.ChangeID != "" {
			ids[key] = held.ChangeID
		}
	}
	return ids
}

func (c *Cycle) source(status *cbt.Status) Source {
	return Source{Status: status, Previous: c.Previous, Sizes: c.Sizes, Unfinished: c.unfinished}
}

// Result is what a cycle did.
type Result struct {
	// Status is the VM before migratekit was started, nil if the cycle failed earlier.
	Status *cbt.Status
	// Started is true if migratekit was started.
	Started bool
	// ChangeIDs are what the next cycle copies from, by device key.
	ChangeIDs map[int32]string
	// Kind is the kind of the whole cycle.
	Kind               cbt.Kind
	StartedAt, EndedAt time.Time
	Disks              map[int32]DiskResult
	LogFile            string
	// Unmeasured says why the changed bytes of an increment are not known, "" if they are.
	Unmeasured string
	// CutOver is true if the cutover is done: by this cycle, or by an earlier one whose end was not seen.
	CutOver bool
	// Volumes are the volumes of the copies, by device key, nil if they are not known. Server was booted from them.
	Volumes map[int32]openstack.Volume
	Server  *openstack.Server
	// Cutover is true if the run was a cutover. SourceState is the source's power state after it, "" if unknown. TargetUnknown is true if the volumes could not be read.
	Cutover       bool
	SourceState   string
	TargetUnknown bool
	// Tail has the last lines of migratekit's output, without secrets.
	Tail     []string
	Warnings []string

	// attached is true if a volume is still attached to the machine of the run.
	attached bool
}

// DiskResult is what a cycle did to one disk.
type DiskResult struct {
	Kind cbt.Kind
	// ChangedBytes is how much there was to copy, -1 if it could not be measured.
	ChangedBytes int64
}

// ChangedBytes returns the sum over all disks, -1 if one is unknown.
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

// Runner runs cycles on VMs of one vCenter.
type Runner struct {
	vcenter *vsphere.Client
	manager *cbt.Manager
	machine *process.Machine
	exports *ExportClaims
	slots   *slots
	log     *slog.Logger
	// version is that of the provider.
	version string
}

// NewRunner returns a runner that runs migratekit on this machine.
func NewRunner(vcenter *vsphere.Client, manager *cbt.Manager, machine *process.Machine, log *slog.Logger, limits Limits, version string) *Runner {
	return &Runner{vcenter: vcenter, manager: manager, machine: machine, exports: newExportClaims(), slots: newSlots(limits, log), log: log, version: version}
}

// ExportClaims returns the claims of all cycles of this runner.
func (r *Runner) ExportClaims() *ExportClaims { return r.exports }
