package openstack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/volumeattach"
)

// Marks are changes of a volume's metadata: "" removes a key. Other keys stay.
type Marks map[string]string

// Began marks that a run on a server has the volume. cutover is true for a cutover.
func Began(server string, at time.Time, cutover bool) Marks {
	marks := Marks{metadataStartedAt: at.UTC().Format(time.RFC3339), metadataServer: server, metadataCutoverBegan: ""}
	if cutover {
		marks[metadataCutoverBegan] = at.UTC().Format(time.RFC3339)
	}
	return marks
}

// Left marks that no run has the volume.
func Left() Marks { return Marks{metadataStartedAt: "", metadataServer: ""} }

// NotCutOver adds that no cutover has been started, or that it has failed.
func (m Marks) NotCutOver() Marks {
	m[metadataCutoverBegan] = ""
	return m
}

// CutOver adds that a cutover is done.
func (m Marks) CutOver(volume Volume, at time.Time) Marks {
	if volume.CutoverStartedAt == "" {
		m[metadataCutoverBegan] = at.UTC().Format(time.RFC3339)
	}
	return m
}

// Ended adds the end of a cycle that copied the volume, and its bytes, unless they are negative.
func (m Marks) Ended(at time.Time, bytes int64) Marks {
	m[metadataEndedAt], m[metadataBytes] = at.UTC().Format(time.RFC3339), ""
	if bytes >= 0 {
		m[metadataBytes] = strconv.FormatInt(bytes, 10)
	}
	return m
}

// Copied adds the change ID that the next cycle copies from.
func (m Marks) Copied(changeID string) Marks {
	m[metadataChangeID] = changeID
	return m
}

// Mark changes the metadata of a volume that was read just now, and that no run has. It makes no call if nothing changes. Errors are those of a login.
func (c *Client) Mark(ctx context.Context, volume Volume, marks Marks) error {
	metadata := maps.Clone(volume.metadata)
	for key, value := range marks {
		if value == "" {
			delete(metadata, key)
		} else {
			metadata[key] = value
		}
	}
	if maps.Equal(metadata, volume.metadata) {
		return nil
	}
	cinder, err := c.service(ctx, "Cinder", openstack.NewBlockStorageV3)
	if err != nil {
		return err
	}
	if err := volumes.Update(ctx, cinder, volume.ID, volumes.UpdateOpts{Metadata: metadata}).Err; err != nil {
		return classify(fmt.Errorf("change the metadata of the volume %s: %w", volume, err))
	}
	return nil
}

// Add adds marks that are not "" to the metadata of a volume that migratekit may be writing to. Other keys stay, even if they change meanwhile. Errors are those of a login.
func (c *Client) Add(ctx context.Context, volume Volume, marks Marks) error {
	cinder, err := c.service(ctx, "Cinder", openstack.NewBlockStorageV3)
	if err != nil {
		return err
	}
	maps.DeleteFunc(marks, func(_, value string) bool { return value == "" })
	body := map[string]any{"metadata": marks}
	response, err := cinder.Post(ctx, cinder.ServiceURL("volumes", volume.ID, "metadata"), body, nil, &gophercloud.RequestOpts{OkCodes: []int{http.StatusOK}})
	if err != nil {
		return classify(fmt.Errorf("add metadata to the volume %s: %w", volume, err))
	}
	return response.Body.Close()
}

// MakeBootable sets what migratekit sets only after it created a volume. Errors are those of a login.
func (c *Client) MakeBootable(ctx context.Context, volume Volume, uefi bool) error {
	cinder, err := c.service(ctx, "Cinder", openstack.NewBlockStorageV3)
	if err != nil {
		return err
	}
	err = volumes.SetBootable(ctx, cinder, volume.ID, volumes.BootableOpts{Bootable: true}).ExtractErr()
	if err == nil && uefi {
		err = volumes.SetImageMetadata(ctx, cinder, volume.ID, volumes.ImageMetadataOpts{
			Metadata: map[string]string{"hw_machine_type": "q35", "hw_firmware_type": "uefi"},
		}).ExtractErr()
	}
	if err != nil {
		return classify(fmt.Errorf("make the volume %s bootable: %w", volume, err))
	}
	return nil
}

// settlePatience bounds how long a volume may take to be detached, and settleEvery is the first pause between two looks; each next one is twice as long.
const (
	settlePatience = time.Minute
	settleEvery    = 50 * time.Millisecond
)

// Detach takes a volume off a server. Settle tells when it is available. Errors are those of a login.
func (c *Client) Detach(ctx context.Context, volume Volume, server string) error {
	nova, err := c.service(ctx, "Nova", openstack.NewComputeV2)
	if err != nil {
		return err
	}
	err = volumeattach.Delete(ctx, nova, server, volume.ID).ExtractErr()
	if err != nil && !gophercloud.ResponseCodeIs(err, http.StatusNotFound) { // it is detached already
		return classify(fmt.Errorf("detach the volume %s from the server %s: %w", volume, server, err))
	}
	return nil
}

// Settle returns the volumes of a VM once none of them is about to be detached or made, or as they are after a while. Errors are those of a login.
func (c *Client) Settle(ctx context.Context, moid string) ([]Volume, error) {
	ends := time.Now().Add(settlePatience)
	for pause := settleEvery; ; pause *= 2 {
		found, err := c.VolumesOf(ctx, moid)
		if err != nil || !changing(found) || time.Now().After(ends) {
			return found, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(pause, time.Until(ends))):
		}
	}
}

func changing(all []Volume) bool {
	for _, volume := range all {
		switch volume.Status {
		case "detaching", "creating", "attaching":
			return true
		}
	}
	return false
}

// service returns the client of a service, once logged in.
func (c *Client) service(ctx context.Context, name string, connect connect) (*gophercloud.ServiceClient, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	return s.service(name, connect)
}

// ErrNotFound is returned for a thing that the project does not have.
var ErrNotFound = errors.New("not found")
