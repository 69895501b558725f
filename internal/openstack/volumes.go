package openstack

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/pagination"
	"github.com/gosimple/slug"
)

// Volume is a volume that migratekit made. Source of the metadata: migratekit's source.
type Volume struct {
	ID, Name, Status, Type, Zone string
	// SizeGiB is in GiB.
	SizeGiB int
	// VMMoid and DeviceKey say which disk it is a copy of.
	VMMoid, DeviceKey string
	// ChangeID is "" if no copy to the volume was completed.
	ChangeID string
	// AttachedTo has the IDs of the servers that have it. Root is true if it is the root disk of one of them.
	AttachedTo []string
	Root       bool
	Bootable   bool
	// UEFI is true if a server that boots from it has UEFI firmware.
	UEFI bool
	// CycleEndedAt is when the last cycle ended, in RFC 3339, "" if unknown. CycleBytes is what it had to copy, -1 if unknown.
	CycleEndedAt string
	CycleBytes   int64
	// RunStartedAt is when a run of ours took the volume, "" if no run has it. RunServer is the server that it attaches it to, "" if unknown.
	RunStartedAt, RunServer string
	// CutoverStartedAt is when a cutover was started, in RFC 3339, "" if none was.
	CutoverStartedAt string

	metadata map[string]string
}

// String names the volume for a reader.
func (v Volume) String() string { return fmt.Sprintf("%s (%s)", v.Name, v.ID) }

// The keys of a volume's metadata: migratekit's, and those that this provider sets.
const (
	metadataMark         = "migrate_kit"
	metadataVM           = "vm"
	metadataDisk         = "disk"
	metadataChangeID     = "change_id"
	metadataEndedAt      = "vma_cycle_ended_at"
	metadataBytes        = "vma_cycle_bytes"
	metadataStartedAt    = "vma_cycle_started_at"
	metadataServer       = "vma_cycle_server"
	metadataCutoverBegan = "vma_cutover_started_at"
)

// pageSize is how many volumes a page has, if the cloud allows as many.
const pageSize = 1000

// VolumeName is the name that migratekit gives to the volume of a disk. vm is the VM's name as its inventory path has it.
func VolumeName(vm string, key int32) string {
	return slug.Make(fmt.Sprintf("%s-%d", vm, key))
}

// Of returns the volumes that migratekit takes for the copy of a disk; with more than one, it refuses.
func Of(all []Volume, vm, moid string, key int32) []Volume {
	var found []Volume
	for _, volume := range all {
		if volume.Name == VolumeName(vm, key) && volume.VMMoid == moid && volume.DeviceKey == strconv.Itoa(int(key)) {
			found = append(found, volume)
		}
	}
	return found
}

// Volumes returns migratekit's volumes of the project, by name and ID, as they were when this process first asked. Errors are those of a login.
func (c *Client) Volumes(ctx context.Context) ([]Volume, error) {
	return c.lists.listVolumes(ctx, c)
}

// VolumesNow is Volumes as they are now.
func (c *Client) VolumesNow(ctx context.Context) ([]Volume, error) {
	return c.lists.anew().listVolumes(ctx, c)
}

func (l *lists) listVolumes(ctx context.Context, c *Client) ([]Volume, error) {
	return read(ctx, c, l.volumes, "volumes", "Cinder", openstack.NewBlockStorageV3, volumesWith(nil), extractVolumes)
}

// VolumesOf returns migratekit's volumes of a VM as they are now. Errors are those of a login.
func (c *Client) VolumesOf(ctx context.Context, moid string) ([]Volume, error) {
	return read(ctx, c, newList[Volume](), "volumes", "Cinder", openstack.NewBlockStorageV3, volumesWith(map[string]string{metadataVM: moid}), func(page pagination.Page) ([]Volume, error) {
		all, err := extractVolumes(page)
		return slices.DeleteFunc(all, func(v Volume) bool { return v.VMMoid != moid }), err
	})
}

func volumesWith(metadata map[string]string) func(*gophercloud.ServiceClient) pagination.Pager {
	filter := map[string]string{metadataMark: "true"}
	maps.Copy(filter, metadata)
	return func(cinder *gophercloud.ServiceClient) pagination.Pager {
		return volumes.List(cinder, volumes.ListOpts{Metadata: filter, Limit: pageSize})
	}
}

// extractVolumes leaves out foreign volumes, because a cloud may ignore the filter.
func extractVolumes(page pagination.Page) ([]Volume, error) {
	listed, err := volumes.ExtractVolumes(page)
	if err != nil {
		return nil, fmt.Errorf("read the list of volumes: %w", err)
	}
	all := []Volume{}
	for _, volume := range listed {
		if volume.Metadata[metadataMark] == "true" {
			all = append(all, newVolume(volume))
		}
	}
	slices.SortFunc(all, func(a, b Volume) int { return strings.Compare(a.Name+" "+a.ID, b.Name+" "+b.ID) })
	return all, nil
}

func newVolume(from volumes.Volume) Volume {
	volume := Volume{
		ID: from.ID, Name: from.Name, Status: from.Status, SizeGiB: from.Size, Type: from.VolumeType, Zone: from.AvailabilityZone,
		VMMoid: from.Metadata[metadataVM], DeviceKey: from.Metadata[metadataDisk], ChangeID: from.Metadata[metadataChangeID],
		Bootable: from.Bootable == "true", UEFI: from.VolumeImageMetadata["hw_firmware_type"] == "uefi",
		CycleEndedAt: from.Metadata[metadataEndedAt], CycleBytes: -1,
		RunStartedAt: from.Metadata[metadataStartedAt], RunServer: from.Metadata[metadataServer], CutoverStartedAt: from.Metadata[metadataCutoverBegan], metadata: from.Metadata,
	}
	if bytes, err := strconv.ParseInt(from.Metadata[metadataBytes], 10, 64); err == nil && bytes >= 0 {
		volume.CycleBytes = bytes
	}
	for _, attachment := range from.Attachments {
		volume.AttachedTo = append(volume.AttachedTo, attachment.ServerID)
		volume.Root = volume.Root || strings.HasSuffix(attachment.Device, "da")
	}
	slices.Sort(volume.AttachedTo)
	return volume
}
