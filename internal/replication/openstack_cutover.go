package replication

import (
	"fmt"
	"strings"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

// CutoverLimits restrict a cutover by the last cycle that succeeded.
type CutoverLimits struct {
	// MaxAge is how old it may be, 0 for no limit. MaxChangedBytes is how much it may have copied, negative for no limit.
	MaxAge          time.Duration
	MaxChangedBytes int64
	// Set is true if there are limits.
	Set bool
}

// LastCycle is the last cycle that succeeded.
type LastCycle struct {
	// EndedAt is zero if there was none.
	EndedAt time.Time
	// ChangedBytes is what it had to copy, negative if unknown. BytesPerSecond is 0 if unknown.
	ChangedBytes, BytesPerSecond int64
	// Kind is "" and Took 0 if only the volumes tell of the cycle.
	Kind cbt.Kind
	Took time.Duration
}

// String says what the cycle cost.
func (l LastCycle) String() string {
	what := "cycle"
	switch l.Kind {
	case cbt.Full:
		what = "full copy"
	case cbt.Incremental:
		what = "increment"
	case cbt.Mixed:
	}
	amount, rate := fmt.Sprintf("%.1f GB", float64(l.ChangedBytes)/1e9), ""
	if l.BytesPerSecond > 0 {
		rate = fmt.Sprintf(" (%d MB/s)", l.BytesPerSecond/1_000_000)
	}
	if l.Took == 0 {
		return fmt.Sprintf("The last %s copied %s, %s ago%s.", what, amount, rounded(time.Since(l.EndedAt)), rate)
	}
	return fmt.Sprintf("The last %s took %s for %s, %s ago%s.", what, rounded(l.Took), amount, rounded(time.Since(l.EndedAt)), rate)
}

// last returns the last cycle: of the state, or of the volumes, where cycles outside Terraform leave their end.
func (t *OpenStack) last(status *cbt.Status) LastCycle {
	last := t.Last
	if t.found == nil || len(t.found.Volumes) == 0 || len(t.found.Volumes) < len(status.Disks) {
		return last
	}
	marked := LastCycle{}
	for _, volume := range t.found.Volumes {
		ended, err := time.Parse(time.RFC3339, volume.CycleEndedAt)
		if err != nil {
			return last
		}
		if marked.EndedAt.IsZero() || ended.Before(marked.EndedAt) {
			marked.EndedAt = ended
		}
		if volume.CycleBytes < 0 || marked.ChangedBytes < 0 {
			marked.ChangedBytes = -1
		} else {
			marked.ChangedBytes += volume.CycleBytes
		}
	}
	if marked.EndedAt.After(last.EndedAt) {
		marked.BytesPerSecond = last.BytesPerSecond
		return marked
	}
	return last
}

// oldCycle is the age of a cycle from which a cutover without limits warns.
const oldCycle = 24 * time.Hour

// checkCutover checks what a cutover needs of the source, and says in one warning what it does.
func (t *OpenStack) checkCutover(source Source, f *Findings) {
	status, vm := source.Status, source.Status.VM
	if vm.PowerState == poweredOn && !vm.ToolsRunning {
		f.Errors = append(f.Errors, &ImpossibleError{Problems: []string{fmt.Sprintf(
			"VMware Tools do not run in %s, so the cutover cannot shut down its guest: install or start them, or shut down the guest by hand before the apply", vm.Path)}})
	}
	if vm.PowerState != poweredOn && vm.PowerState != poweredOff {
		f.Errors = append(f.Errors, &ImpossibleError{Problems: []string{fmt.Sprintf(
			"%s is %s, and migratekit can shut down only a guest that runs: power it on, or off, before the cutover", vm.Path, vm.PowerState)}})
	}
	last := t.last(status)
	if err := t.Limits.check(vm.Path, last); err != nil {
		f.Errors = append(f.Errors, err)
	}
	notes := []string{fmt.Sprintf("This apply shuts down %q, copies the remaining changes and boots the new server. It cannot be undone.", vm.Path)}
	if vm.PowerState != poweredOn {
		notes[0] = fmt.Sprintf("%q is off already. This apply copies the remaining changes and boots the new server.", vm.Path)
	}
	if !last.EndedAt.IsZero() && last.ChangedBytes >= 0 {
		notes = append(notes, last.String())
	}
	if !t.Limits.Set {
		notes = append(notes, t.lastNotes(status, last)...)
	}
	if len(status.Disks) > 1 && (t.RunV2V == nil || *t.RunV2V) {
		notes = append(notes, fmt.Sprintf("It has %d disks, and migratekit runs virt-v2v for the first one only. A guest whose system uses several disks may not boot: convert it by hand, and set run_v2v to false.", len(status.Disks)))
	}
	if t.V2VBegan && t.RunV2V != nil && !*t.RunV2V {
		notes = append(notes, "An earlier cutover failed and may have converted its first disk in part. With run_v2v = false, this one copies that disk without converting it: check that the server boots, or set run_v2v to true.")
	}
	f.warn(SubjectCutover, "Source Will Be Shut Down", "%s", strings.Join(notes, "\n\n"))
}

// rounded says a duration in whole seconds, minutes or hours.
func rounded(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Hours()))
}

// lastNotes warn about a cutover without a recent cycle before it.
func (t *OpenStack) lastNotes(status *cbt.Status, last LastCycle) []string {
	var full int64
	for _, disk := range status.Disks {
		full += disk.Capacity
	}
	switch {
	case last.EndedAt.IsZero() && status.VM.PowerState != poweredOn:
		return []string{fmt.Sprintf("No cycle is known to have run before it, so it copies all %d bytes of the disks while the source is off.", full)}
	case last.EndedAt.IsZero():
		return []string{fmt.Sprintf("No cycle is known to have run before it, so it copies all %d bytes of the disks, and then, with the source off, what changed in the meantime. Run a cycle first, so that the source is off for a short time only.", full)}
	case time.Since(last.EndedAt) > oldCycle:
		return []string{fmt.Sprintf("The last cycle ended at %s, more than a day ago, so much may have changed since. Run another cycle first, so that the source is off for a short time only.", last.EndedAt.UTC().Format(time.RFC3339))}
	}
	return nil
}

// check returns a LimitError if the last cycle is outside the limits.
func (l CutoverLimits) check(vm string, last LastCycle) error {
	switch {
	case !l.Set:
		return nil
	case last.EndedAt.IsZero():
		return &LimitError{fmt.Sprintf("No cycle of %s is known to have succeeded, so cutover_limits cannot be met.", vm)}
	case l.MaxAge > 0 && time.Since(last.EndedAt) > l.MaxAge:
		return &LimitError{fmt.Sprintf("The last cycle of %s ended at %s, more than max_age = %s ago.", vm, last.EndedAt.UTC().Format(time.RFC3339), l.MaxAge)}
	case l.MaxChangedBytes >= 0 && last.ChangedBytes < 0:
		return &LimitError{fmt.Sprintf("How much the last cycle of %s copied is not known, so max_changed_bytes = %d cannot be checked: it was over before its snapshot was measured, or vCenter did not answer.", vm, l.MaxChangedBytes)}
	case l.MaxChangedBytes >= 0 && last.ChangedBytes > l.MaxChangedBytes:
		return &LimitError{fmt.Sprintf("The last cycle of %s copied %d bytes, more than max_changed_bytes = %d.", vm, last.ChangedBytes, l.MaxChangedBytes)}
	}
	return nil
}
