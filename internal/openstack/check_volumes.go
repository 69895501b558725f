package openstack

import (
	"fmt"
	"slices"
	"strings"
)

// checkVolumes checks what the next cycle writes to.
func (r Request) checkVolumes(known *facts) []Problem {
	var problems []Problem
	at := []any{"openstack"}
	fails := func(format string, args ...any) {
		problems = append(problems, Problem{At: at, Error: true, Text: fmt.Sprintf(format, args...)})
	}
	owned := r.owned(known.own)
	for i, disk := range r.Disks {
		if several := Of(known.own, r.Name, r.Moid, disk.Key); len(several) > 1 {
			var names []string
			for _, volume := range several {
				names = append(names, volume.String())
			}
			fails("%s has several volumes: %s. migratekit refuses to choose one: delete those that are not the copy, or remove their metadata migrate_kit.", disk.Name, strings.Join(names, ", "))
			continue
		}
		volume, ok := owned[disk.Key]
		if !ok {
			continue
		}
		if text := brokenStatus(volume); text != "" {
			problems = append(problems, Problem{At: at, Error: r.Starts || !slices.Contains(passing, volume.Status), Text: fmt.Sprintf("%s is copied to the volume %s, which %s", disk.Name, volume, text)})
		} else {
			problems = append(problems, r.checkAttachment(disk, volume, known.host)...)
		}
		if disk.sizeGiB() > volume.SizeGiB {
			fails("%s has %d GiB, and its volume %s only %d. Extend the volume: openstack volume set --size %d %s", disk.Name, disk.sizeGiB(), volume, volume.SizeGiB, disk.sizeGiB(), volume.ID)
		}
		if i == 0 {
			problems = append(problems, r.checkBoot(disk, volume)...)
		}
		if kind := typeName(known.types, r.VolumeType); r.VolumeType != "" && volume.Type != "" && volume.Type != kind {
			problems = append(problems, Problem{At: []any{"openstack", "volume_type"}, Text: fmt.Sprintf(
				"The volume %s of %s has the type %q. volume_type applies to new volumes only.", volume, disk.Name, volume.Type)})
		}
	}
	return problems
}

// needsBoot reports whether a run was killed between creating a volume and making it bootable. The next run makes up for it.
func needsBoot(volume Volume) bool { return !volume.Bootable && volume.ChangeID == "" }

// checkBoot checks the volume that the server boots from.
func (r Request) checkBoot(disk DiskRequest, volume Volume) []Problem {
	at := []any{"openstack"}
	switch {
	case needsBoot(volume):
		return nil
	case !volume.Bootable:
		return []Problem{{At: at, Error: true, Text: fmt.Sprintf(
			"The volume %s of %s, the disk that the server boots from, is not bootable. Run: openstack volume set --bootable %s", volume, disk.Name, volume.ID)}}
	case r.EFI && !volume.UEFI:
		return []Problem{{At: at, Error: true, Text: fmt.Sprintf(
			"The source boots with EFI, and its volume %s does not say so. Run: openstack volume set --image-property hw_firmware_type=uefi --image-property hw_machine_type=q35 %s", volume, volume.ID)}}
	}
	return nil
}

// brokenStatus says what is wrong with a volume that can be neither attached nor written to, "" if nothing is.
func brokenStatus(volume Volume) string {
	switch {
	case volume.Status == "available" || volume.Status == "in-use":
		return ""
	case slices.Contains(passing, volume.Status):
		return fmt.Sprintf("is %q: wait until it is available. If it stays so, an operation was interrupted: check the server that it is attached to, and reset it: openstack volume set --state available --detached %s", volume.Status, volume.ID)
	}
	return fmt.Sprintf("is %q. See what Cinder says: openstack volume show %s. If the volume is lost, delete it, and the next cycle copies the disk in full to a new one.", volume.Status, volume.ID)
}

// passing are the statuses of a volume with which something is being done. Source: Cinder's API reference.
var passing = []string{
	"creating", "detaching", "attaching", "reserved", "extending", "retyping", "backing-up", "restoring-backup", "downloading", "uploading", "maintenance", "awaiting-transfer",
}

// IsRunOn reports whether a run of ours on a server has the volume, according to its marks.
func (v Volume) IsRunOn(server string) bool {
	return v.RunServer == server || (v.RunServer == "" && v.RunStartedAt != "")
}

// checkAttachment checks who has a volume. host is "" if the server that migratekit runs on is not known.
func (r Request) checkAttachment(disk DiskRequest, volume Volume, host string) []Problem {
	if len(volume.AttachedTo) == 0 {
		return nil
	}
	servers := strings.Join(volume.AttachedTo, ", ")
	here := len(volume.AttachedTo) == 1 && volume.AttachedTo[0] == host
	switch {
	case here && (r.Unfinished || volume.IsRunOn(host) || r.Detach):
		return nil
	case here:
		return []Problem{{At: []any{"on_attached_volume"}, Error: true, Text: fmt.Sprintf(
			"The volume %s of %s is attached to this machine (server %s) by a run that is not known. If no migratekit works on it, detach it: openstack server remove volume %s %s. Or set on_attached_volume to \"detach\".", volume, disk.Name, host, host, volume.ID)}}
	case host == "" && !r.Starts:
		return []Problem{{At: []any{"openstack"}, Text: fmt.Sprintf(
			"The volume %s of %s is attached to the server %s, and whether this machine is that server is not known: it has no metadata service. The apply fails unless it runs there.", volume, disk.Name, servers)}}
	}
	return []Problem{{At: []any{"openstack"}, Error: true, Text: fmt.Sprintf(
		"The volume %s of %s is attached to the server %s. migratekit can write to it only where it is attached. If that server is the machine of an earlier run, apply there, or detach it: openstack server remove volume %s %s", volume, disk.Name, servers, volume.AttachedTo[0], volume.ID)}}
}

// NeedsBoot reports whether the volume that a server boots from must be made bootable first.
func (r *Report) NeedsBoot(key int32) bool {
	volume, ok := r.Volumes[key]
	return ok && needsBoot(volume)
}
