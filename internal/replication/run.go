package replication

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/process"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Run runs one cycle. Everything that can be checked is checked before anything is changed, and migratekit is started only if
// CBT works (or AutoCBT is false). Errors: WaitError, LogDirectoryError, PreflightError, LeftoverError, GateError, TrackingResetError,
// RunError and those of vSphere. The result is valid whatever the error.
func (r *Runner) Run(ctx context.Context, cycle *Cycle) (*Result, error) {
	result := &Result{ChangeIDs: maps.Clone(cycle.Previous), Disks: map[int32]DiskResult{}}
	if result.ChangeIDs == nil {
		result.ChangeIDs = map[int32]string{}
	}
	if err := checkLogDirectory(cycle.LogDirectory); err != nil {
		return result, &LogDirectoryError{Directory: cycle.LogDirectory, Err: err}
	}
	return result, r.manager.Exclusive(ctx, cycle.Moid, func() error { return r.runAdmitted(ctx, cycle, result) })
}

// runAdmitted waits for the cycle's slot. It is called while no other cycle of this process uses the VM.
func (r *Runner) runAdmitted(ctx context.Context, cycle *Cycle, result *Result) error {
	status, release, err := r.admit(ctx, cycle.Moid)
	if err != nil {
		return err
	}
	defer release()
	if cycle.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cycle.Timeout)
		defer cancel()
	}
	return r.run(ctx, cycle, status, result)
}

// admit waits for a slot, and returns the VM as it is then.
func (r *Runner) admit(ctx context.Context, moid string) (status *cbt.Status, release func(), err error) {
	read := func() (*cbt.Status, error) {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		return r.manager.ReadUncached(ctx, moid)
	}
	if status, err = read(); err != nil {
		return nil, nil, err
	}
	for again := false; ; again = true {
		release, waited, err := r.slots.acquire(ctx, status.VM, again)
		if err != nil || !waited {
			return status, release, err
		}
		before := status.VM
		if status, err = read(); err != nil {
			release()
			return nil, nil, err
		}
		if r.slots.samePlace(before, status.VM) {
			return status, release, nil
		}
		release() // it moved while it waited
	}
}

// readTimeout bounds the reads of a cycle that waits for its slot.
const readTimeout = 5 * time.Minute

// run is called with a fresh status.
func (r *Runner) run(ctx context.Context, cycle *Cycle, status *cbt.Status, result *Result) error {
	job := r.job(cycle, status)
	lacks := append(r.machine.Check(job), r.checkPrivileges(ctx, cycle, status)...)
	cycle.unfinished = r.isUnfinished(ctx, status.VM.Identity())
	found := preflight(ctx, cycle, status, r.machine.Place(), lacks)
	switch {
	case found.Done:
		result.Status, result.CutOver = status, true
		return cycle.Target.Conclude(ctx, cycle.source(status), Run{}, result)
	case len(found.Errors) > 0:
		return &PreflightError{Errors: found.Errors}
	}
	held, err := r.lock(ctx, status.VM.Identity(), job)
	if err != nil {
		return err
	}
	defer held.Release()
	if slices.ContainsFunc(status.VM.Snapshots, cbt.IsLeftover) { // a run that has just ended may have removed it
		if status, err = r.manager.ReadUncached(ctx, cycle.Moid); err != nil {
			return err
		}
	}
	// Before the gate, because CBT must not be enabled while a snapshot exists.
	if removed, err := r.leftovers(ctx, cycle, status); err != nil {
		return err
	} else if removed {
		if status, err = r.manager.ReadUncached(ctx, cycle.Moid); err != nil {
			return err
		}
	}
	if status, err = r.gate(ctx, cycle, status, result); err != nil {
		return err
	}
	result.Status = status
	if blocked := r.checkSnapshot(ctx, status); len(blocked) > 0 {
		return &PreflightError{Errors: blocked}
	}
	var lost Findings
	if lost.checkLost(cycle, status.VM.Path, status.Tracking()); len(lost.Errors) > 0 {
		return lost.Errors[0]
	}
	return r.copy(ctx, cycle, held, status, result)
}

// gate enables CBT, or returns a GateError.
func (r *Runner) gate(ctx context.Context, cycle *Cycle, status *cbt.Status, result *Result) (*cbt.Status, error) {
	vm := status.VM
	if !cycle.AutoCBT {
		result.Warnings = append(result.Warnings, TextUnchecked)
		r.log.WarnContext(ctx, TextUnchecked, "vm_path", vm.Path)
		return status, nil
	}
	initialized := status.Initialized()
	if initialized {
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
	if !initialized {
		r.log.InfoContext(ctx, textEnabled, "vm_path", vm.Path)
	}
	return ensured, nil
}

// leftovers removes migratekit's snapshots of earlier runs, or returns a LeftoverError. migratekit would stop and ask what to
// do with them.
func (r *Runner) leftovers(ctx context.Context, cycle *Cycle, status *cbt.Status) (removed bool, err error) {
	found := slices.DeleteFunc(slices.Clone(status.VM.Snapshots), func(s vsphere.Snapshot) bool { return !cbt.IsLeftover(s) })
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

// job describes the run of migratekit. No other code copies the vCenter credential into a job.
func (r *Runner) job(cycle *Cycle, status *cbt.Status) migratekit.Job {
	login := r.vcenter.Login()
	return cycle.Target.Job(migratekit.Common{
		Program: cycle.Program,
		Source: migratekit.Source{
			Endpoint: login.Endpoint, Username: login.Username, Password: login.Password, Path: status.VM.Path,
		},
		CompressionMethod: cycle.CompressionMethod,
		ExtraArgs:         cycle.ExtraArgs,
		Environment:       cycle.Environment,
		StopGrace:         cycle.StopGrace,
		StallTimeout:      stallTimeout(cycle.StallTimeout, status),
	}, cycle.source(status))
}

// copy runs migratekit, removes the snapshot that it left, and builds the result.
func (r *Runner) copy(ctx context.Context, cycle *Cycle, held process.Locks, status *cbt.Status, result *Result) error {
	before, err := r.vcenter.SnapshotTasks(ctx, cycle.Moid)
	if err != nil {
		return err
	}
	result.LogFile = logPath(cycle.LogDirectory, status.VM.Name)
	follower := r.follow(ctx, cycle, status, result.LogFile)
	clean := migratekit.NewRedactor(r.job(cycle, status), os.Environ()).Redact
	err = r.copyFollowed(ctx, cycle, held, status, before, follower, result)
	if failed := follower.end(ctx, cycle, result, err, clean); failed != nil {
		r.log.WarnContext(ctx, "Unable to complete the file with the progress", "vm_path", status.VM.Path, "error", failed.Error())
	}
	return err
}

// copyFollowed is copy with its progress. before are the snapshot tasks that are older than the run.
func (r *Runner) copyFollowed(
	ctx context.Context, cycle *Cycle, held process.Locks, status *cbt.Status, before map[string]bool, follower *follower, result *Result,
) error {
	watcher := r.watch(ctx, cycle, status, follower.measured)
	defer watcher.stop()
	watcher.ready(ctx)
	if err := cycle.Target.Prepare(ctx, cycle.source(status)); err != nil {
		return err
	}
	running, guard := r.guardShutdown(ctx, cycle, status)
	result.StartedAt = time.Now().UTC()
	r.log.InfoContext(ctx, "Starting migratekit", "vm_path", status.VM.Path, "log_file", result.LogFile)
	outcome, err := r.runJob(running, r.job(cycle, status), held, status, watcher, follower, result.LogFile)
	err = guard(err)
	follower.settled()
	result.Started, result.EndedAt, result.Tail = outcome.Started, time.Now().UTC(), outcome.Tail
	if outcome.Unreported != "" {
		result.warn("The progress of %s could not be received, so it is only known which disk is being copied: %s. Another migratekit for NBD targets may run on this machine.", status.VM.Path, outcome.Unreported)
	}
	if err == nil && !completed(cycle, status, outcome) {
		err = ErrIncomplete
	}
	measured := watcher.stop()
	if err == nil && len(measured.snapshots) == 0 && !r.madeSnapshot(ctx, cycle.Moid, before) {
		err = ErrNoEvidence
	}
	own := measured.snapshots
	if cycle.Target.Final() {
		own = nil // a cutover makes several, and the last one may not have been seen
	}
	if outcome.Started {
		if err := r.removeOwn(ctx, status, own); err != nil {
			result.Warnings = append(result.Warnings, err.Error())
		}
	}
	if err == nil {
		r.measureLate(ctx, cycle, status, &measured)
	}
	run := buildResult(cycle, status, outcome, measured, err == nil, result)
	err = r.conclude(ctx, cycle, status, run, result, err)
	if !result.attached {
		held.Forget()
	}
	r.logResult(ctx, status, result, err)
	if err != nil {
		return &RunError{LogFile: result.LogFile, Err: err}
	}
	return nil
}

// conclude tidies the target after a run, also if the cycle's own context has ended.
func (r *Runner) conclude(ctx context.Context, cycle *Cycle, status *cbt.Status, run Run, result *Result, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if concluded := cycle.Target.Conclude(ctx, cycle.source(status), run, result); err == nil {
		err = concluded
	}
	if cycle.Target.Final() {
		result.Cutover, result.CutOver = true, err == nil
		if now, readErr := r.manager.ReadUncached(ctx, cycle.Moid); readErr == nil {
			result.SourceState = now.VM.PowerState
		}
	}
	return err
}

// runJob runs migratekit on this machine, with its output in the log file.
func (r *Runner) runJob(
	ctx context.Context, job migratekit.Job, held process.Locks, before *cbt.Status, watcher *watcher, follower *follower, path string,
) (migratekit.Outcome, error) {
	moid := before.VM.Moid
	log, err := createLog(path)
	if err != nil {
		return migratekit.Outcome{}, err
	}
	defer log.close()
	return r.machine.Run(ctx, job, migratekit.Sink{
		Line:              log.write,
		Copy:              follower.take,
		ChangeIDRequested: func(ctx context.Context, _ int32) { watcher.wait(ctx) },
		ConfirmStall:      func(ctx context.Context) bool { return r.isCopying(ctx, moid, before) },
	}, held)
}

// minCopyRate is how slow a copy may be, in bytes a second, to be a healthy one. One build of migratekit reports whole percents only.
const minCopyRate = 10_000_000

// stallTimeout returns how long a copy of the VM may be without progress: never shorter than the time that 2 % of its largest disk take.
func stallTimeout(configured time.Duration, status *cbt.Status) time.Duration {
	for _, disk := range status.Disks {
		configured = max(configured, time.Duration(disk.Capacity/50/minCopyRate)*time.Second)
	}
	return configured
}

// isCopying reports whether a copy can still be under way: the run's snapshot exists, and no task is running on the VM. If vCenter does not
// answer, the copy is not stopped.
func (r *Runner) isCopying(ctx context.Context, moid string, before *cbt.Status) bool {
	now, err := r.manager.ReadUncached(ctx, moid)
	if err != nil {
		return false
	}
	busy, err := r.vcenter.IsBusy(ctx, moid)
	return err == nil && !busy && slices.ContainsFunc(now.VM.Snapshots, func(s vsphere.Snapshot) bool { return isNew(s, before.VM) })
}

// madeSnapshot reports whether a snapshot of the VM was created since an earlier look at its tasks. Its tasks show one that was gone before it was
// seen. If vCenter does not answer, there is no evidence of any.
func (r *Runner) madeSnapshot(ctx context.Context, moid string, before map[string]bool) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	tasks, err := r.vcenter.SnapshotTasks(ctx, moid)
	if err != nil {
		r.log.WarnContext(ctx, "Unable to read the tasks of the virtual machine", "error", err.Error())
		return false
	}
	for task := range tasks {
		if _, old := before[task]; !old {
			return true
		}
	}
	return false
}

// completed reports whether a run with exit status 0 copied everything, according to its log or the filed change IDs.
func completed(cycle *Cycle, status *cbt.Status, outcome migratekit.Outcome) bool {
	if cycle.Target.Final() {
		return outcome.CutOver
	}
	evidence := newEvidence(status, outcome, measurement{}, false)
	return outcome.Completed || !slices.ContainsFunc(cycle.Target.Disks(status.Tracking()), func(key int32) bool {
		return !cycle.Target.Copied(key, evidence)
	})
}

// logResult logs how a run ended, and what was copied of each disk.
func (r *Runner) logResult(ctx context.Context, status *cbt.Status, result *Result, err error) {
	for _, key := range slices.Sorted(maps.Keys(result.Disks)) {
		args := []any{"vm_path", status.VM.Path, "disk", key, "kind", string(result.Disks[key].Kind), "change_id", result.ChangeIDs[key]}
		if bytes := result.Disks[key].ChangedBytes; bytes >= 0 {
			args = append(args, "changed_bytes", bytes)
		}
		r.log.InfoContext(ctx, "Disk copied", args...)
	}
	took := result.EndedAt.Sub(result.StartedAt).Milliseconds()
	if err != nil {
		r.log.ErrorContext(ctx, "migratekit failed", "vm_path", status.VM.Path, "duration_ms", took, "log_file", result.LogFile, "error", err.Error())
		return
	}
	r.log.InfoContext(ctx, "migratekit completed", "vm_path", status.VM.Path, "kind", string(result.Kind), "duration_ms", took)
}
