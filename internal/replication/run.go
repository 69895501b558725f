package replication

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/nbd"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Run runs one cycle. Nothing is written to the VM before everything that can
// be checked was; migratekit is not started unless tracking works (or the
// cycle says not to care). Errors: migratekit.ErrNotInstalled, PlaceError,
// ImpossibleError, EnvironmentError, ExportError, GateError, TrackingResetError, LeftoverError, RunError and
// those of vSphere. The result says what is true whatever the error.
func (r *Runner) Run(ctx context.Context, cycle *Cycle) (*Result, error) {
	result := &Result{ChangeIDs: maps.Clone(cycle.Previous), Disks: map[int32]DiskResult{}}
	if result.ChangeIDs == nil {
		result.ChangeIDs = map[int32]string{}
	}
	program, err := migratekit.FindProgram(cycle.Program)
	if err != nil {
		return result, err
	}
	if err := migratekit.CheckPlaces(cycle.LogDirectory, cycle.Env); err != nil {
		return result, &PlaceError{Directory: cycle.LogDirectory, Err: err}
	}
	if cycle.OpenStack != nil {
		if missing := migratekit.MissingOpenStack(cycle.Env); len(missing) > 0 {
			return result, &EnvironmentError{Missing: missing}
		}
	}
	return result, r.manager.Exclusive(ctx, cycle.Moid, func() error {
		return r.run(ctx, cycle, program, result)
	})
}

// run is the part of a cycle for which the VM is nobody else's.
func (r *Runner) run(ctx context.Context, cycle *Cycle, program string, result *Result) error {
	status, err := r.manager.Status(ctx, cycle.Moid)
	if err != nil {
		return err
	}
	if problems := Problems(cycle, status); len(problems) > 0 {
		return &ImpossibleError{Problems: problems}
	}
	if err := verifyExports(ctx, cycle, status); err != nil {
		return err
	}
	// Before the gate: tracking must not begin over a snapshot that is to go.
	if removed, err := r.leftovers(ctx, cycle, status); err != nil {
		return err
	} else if removed {
		if status, err = r.manager.Status(ctx, cycle.Moid); err != nil {
			return err
		}
	}
	if status, err = r.gate(ctx, cycle, status, result); err != nil {
		return err
	}
	result.Status = status
	if err := refuseReset(cycle, status); err != nil {
		return err
	}
	return r.copy(ctx, cycle, program, status, result)
}

// verifyExports makes sure that each export can take its disk, all at once.
func verifyExports(ctx context.Context, cycle *Cycle, status *cbt.Status) error {
	var group errgroup.Group
	for key, uri := range cycle.Exports {
		group.Go(func() error {
			size := uint64(status.Disk(key).Capacity) //nolint:gosec // a capacity is not negative
			err := nbd.Verify(ctx, uri, size)
			if err == nil && uri.TLS {
				err = nbd.Verify(ctx, uri.Plain(), size) // migratekit speaks no TLS, whatever the server offers
			}
			if err != nil {
				return &ExportError{Key: key, Err: err}
			}
			return nil
		})
	}
	return group.Wait()
}

// gate makes tracking work, or says that nobody looked.
func (r *Runner) gate(ctx context.Context, cycle *Cycle, status *cbt.Status, result *Result) (*cbt.Status, error) {
	vm := status.VM
	if !cycle.AutoCBT {
		result.Warnings = append(result.Warnings, TextUnchecked)
		r.log.WarnContext(ctx, TextUnchecked, "vm_path", vm.Path)
		return status, nil
	}
	works := status.Works()
	if works {
		r.log.InfoContext(ctx, textAlready, "vm_path", vm.Path)
	} else {
		r.log.InfoContext(ctx, textNotEnabled, "vm_path", vm.Path)
	}
	ensured, err := r.manager.Ensure(ctx, cycle.Moid, cbt.Options{})
	if err != nil {
		gated := &GateError{Name: vm.Name, Path: vm.Path, Err: err}
		r.log.ErrorContext(ctx, fmt.Sprintf("%s: %v", TextGate, gated), "vm_path", vm.Path)
		return nil, gated
	}
	if !works {
		r.log.InfoContext(ctx, textEnabled, "vm_path", vm.Path)
	}
	return ensured, nil
}

// refuseReset is the last look before migratekit starts: tracking may have been
// lost since the plan.
func refuseReset(cycle *Cycle, status *cbt.Status) error {
	if !cycle.FailOnReset {
		return nil
	}
	if lost := Lost(Plan(cycle, status), status); len(lost) > 0 {
		return &TrackingResetError{Path: status.VM.Path, Disks: lost}
	}
	return nil
}

// Lost describes the disks whose increments are lost, a line each.
func Lost(planned map[int32]Planned, status *cbt.Status) []string {
	var lost []string
	for _, key := range slices.Sorted(maps.Keys(planned)) {
		if planned[key].Lost {
			lost = append(lost, fmt.Sprintf("%s: %s", status.Disk(key), planned[key].Reason))
		}
	}
	return lost
}

// isLeftover says, before a run, that a snapshot is of an earlier one.
func isLeftover(s vsphere.Snapshot) bool { return s.Name == snapshotName }

// leftovers deals with snapshots of earlier runs, at which migratekit would
// stop and ask.
func (r *Runner) leftovers(ctx context.Context, cycle *Cycle, status *cbt.Status) (removed bool, err error) {
	found := slices.DeleteFunc(slices.Clone(status.VM.Snapshots), func(s vsphere.Snapshot) bool { return !isLeftover(s) })
	if len(found) == 0 {
		return false, nil
	}
	if !cycle.RemoveLeftovers {
		return false, &LeftoverError{Path: status.VM.Path, Snapshots: found}
	}
	for _, s := range found {
		r.log.InfoContext(ctx, "Removing a snapshot that an earlier run of migratekit left", "vm_path", status.VM.Path, "snapshot_moid", s.Moid)
		if err := r.manager.RemoveSnapshot(ctx, status.VM, s.Moid); err != nil {
			return false, fmt.Errorf("remove the snapshot %q that an earlier run of migratekit left on %s: %w", s.Name, status.VM.Path, err)
		}
	}
	return true, nil
}

// copy runs migratekit and learns what it did.
func (r *Runner) copy(ctx context.Context, cycle *Cycle, program string, status *cbt.Status, result *Result) error {
	watcher := r.watch(ctx, cycle, status)
	defer watcher.stop()
	job, store, err := r.job(ctx, cycle, program, status, watcher)
	if err != nil {
		return err
	}
	if store != nil {
		defer r.listen(ctx, job.ID, status)()
	}
	watcher.ready(ctx)
	result.LogFile = logFile(cycle.LogDirectory, status.VM.Name)
	result.StartedAt = time.Now().UTC()
	r.log.InfoContext(ctx, "Starting migratekit", "vm_path", status.VM.Path, "log_file", result.LogFile)
	outcome, err := migratekit.Run(ctx, job, migratekit.Options{LogFile: result.LogFile, StopGrace: cycle.StopGrace})
	result.Started, result.EndedAt, result.Tail = outcome.Started, time.Now().UTC(), outcome.Tail
	var posted map[int32]string
	if store != nil {
		posted = store.Posted()
		_ = store.Close() // it has said all that it had to say
	}
	if err == nil && !cycle.completed(outcome, posted, status) {
		err = ErrIncomplete
	}
	measured := watcher.stop()
	own := measured.snapshots
	if cycle.cutsOver() {
		own = nil // it makes several, and the last may not have been seen
	}
	if tidied := r.removeOwn(ctx, status, own); tidied != nil {
		result.Warnings = append(result.Warnings, tidied.Error())
	}
	conclude(cycle, status, outcome, measured, posted, err == nil, result)
	r.tell(ctx, status, result, err)
	if err != nil {
		return &RunError{LogFile: result.LogFile, Err: err}
	}
	return nil
}

// tell logs how a run ended, and what became of each disk that was copied.
func (r *Runner) tell(ctx context.Context, status *cbt.Status, result *Result, err error) {
	for _, key := range slices.Sorted(maps.Keys(result.Disks)) {
		r.log.InfoContext(ctx, "Disk copied", "vm_path", status.VM.Path, "disk", key, "kind", string(result.Disks[key].Kind),
			"changed_bytes", result.Disks[key].ChangedBytes, "change_id", result.ChangeIDs[key])
	}
	took := result.EndedAt.Sub(result.StartedAt).Milliseconds()
	if err != nil {
		r.log.ErrorContext(ctx, "migratekit failed", "vm_path", status.VM.Path, "duration_ms", took, "log_file", result.LogFile, "error", err.Error())
		return
	}
	r.log.InfoContext(ctx, "migratekit completed", "vm_path", status.VM.Path, "kind", string(result.Kind), "duration_ms", took)
}

// completed says that migratekit, which has ended well, did what it was to do.
func (c *Cycle) completed(outcome migratekit.Outcome, posted map[int32]string, status *cbt.Status) bool {
	if c.cutsOver() {
		return outcome.CutOver
	}
	return outcome.Completed || len(posted) >= len(c.keys(status))
}

// listen logs the progress that migratekit reports, where its port is free.
func (r *Runner) listen(ctx context.Context, job string, status *cbt.Status) (stop func()) {
	stop, err := r.progress.Listen(ctx, job, func(p migratekit.Progress) {
		r.log.InfoContext(ctx, "migratekit reports progress", "vm_path", status.VM.Path, "disk", p.DiskID, "stage", p.Stage, "status", p.Status,
			"percent", p.Percent, "bytes", p.BytesTransferred, "total_bytes", p.TotalBytes, "bytes_per_second", p.ThroughputBPS)
	})
	if err != nil {
		r.log.DebugContext(ctx, "Nothing will be heard of migratekit's progress", "vm_path", status.VM.Path, "error", err.Error())
	}
	return stop
}

func (r *Runner) job(
	ctx context.Context, cycle *Cycle, program string, status *cbt.Status, watcher *watcher,
) (migratekit.Job, *migratekit.Store, error) {
	common := migratekit.Common{
		Program: program,
		Source: migratekit.Source{
			Endpoint: r.vcenter.Endpoint(), Username: cycle.Username, Password: cycle.Password, Path: status.VM.Path,
		},
		CompressionMethod: cycle.CompressionMethod,
		ExtraArgs:         cycle.ExtraArgs,
		Env:               cycle.Env,
	}
	if cycle.OpenStack != nil {
		return migratekit.NewOpenStackJob(common, *cycle.OpenStack), nil, nil
	}
	id := "vma-" + strings.ToLower(rand.Text()[:16])
	store, err := migratekit.StartStore(ctx, status.VM.Path, id, cycle.keys(status), cycle.Previous, watcher.wait)
	if err != nil {
		return migratekit.Job{}, nil, err
	}
	target := migratekit.NBD{Exports: map[int32]migratekit.Export{}, SingleDisk: len(status.Disks) == 1, JobID: id, Store: store.URL()}
	for key, uri := range cycle.Exports {
		target.Exports[key], target.Port = migratekit.Export{URI: uri.Plain().String(), Name: uri.Export}, uri.Port
	}
	return migratekit.NewNBDJob(common, target), store, nil
}

// maxLogName bounds the part of a log's name that is the VM's, in bytes: file
// systems allow 255 in all.
const maxLogName = 150

// logFile names the log of one cycle.
func logFile(directory, vm string) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|%`, r) || r < ' ' {
			return '_'
		}
		return r
	}, vm)
	if len(name) > maxLogName {
		name = strings.ToValidUTF8(name[:maxLogName], "")
	}
	return filepath.Join(directory, fmt.Sprintf("%s-%s-%s.log", name,
		time.Now().UTC().Format("20060102T150405Z"), strings.ToLower(rand.Text()[:6])))
}
