package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

const (
	// noticeTimeout bounds how long a request for a change ID waits until migratekit's snapshot is seen in vCenter.
	// migratekit may ask before it creates the snapshot.
	noticeTimeout = 2 * time.Second
	// measureTimeout bounds how long such a request waits while the snapshot is measured.
	measureTimeout = time.Minute
	// cleanupTimeout bounds the removal of the snapshot after the run, whose own context may have ended.
	cleanupTimeout = 5 * time.Minute
)

// measurement is what was read from the snapshots of one run.
type measurement struct {
	// snapshots are the managed object IDs of the snapshots that were seen; a cutover makes several.
	snapshots []string
	// seen is true if the disks of at least one were read.
	seen bool
	// disks are those of the last snapshot, by device key, with its change IDs; first are those of the first one.
	disks, first map[int32]vsphere.Disk
	// changed are the bytes that changed since the last cycle, by device key; the whole disk if CBT cannot be used.
	changed map[int32]int64
	// err is the error that ended the measurement.
	err error
}

// watcher watches a VM for the snapshots that migratekit makes.
type watcher struct {
	cancel   context.CancelFunc
	watching chan struct{} // closed when the existing snapshots are known
	noticed  chan struct{} // closed when migratekit's snapshot was seen
	measured chan struct{} // closed when the measurement has ended
	result   measurement

	closeWatching, closeNoticed sync.Once
}

// watch watches for snapshots of this run until stop is called. The caller must call stop. Snapshots in status are older
// than the run. told is called with what changed on each disk.
func (r *Runner) watch(ctx context.Context, cycle *Cycle, status *cbt.Status, told func(key int32, changed vsphere.ChangedAreas)) *watcher {
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &watcher{
		cancel: cancel, watching: make(chan struct{}), noticed: make(chan struct{}), measured: make(chan struct{}),
		result: measurement{disks: map[int32]vsphere.Disk{}, changed: map[int32]int64{}},
	}
	go func() {
		defer close(w.measured)
		previous := cycle.copiesFrom()
		for {
			snapshot, err := r.next(watching, cycle, status, w)
			if err == nil {
				w.result.snapshots = append(w.result.snapshots, snapshot)
				w.closeNoticed.Do(func() { close(w.noticed) })
				err = r.measure(watching, status, previous, snapshot, &w.result, told)
			}
			w.result.err = err
			if err != nil || !cycle.Target.Final() {
				return
			}
			// A cutover makes another snapshot, and copies what changed since this one.
			previous = map[int32]string{}
			for key, disk := range w.result.disks {
				previous[key] = disk.ChangeID
			}
		}
	}()
	return w
}

// next waits for the next snapshot of this run.
func (r *Runner) next(ctx context.Context, cycle *Cycle, status *cbt.Status, w *watcher) (snapshot string, err error) {
	err = r.vcenter.WatchSnapshots(ctx, cycle.Moid, func(list []vsphere.Snapshot) bool {
		w.closeWatching.Do(func() { close(w.watching) })
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
	return cbt.IsLeftover(s) &&
		!slices.ContainsFunc(before.Snapshots, func(old vsphere.Snapshot) bool { return old.Moid == s.Moid })
}

// measure reads the change IDs of a snapshot, and adds how much changed since the previous ones. It asks for everything at once: migratekit removes the
// snapshot as soon as it has copied.
func (r *Runner) measure(ctx context.Context, status *cbt.Status, previous map[int32]string, snapshot string, into *measurement, told func(int32, vsphere.ChangedAreas)) error {
	var mu sync.Mutex
	changed := map[int32]int64{}
	var group errgroup.Group
	for _, disk := range status.Disks {
		if kind, _ := cbt.NextCycle(previous[disk.Key], disk.ChangeID); kind == cbt.Full {
			continue
		}
		group.Go(func() error {
			areas, err := r.changedSince(ctx, status.VM.Moid, snapshot, disk.Disk, previous[disk.Key])
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				changed[disk.Key] = areas.Bytes
				told(disk.Key, areas)
			}
			return err
		})
	}
	disks, err := r.vcenter.SnapshotDisks(ctx, snapshot)
	failed := group.Wait()
	if err != nil {
		return err
	}
	into.seen = true
	into.disks = map[int32]vsphere.Disk{}
	for _, disk := range disks {
		into.disks[disk.Key] = disk
		bytes, measured := changed[disk.Key]
		if kind, _ := cbt.NextCycle(previous[disk.Key], disk.ChangeID); measured && kind != cbt.Full {
			into.changed[disk.Key] += bytes
		}
	}
	if into.first == nil {
		into.first = into.disks
	}
	return failed
}

// changedSince returns how many bytes a copy from a change ID has to copy: the whole disk if CBT cannot be used.
func (r *Runner) changedSince(ctx context.Context, moid, snapshot string, disk vsphere.Disk, since string) (vsphere.ChangedAreas, error) {
	areas, err := r.vcenter.ChangedBytes(ctx, moid, snapshot, disk, since)
	if _, unusable := errors.AsType[*vsphere.ChangeTrackingUnusableError](err); unusable {
		return vsphere.WholeDisk(disk.Capacity), nil
	}
	return areas, err
}

// measureLate measures the increments of a VM that is powered off without a snapshot, if the run's own was removed before it was measured.
func (r *Runner) measureLate(ctx context.Context, cycle *Cycle, status *cbt.Status, into *measurement) {
	if status.VM.PowerState != poweredOff {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), measureTimeout)
	defer cancel()
	previous := cycle.copiesFrom()
	for _, disk := range status.Disks {
		_, known := into.changed[disk.Key]
		if kind, _ := cbt.NextCycle(previous[disk.Key], disk.ChangeID); known || kind == cbt.Full {
			continue
		}
		if areas, err := r.changedSince(ctx, cycle.Moid, "", disk.Disk, previous[disk.Key]); err == nil {
			into.changed[disk.Key] = areas.Bytes
		}
	}
}

// ready waits until the watch has begun or failed. A failure does not prevent the copy.
func (w *watcher) ready(ctx context.Context) {
	select {
	case <-w.watching:
	case <-w.measured:
	case <-ctx.Done():
	}
}

// wait waits until the snapshot was measured, for a limited time.
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

// stop ends the watch.
func (w *watcher) stop() measurement {
	w.cancel()
	<-w.measured
	return w.result
}

// removeOwn removes the snapshot that this run left, because every later run would stop at it. It waits for a snapshot that is
// still being created. It never removes snapshots that are older than the run. If the run's own snapshot was seen, it removes only that
// one.
func (r *Runner) removeOwn(ctx context.Context, before *cbt.Status, seen []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_, err := r.manager.RemoveSnapshots(ctx, before.VM, func(s vsphere.Snapshot) bool {
		return isNew(s, before.VM) && (len(seen) == 0 || slices.Contains(seen, s.Moid))
	})
	if err != nil {
		return fmt.Errorf("a snapshot %q of this run may still be on %s; the next run names it, or remove it by hand: %w",
			cbt.MigratekitSnapshot, before.VM.Path, err)
	}
	return nil
}
