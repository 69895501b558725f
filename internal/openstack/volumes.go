package openstack

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
)

// Volume is a volume that migratekit made. Source of the metadata: migratekit's source.
type Volume struct {
	ID, Name, Status string
	// SizeGiB is in GiB.
	SizeGiB int
	// VMMoid and DeviceKey say which disk it is a copy of.
	VMMoid, DeviceKey string
	// ChangeID is "" if no copy to the volume was completed.
	ChangeID string
	// AttachedTo has the IDs of the servers that have it.
	AttachedTo []string
	// CycleEndedAt is when the last cycle ended, in RFC 3339, "" if unknown.
	CycleEndedAt string
}

// The keys of a volume's metadata: migratekit's, and metadataEndedAt, which whoever runs cycles may set.
const (
	metadataMark     = "migrate_kit"
	metadataVM       = "vm"
	metadataDisk     = "disk"
	metadataChangeID = "change_id"
	metadataEndedAt  = "vma_cycle_ended_at"
)

// pageSize is how many volumes a page has, if the cloud allows as many.
const pageSize = 1000

// Volumes returns migratekit's volumes of the project, by name and ID. Errors are those of a login.
func (c *Client) Volumes(ctx context.Context) ([]Volume, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	cinder, err := s.service("Cinder", openstack.NewBlockStorageV3)
	if err != nil {
		return nil, err
	}
	pages, err := volumes.List(cinder, volumes.ListOpts{Metadata: map[string]string{metadataMark: "true"}, Limit: pageSize}).AllPages(ctx)
	if err != nil {
		return nil, classify(fmt.Errorf("list the volumes: %w", err))
	}
	listed, err := volumes.ExtractVolumes(pages)
	if err != nil {
		return nil, fmt.Errorf("read the list of volumes: %w", err)
	}
	var all []Volume
	for _, volume := range listed {
		if volume.Metadata[metadataMark] == "true" { // a cloud may ignore the filter
			all = append(all, newVolume(volume))
		}
	}
	slices.SortFunc(all, func(a, b Volume) int { return strings.Compare(a.Name+" "+a.ID, b.Name+" "+b.ID) })
	return all, nil
}

func newVolume(from volumes.Volume) Volume {
	volume := Volume{
		ID: from.ID, Name: from.Name, Status: from.Status, SizeGiB: from.Size,
		VMMoid: from.Metadata[metadataVM], DeviceKey: from.Metadata[metadataDisk],
		ChangeID: from.Metadata[metadataChangeID], CycleEndedAt: from.Metadata[metadataEndedAt],
	}
	for _, attachment := range from.Attachments {
		volume.AttachedTo = append(volume.AttachedTo, attachment.ServerID)
	}
	slices.Sort(volume.AttachedTo)
	return volume
}
