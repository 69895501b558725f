package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

const (
	// noticeTimeout bounds how long migratekit waits for its change ID until
	// vCenter has told of its snapshot; it may ask before it makes one.
	noticeTimeout = 2 * time.Second
	// measureTimeout bounds how long it waits while the snapshot is measured.
	measureTimeout = time.Minute
	// tidyTimeout bounds the look for a snapshot after the run, whose own
	// context may have ended.
	tidyTimeout = 5 * time.Minute
)

// measurement is what vCenter says of the snapshot of one run.
type measurement struct {
	// snapshots are the managed object IDs of those that were seen; more than
	// one of a cutover.
	snapshots []string
	// seen says that one was seen, and read.
	seen bool
	// disks are by device key, with the change IDs of the moment of the snapshot
	// that was seen last; first are those of the first one.
	disks, first map[int32]vsphere.Disk
	// changed are the bytes that changed since the last cycle, by device key, in
	// all snapshots: the whole disk where tracking cannot be used.
	changed map[int32]int64
	// err says why there is not more.
	err error
}

// watcher watches a VM for the snapshot that migratekit makes.
type watcher struct {
	cancel   context.CancelFunc
	watching chan struct{} // closed when vCenter has told of the snapshots there are
	noticed  chan struct{} // closed when it has told of migratekit's
	measured chan struct{} // closed when there is no more to learn
	result   measurement

	tellWatching, tellNoticed sync.Once
}

// watch starts watching; stop must be called. Snapshots that are there already
// are not the run's.
func (r *Runner) watch(ctx context.Context, cycle *Cycle, status *cbt.Status) *watcher {
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &watcher{
		cancel: cancel, watching: make(chan struct{}), noticed: make(chan struct{}), measured: make(chan struct{}),
		result: measurement{disks: map[int32]vsphere.Disk{}, changed: map[int32]int64{}},
	}
	go func() {
		defer close(w.measured)
		previous := cycle.Previous
		for {
			snapshot, err := r.next(watching, cycle, status, w)
			if err == nil {
				w.result.snapshots = append(w.result.snapshots, snapshot)
				w.tellNoticed.Do(func() { close(w.noticed) })
				err = r.measure(watching, cycle.Moid, previous, snapshot, &w.result)
			}
			w.result.err = err
			if err != nil || !cycle.cutsOver() {
				return
			}
			// A cutover makes another one, of what changed since this one.
			previous = map[int32]string{}
			for key, disk := range w.result.disks {
				previous[key] = disk.ChangeID
			}
		}
	}()
	return w
}

// next waits for a snapshot of this run that was not seen yet.
func (r *Runner) next(ctx context.Context, cycle *Cycle, status *cbt.Status, w *watcher) (snapshot string, err error) {
	err = r.vcenter.WatchSnapshots(ctx, cycle.Moid, func(list []vsphere.Snapshot) bool {
		w.tellWatching.Do(func() { close(w.watching) })
		i := slices.IndexFunc(list, func(s vsphere.Snapshot) bool {
			return isNew(s, status.VM) && !slices.Contains(w.result.snapshots, s.Moid)
		})
		if i < 0 {
			return false
		}
		snapshot = list[i].Moid
		return true
	})
	return snapshot, err
}

func isNew(s vsphere.Snapshot, before *vsphere.VM) bool {
	return s.Name == snapshotName &&
		!slices.ContainsFunc(before.Snapshots, func(old vsphere.Snapshot) bool { return old.Moid == s.Moid })
}

// measure reads the change IDs of a snapshot, and how much changed since others,
// in addition to what was measured before.
func (r *Runner) measure(ctx context.Context, moid string, previous map[int32]string, snapshot string, into *measurement) error {
	disks, err := r.vcenter.SnapshotDisks(ctx, snapshot)
	if err != nil {
		return err
	}
	into.seen = true
	into.disks = map[int32]vsphere.Disk{}
	for _, disk := range disks {
		into.disks[disk.Key] = disk
	}
	if into.first == nil {
		into.first = into.disks
	}
	for _, disk := range disks {
		kind, _ := cbt.NextCycle(previous[disk.Key], disk.ChangeID)
		if kind == cbt.Full {
			continue
		}
		changed, err := r.vcenter.ChangedBytes(ctx, moid, snapshot, disk, previous[disk.Key])
		var unusable *vsphere.ChangeTrackingUnusableError
		switch {
		case errors.As(err, &unusable):
			changed = disk.Capacity
		case err != nil:
			return err
		}
		into.changed[disk.Key] += changed
	}
	return nil
}

// ready waits until the watch has begun, or has failed, which must not keep a
// copy from running.
func (w *watcher) ready(ctx context.Context) {
	select {
	case <-w.watching:
	case <-w.measured:
	case <-ctx.Done():
	}
}

// wait waits until the snapshot was measured, or could not be.
func (w *watcher) wait(ctx context.Context) {
	select {
	case <-w.noticed:
	case <-w.measured:
		return
	case <-ctx.Done():
		return
	case <-time.After(noticeTimeout):
		return
	}
	select {
	case <-w.measured:
	case <-ctx.Done():
	case <-time.After(measureTimeout):
	}
}

// stop ends the watch and gives what was learned.
func (w *watcher) stop() measurement {
	w.cancel()
	<-w.measured
	return w.result
}

// removeOwn looks for the snapshot of this run after migratekit has ended,
// however it ended, and removes it: otherwise every later run stops at it. A
// snapshot that is still being made is waited for. Older ones are not touched, and
// where the run's was seen none beside it.
func (r *Runner) removeOwn(ctx context.Context, before *cbt.Status, seen []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	_, err := r.manager.RemoveSnapshots(ctx, before.VM, func(s vsphere.Snapshot) bool {
		return isNew(s, before.VM) && (len(seen) == 0 || slices.Contains(seen, s.Moid))
	})
	if err != nil {
		return fmt.Errorf("a snapshot %q of this run may still be on %s; the next run names it, or remove it by hand: %w",
			snapshotName, before.VM.Path, err)
	}
	return nil
}
