package replication

import (
	"fmt"
	"path"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/openstack"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Volumes are what a refresh saw of a VM's volumes, by device key. They survive JSON and have nothing volatile in them.
type Volumes map[int32]SeenVolume

// SeenVolume is one of them.
type SeenVolume struct {
	ID string `json:"id"`
	// Name is the name that migratekit finds it by.
	Name string `json:"name"`
	// Epoch is that of the copy, "" if there is no complete one.
	Epoch string `json:"epoch"`
}

// SeenVolumes returns what planning needs of volumes, by device key.
func SeenVolumes(volumes map[int32]openstack.Volume) Volumes {
	seen := Volumes{}
	for key, volume := range volumes {
		seen[key] = SeenVolume{ID: volume.ID, Name: volume.Name, Epoch: cbt.Epoch(volume.ChangeID)}
	}
	return seen
}

// VolumesOf returns the volumes of a VM, by device key.
func VolumesOf(vm *vsphere.VM, all []openstack.Volume) map[int32]openstack.Volume {
	return openstack.Owned(all, path.Base(vm.Path), vm.Moid, diskKeys(vm))
}

func diskKeys(vm *vsphere.VM) []int32 {
	var keys []int32
	for _, disk := range vm.Disks {
		keys = append(keys, disk.Key)
	}
	return keys
}

// CutOverTo returns the server that a cutover of the VM booted, "" if there is none.
func CutOverTo(vm *vsphere.VM, all []openstack.Volume) string {
	return openstack.CutOverTo(VolumesOf(vm, all), diskKeys(vm), vm.PowerState == poweredOff)
}

// Intact reports whether the volumes have what was recorded, by device key, of the disks that still exist.
func (v Volumes) Intact(recorded map[int32]string, tracking cbt.Tracking) bool {
	for key := range recorded {
		if tracking.Disk(key) != nil && v[key].Epoch == "" {
			return false
		}
	}
	return true
}

// Match reports whether the volumes have the epochs that were recorded, and nothing else.
func (v Volumes) Match(recorded map[int32]string) bool {
	for key, id := range recorded {
		if v[key].Epoch != cbt.Epoch(id) {
			return false
		}
	}
	return len(v) == len(recorded)
}

// Of returns those that migratekit finds for a VM of a name.
func (v Volumes) Of(vm string) Volumes {
	if v == nil {
		return nil
	}
	of := Volumes{}
	for key, volume := range v {
		if volume.Name == openstack.VolumeName(vm, key) {
			of[key] = volume
		}
	}
	return of
}

// Epochs returns those of complete copies, by device key.
func (v Volumes) Epochs() map[int32]string {
	epochs := map[int32]string{}
	for key, volume := range v {
		if volume.Epoch != "" {
			epochs[key] = volume.Epoch
		}
	}
	return epochs
}

// Holds implements Target: migratekit copies from the change ID in the volume, whatever the state says.
func (t *OpenStack) Holds(recorded map[int32]string) map[int32]Held {
	seen := t.Seen
	if t.report != nil {
		seen = SeenVolumes(t.report.Volumes)
	}
	const renamed = "renamed or registered again since the last cycle"
	held := heldAsRecorded(recorded)
	if seen == nil {
		for key, each := range held {
			if t.Renamed {
				each.Lost, each.Renamed = renamed, true
				held[key] = each
			}
		}
		return held
	}
	for key := range recorded {
		held[key] = Held{Lost: t.lost(seen, key, renamed), Renamed: t.Renamed}
	}
	for key, volume := range seen {
		if volume.Epoch == "" {
			held[key] = Held{Lost: t.lost(seen, key, renamed), Renamed: t.Renamed}
		} else {
			held[key] = Held{Epoch: volume.Epoch}
			if t.report != nil {
				held[key] = Held{Epoch: volume.Epoch, ChangeID: t.report.Volumes[key].ChangeID}
			} else if cbt.Epoch(recorded[key]) == volume.Epoch {
				held[key] = Held{Epoch: volume.Epoch, ChangeID: recorded[key]}
			}
		}
	}
	return held
}

// Names implements Target.
func (t *OpenStack) Names(source Source) map[int32]string {
	names := map[int32]string{}
	for _, disk := range source.Status.Disks {
		names[disk.Key] = openstack.VolumeName(path.Base(source.Status.VM.Path), disk.Key)
		if t.report != nil && t.report.Volumes[disk.Key].ID != "" {
			names[disk.Key] = t.report.Volumes[disk.Key].String()
		}
	}
	return names
}

func (t *OpenStack) lost(seen Volumes, key int32, renamed string) string {
	if _, ok := seen[key]; ok {
		return "volume has no change ID"
	}
	if t.Renamed {
		return "volume not found, " + renamed
	}
	return "volume not found"
}

// Found describes volumes that have a copy already, one line each, for the plan of a create.
func (t *OpenStack) Found(status *cbt.Status) []string {
	var lines []string
	if t.found == nil {
		return nil
	}
	for _, disk := range status.Disks {
		if volume, ok := t.found.Volumes[disk.Key]; ok && volume.ChangeID != "" {
			lines = append(lines, fmt.Sprintf("%s: the volume %s, with a change ID", disk, volume))
		}
	}
	return lines
}
