package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/openstack"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Prepare implements Target. It marks the volumes, so that a later run knows whose they are if this process is killed.
func (t *OpenStack) Prepare(ctx context.Context, source Source) error {
	if t.report == nil {
		return nil
	}
	host := t.report.Host
	// They were checked before the CBT gate, which may take minutes.
	all, err := t.Cloud.VolumesOf(ctx, source.Status.VM.Moid)
	if err != nil {
		return &CloudError{Err: err}
	}
	volumes := VolumesOf(source.Status.VM, all)
	var marked []openstack.Volume
	for i, disk := range source.Status.Disks {
		volume, ok := volumes[disk.Key]
		if !ok {
			continue
		}
		marked = append(marked, volume)
		var err error
		if slices.Contains(volume.AttachedTo, host) && !volume.IsRunOn(host) && !source.Unfinished { // Check allowed it
			err = t.Cloud.Detach(ctx, volume, host)
		}
		if err == nil && i == 0 && t.report.NeedsBoot(disk.Key) {
			err = t.Cloud.MakeBootable(ctx, volume, source.Status.VM.EFI)
		}
		if err == nil {
			err = t.Cloud.Mark(ctx, volume, openstack.Began(host, time.Now(), t.Final()))
		}
		if err != nil {
			return &CloudError{Err: errors.Join(err, t.unmark(ctx, source, marked))}
		}
	}
	if t.Detach {
		if _, err := t.Cloud.Settle(ctx, source.Status.VM.Moid); err != nil {
			return &CloudError{Err: errors.Join(err, t.unmark(ctx, source, marked))}
		}
	}
	return nil
}

// unmark takes the marks back of a run that was not started: an unknown run must not be taken for it later.
func (t *OpenStack) unmark(ctx context.Context, source Source, marked []openstack.Volume) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	now, err := t.Cloud.VolumesOf(ctx, source.Status.VM.Moid)
	for _, volume := range now {
		ours := slices.ContainsFunc(marked, func(m openstack.Volume) bool { return m.ID == volume.ID && m.RunServer == "" })
		if err == nil && ours {
			err = t.Cloud.Mark(ctx, volume, openstack.Left().NotCutOver())
		}
	}
	return err
}

// Began implements Target: it marks volumes that migratekit has just made.
func (t *OpenStack) Began(ctx context.Context, source Source) error {
	if t.host == "" {
		return nil
	}
	now, err := t.Cloud.VolumesOf(ctx, source.Status.VM.Moid)
	for _, volume := range VolumesOf(source.Status.VM, now) {
		if err == nil && volume.RunServer != t.host {
			err = t.Cloud.Add(ctx, volume, openstack.Began(t.host, time.Now(), t.Final()))
		}
	}
	return err
}

// Conclude implements Target. It detaches what the run left attached, records a copy that migratekit could not record, and takes what the volumes say for true.
func (t *OpenStack) Conclude(ctx context.Context, source Source, run Run, result *Result) error {
	if t.host == "" {
		result.attached, result.TargetUnknown = true, true // as far as is known
		return nil
	}
	vm := source.Status.VM
	all, err := t.Cloud.Settle(ctx, vm.Moid)
	if err == nil && t.detachOwn(ctx, vm, all, result) {
		all, err = t.Cloud.Settle(ctx, vm.Moid)
	}
	if err != nil {
		result.attached, result.TargetUnknown = true, true
		result.warn("OpenStack could not be asked what became of the volumes of %s: %v. The next cycle takes what it finds there.", vm.Path, err)
		return nil
	}
	volumes := VolumesOf(vm, all)
	result.Volumes = volumes
	if result.CutOver || (t.Final() && (run.Succeeded || t.booted(volumes) != "")) {
		t.concludeCutover(ctx, volumes, run.Succeeded, result)
		return nil
	}
	var problems []string
	for _, disk := range source.Status.Disks {
		volume, ok := volumes[disk.Key]
		if !ok {
			delete(result.ChangeIDs, disk.Key)
			if run.Succeeded {
				problems = append(problems, fmt.Sprintf("%s of %s has no volume, or more than one, after the cycle: the next copy of it is full", disk, vm.Path))
			}
			continue
		}
		result.attached = result.attached || slices.Contains(volume.AttachedTo, t.host)
		marks := t.leave(volume).NotCutOver()
		problem := t.settleChangeID(disk, volume, run, marks, result)
		if problem == "" {
			problem = unsettled(disk, volume)
		}
		copied, ok := result.Disks[disk.Key]
		if ok && run.Succeeded && problem == "" {
			marks = marks.Ended(result.EndedAt, copied.ChangedBytes)
		}
		if err := t.Cloud.Mark(ctx, volume, marks); err != nil {
			result.warn("The metadata of the volume %s of %s could not be written: %v.", volume, vm.Path, err)
		}
		if problem != "" && run.Succeeded {
			problems = append(problems, problem)
		}
	}
	if len(problems) > 0 {
		return &CopyError{Problems: problems}
	}
	return nil
}

// leave returns the marks of a volume that no run has any more, none while it is still attached.
func (t *OpenStack) leave(volume openstack.Volume) openstack.Marks {
	if slices.Contains(volume.AttachedTo, t.host) {
		return openstack.Marks{}
	}
	return openstack.Left()
}

// detachOwn detaches the volumes that the run left attached to its machine, and reports whether there were any.
func (t *OpenStack) detachOwn(ctx context.Context, vm *vsphere.VM, all []openstack.Volume, result *Result) (detached bool) {
	for _, volume := range VolumesOf(vm, all) {
		if !slices.Contains(volume.AttachedTo, t.host) {
			continue
		}
		if err := t.Cloud.Detach(ctx, volume, t.host); err != nil {
			result.warn("The volume %s of %s is still attached to this machine, and could not be detached: %v. The next cycle on this machine goes on with it.", volume, vm.Path, err)
			continue
		}
		detached = true
	}
	return detached
}

// unsettled says what is wrong with the status of a volume after a cycle, "" if nothing is.
func unsettled(disk cbt.DiskStatus, volume openstack.Volume) string {
	if volume.Status == "available" {
		return ""
	}
	return fmt.Sprintf("the volume %s of %s is %q after the cycle, and not available: see openstack volume show %s, and apply again once it is available", volume, disk, volume.Status, volume.ID)
}

// settleChangeID takes the change ID of the volume for the result. If the log says that a full copy is complete, but the volume does not have its change ID, that is
// added to marks. It returns what is wrong with a copy that succeeded.
func (t *OpenStack) settleChangeID(disk cbt.DiskStatus, volume openstack.Volume, run Run, marks openstack.Marks, result *Result) (problem string) {
	key, now, copied := disk.Key, volume.ChangeID, run.ChangeIDs[disk.Key]
	if t.Final() && run.Begun[key] < 2 {
		copied = run.First[key]
	}
	known := !t.Final() || run.Begun[key] == 1 // which snapshot a second copy is of is not
	if known && copied != "" && now != copied && run.FullDone[key] > 0 && run.FullDone[key] == run.Begun[key] {
		marks.Copied(copied)
		result.ChangeIDs[key], volume.ChangeID = copied, copied
		result.Volumes[key] = volume
		if _, ok := result.Disks[key]; !ok {
			result.Disks[key] = DiskResult{Kind: cbt.Full, ChangedBytes: disk.Capacity}
			result.Kind = overallKind(result.Disks)
		}
		result.warn("%s of %s was copied in full, but migratekit did not record it, as when its token expired. The provider recorded the change ID in the volume %s, so the next copy is incremental.", disk, result.Status.VM.Path, volume)
		return ""
	}
	if now == "" {
		delete(result.ChangeIDs, key)
		return fmt.Sprintf("the volume %s of %s has no change ID after the cycle, so the next copy of it is full", volume, disk)
	}
	result.ChangeIDs[key] = now
	switch {
	case copied == "" || now == copied:
		return ""
	case !run.Succeeded: // the run did not reach it
		return ""
	case cbt.Epoch(now) == cbt.Epoch(copied) && sequence(now) < sequence(copied):
		result.warn("The volume %s of %s has the change ID %s, which is older than that of this cycle's snapshot, %s: the next cycle copies again what changed since then.", volume, disk, now, copied)
		return ""
	}
	return fmt.Sprintf("the volume %s of %s has the change ID %s, and the snapshot of this cycle %s: another run may have written to it. Check that nothing else copies this virtual machine, and apply again", volume, disk, now, copied)
}

// booted returns the server that has all volumes, "" if there is none. The machine of the run is none, even if its marks are missing.
func (t *OpenStack) booted(volumes map[int32]openstack.Volume) string {
	if id := openstack.ServerOf(slices.Collect(maps.Values(volumes))); id != t.host {
		return id
	}
	return ""
}

// concludeCutover looks for the server that was booted. succeeded is false if migratekit failed after that, or if its end was not seen.
func (t *OpenStack) concludeCutover(ctx context.Context, volumes map[int32]openstack.Volume, succeeded bool, result *Result) {
	id := t.booted(volumes)
	for _, volume := range volumes {
		marks := t.leave(volume).CutOver(volume, time.Now())
		if succeeded {
			marks = marks.Ended(result.EndedAt, -1)
		}
		if id != "" { // the server writes to them, so no increment can continue from here
			marks = marks.Copied("")
		}
		if err := t.Cloud.Mark(ctx, volume, marks); err != nil {
			result.warn("The metadata of the volume %s could not be written: %v.", volume, err)
		}
	}
	if id == "" {
		result.warn("migratekit completed the cutover of %s, but no server has its volumes. Check the server in OpenStack.", result.Status.VM.Path)
		return
	}
	server, err := t.Cloud.Server(ctx, id)
	if err != nil {
		result.warn("The server %s of %s could not be read: %v.", id, result.Status.VM.Path, err)
		server = openstack.Server{ID: id}
	}
	if server.Status == "ERROR" {
		result.warn("The cutover of %s booted the server %s, which has the status ERROR: see openstack server show %s.", result.Status.VM.Path, id, id)
	}
	result.Server = &server
}
