package replication

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/progress"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// The statuses of a cycle that has ended, as the resource has them.
const (
	StatusReplicated  = "replicated"
	StatusInterrupted = "interrupted"
	StatusFailed      = "failed"
	StatusCutOver     = "cut_over"
)

// markTimeout bounds a mark on the volumes of a running copy.
const markTimeout = time.Minute

// follower keeps the file with the progress of one cycle.
type follower struct {
	tracker *progress.Tracker
	// keys are the device keys of the disks by their datastore path.
	keys map[string]int32
	// kinds are the planned kinds, by device key: true for a full copy.
	kinds map[int32]bool
	// began is called when the copy of a disk has begun, and settled once migratekit has ended.
	began, settled func()
}

// follow begins the file. The caller must call end.
func (r *Runner) follow(ctx context.Context, cycle *Cycle, status *cbt.Status, log string) *follower {
	vm := status.VM
	var calls sync.WaitGroup
	f := &follower{keys: map[string]int32{}, kinds: map[int32]bool{}}
	f.began = func() {
		calls.Go(func() {
			// A request that is given up may still arrive, and mark the volume of a run that has ended.
			finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
			defer cancel()
			if err := cycle.Target.Began(finish, cycle.source(status)); err != nil {
				r.log.WarnContext(ctx, "Unable to mark the volumes of a run", "vm_path", vm.Path, "error", err.Error())
			}
		})
	}
	f.settled = calls.Wait
	names, from, disks := cycle.Target.Names(cycle.source(status)), cycle.copiesFrom(), map[int32]progress.Plan{}
	for key, planned := range Plan(cycle, status.Tracking()) {
		disk := status.Disk(key)
		f.kinds[key] = planned.Kind == cbt.Full
		disks[key] = progress.Plan{Full: f.kinds[key], Capacity: disk.Capacity, Target: names[key], ChangeID: from[key]}
		f.keys[disk.Top], f.keys[disk.File] = key, key
	}
	file := progress.File{
		Kind: progress.KindCycle, VMPath: vm.Path, VMName: vm.Name, VMID: vm.Identity(), ProviderVersion: r.version, PID: os.Getpid(), LogFile: log,
	}
	f.tracker = progress.Start(file, disks, func(p progress.File) {
		args := []any{"vm_path", vm.Path, "percent", p.Percent}
		for _, detail := range []struct {
			name  string
			value *int64
		}{{"bytes", p.Bytes}, {"total_bytes", p.TotalBytes}, {"bytes_per_second", p.BytesPerSecond}, {"seconds_left", p.SecondsLeft}} {
			if detail.value != nil {
				args = append(args, detail.name, *detail.value)
			}
		}
		r.log.InfoContext(ctx, "Copy progress", args...)
	})
	return f
}

// take takes an event of migratekit.
func (f *follower) take(event migratekit.CopyEvent) {
	key := event.Key
	if event.Disk != "" {
		known, ok := f.keys[event.Disk]
		if !ok {
			return
		}
		key = known
	}
	switch event.Stage {
	case migratekit.CopyStarted:
		full := f.kinds[key]
		if event.Full != nil {
			full = *event.Full
		}
		f.tracker.Started(key, full)
		f.began()
	case migratekit.CopyAdvanced:
		if event.Full != nil {
			f.tracker.Kind(key, *event.Full)
		}
		f.tracker.Advanced(key, progress.Advance{Percent: event.Percent, Bytes: event.Bytes, Total: event.Total})
	case migratekit.CopyEnded:
		f.tracker.Ended(key)
	}
}

// measured takes what changed on a disk.
func (f *follower) measured(key int32, changed vsphere.ChangedAreas) {
	f.tracker.Measured(key, progress.Changed{Bytes: changed.Bytes, Below: changed.Below})
}

// end completes the file, whatever the outcome. clean removes secrets.
func (f *follower) end(ctx context.Context, cycle *Cycle, result *Result, err error, clean func(string) string) error {
	status, failed := StatusReplicated, ""
	if err != nil {
		reasons := slices.DeleteFunc(slices.Clone(result.Tail), func(line string) bool { return !strings.HasPrefix(line, "Error:") })
		failed = clean(strings.Join(append([]string{err.Error()}, reasons...), ": "))
	}
	switch {
	case err == nil && cycle.Target.Final():
		status = StatusCutOver
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		status = StatusInterrupted
	case err != nil:
		status = StatusFailed
	}
	f.settled()
	return f.tracker.End(status, failed, result.ChangeIDs)
}
