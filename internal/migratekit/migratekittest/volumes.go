package migratekittest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	cinder "github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/volumeattach"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gosimple/slug"
)

// errExpired is the end of a run whose token expired before it recorded a copy.
var errExpired = errors.New("the token has expired")

// project has the clients of one login.
type project struct{ cinder, nova, neutron *gophercloud.ServiceClient }

func logIn(ctx context.Context) (*project, error) {
	login, err := openstack.AuthOptionsFromEnv()
	if err != nil {
		return nil, fmt.Errorf("failed to authenticate: %w", err)
	}
	client, err := openstack.AuthenticatedClient(ctx, login)
	if err != nil {
		return nil, fmt.Errorf("failed to authenticate: %w", err)
	}
	region := gophercloud.EndpointOpts{Region: os.Getenv("OS_REGION_NAME")}
	p := &project{}
	for service, connect := range map[**gophercloud.ServiceClient]func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error){
		&p.cinder: openstack.NewBlockStorageV3, &p.nova: openstack.NewComputeV2, &p.neutron: openstack.NewNetworkV2,
	} {
		if *service, err = connect(client, region); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// volumes are the Cinder volumes of a VM.
type volumes struct {
	ctx     context.Context //nolint:containedctx // the life of one disk's copy
	options options
	source  *source
	*project
}

func newVolumes(ctx context.Context, o options, s *source) (*volumes, error) {
	p, err := logIn(ctx)
	if err != nil {
		return nil, err
	}
	return &volumes{context.WithoutCancel(ctx), o, s, p}, nil
}

// find returns nil if the disk has no volume.
func (v *volumes) find(of disk) (*cinder.Volume, error) {
	key := strconv.Itoa(int(of.key))
	pages, err := cinder.List(v.cinder, cinder.ListOpts{
		Name:     slug.Make(v.source.name + "-" + key),
		Metadata: map[string]string{"migrate_kit": "true", "vm": v.source.vm.Reference().Value, "disk": key},
	}).AllPages(v.ctx)
	if err != nil {
		return nil, err
	}
	found, err := cinder.ExtractVolumes(pages)
	switch {
	case err != nil || len(found) == 0:
		return nil, err
	case len(found) > 1:
		return nil, errors.New("multiple volumes found")
	}
	return cinder.Get(v.ctx, v.cinder, found[0].ID).Extract()
}

func (v *volumes) get(of disk) (string, error) {
	volume, err := v.find(of)
	if err != nil || volume == nil {
		return "", err
	}
	return volume.Metadata["change_id"], nil
}

func (v *volumes) put(of disk, changeID string) error {
	if os.Getenv(Expire) != "" {
		v.cinder.TokenID = "expired"
		v.cinder.ReauthFunc = nil
	}
	volume, err := v.find(of)
	if err == nil && volume != nil {
		metadata := maps.Clone(volume.Metadata)
		metadata["change_id"] = changeID
		err = cinder.Update(v.ctx, v.cinder, volume.ID, cinder.UpdateOpts{Metadata: metadata}).Err
	}
	if gophercloud.ResponseCodeIs(err, http.StatusUnauthorized) {
		return errExpired
	}
	return err
}

// connect makes the volume if there is none, and attaches it to this server.
func (v *volumes) connect(of disk) error {
	volume, err := v.find(of)
	if err != nil {
		return err
	}
	if volume == nil {
		if volume, err = v.create(of); err != nil {
			return err
		}
	}
	server, err := thisServer(v.ctx)
	if err != nil {
		return err
	}
	for _, attachment := range volume.Attachments {
		if attachment.ServerID == server { // the device is there
			return nil
		}
	}
	return volumeattach.Create(v.ctx, v.nova, server, volumeattach.CreateOpts{VolumeID: volume.ID}).Err
}

func (v *volumes) create(of disk) (*cinder.Volume, error) {
	const gib = 1 << 30
	volume, err := cinder.Create(v.ctx, v.cinder, cinder.CreateOpts{
		Name: slug.Make(fmt.Sprintf("%s-%d", v.source.name, of.key)), Size: int((of.bytes + gib - 1) / gib),
		AvailabilityZone: v.options.valued["availability-zone"], VolumeType: v.options.valued["volume-type"],
		Metadata: map[string]string{"migrate_kit": "true", "vm": v.source.vm.Reference().Value, "disk": strconv.Itoa(int(of.key))},
	}, nil).Extract()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(v.ctx, time.Minute)
	defer cancel()
	if err := cinder.WaitForStatus(ctx, v.cinder, volume.ID, "available"); err != nil {
		return nil, err
	}
	if err := cinder.SetBootable(v.ctx, v.cinder, volume.ID, cinder.BootableOpts{Bootable: true}).ExtractErr(); err != nil {
		return nil, err
	}
	image := map[string]string{}
	if v.source.efi {
		image["hw_machine_type"], image["hw_firmware_type"] = "q35", "uefi"
	}
	if err := cinder.SetImageMetadata(v.ctx, v.cinder, volume.ID, cinder.ImageMetadataOpts{Metadata: image}).ExtractErr(); err != nil {
		return nil, err
	}
	return volume, nil
}

// disconnect does not wait until the volume is available.
func (v *volumes) disconnect(of disk) error {
	volume, err := v.find(of)
	if err != nil || volume == nil {
		return err
	}
	server, err := thisServer(v.ctx)
	if err != nil {
		return err
	}
	return volumeattach.Delete(v.ctx, v.nova, server, volume.ID).ExtractErr()
}

// thisServer asks the metadata service.
func thisServer(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://169.254.169.254/openstack/latest/meta_data.json", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	var metadata struct {
		UUID string `json:"uuid"`
	}
	err = json.NewDecoder(response.Body).Decode(&metadata)
	return metadata.UUID, err
}

// ensurePorts finds or makes a port for each network card, before anything is copied.
func ensurePorts(ctx context.Context, o options, s *source) ([]string, error) {
	p, err := logIn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := flavors.Get(ctx, p.nova, o.valued["flavor"]).Extract(); err != nil {
		return nil, err
	}
	mappings := map[string]map[string]string{}
	for _, text := range o.mappings {
		fields := map[string]string{}
		for pair := range strings.SplitSeq(text, ",") {
			name, value, _ := strings.Cut(pair, "=")
			fields[name] = value
		}
		mappings[strings.ToLower(fields["mac"])] = fields
	}
	var ids []string
	for _, mac := range s.macs {
		mapping, ok := mappings[strings.ToLower(mac)]
		if !ok {
			return nil, errors.New("no network mapping found for MAC address")
		}
		id, err := p.ensurePort(ctx, o, mac, mapping)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func (p *project) ensurePort(ctx context.Context, o options, mac string, mapping map[string]string) (string, error) {
	pages, err := ports.List(p.neutron, ports.ListOpts{NetworkID: mapping["network-id"], MACAddress: mac}).AllPages(ctx)
	if err != nil {
		return "", err
	}
	found, err := ports.ExtractPorts(pages)
	if err != nil || len(found) > 0 {
		return append(found, ports.Port{})[0].ID, err
	}
	create := ports.CreateOpts{
		NetworkID: mapping["network-id"], MACAddress: mac, FixedIPs: []ports.IP{{SubnetID: mapping["subnet-id"], IPAddress: mapping["ip"]}},
	}
	if groups := o.valued["security-groups"]; groups != "" {
		create.SecurityGroups = new(strings.Split(groups, ","))
	}
	port, err := ports.Create(ctx, p.neutron, create).Extract()
	if err != nil {
		return "", err
	}
	return port.ID, nil
}

// boot makes the server, and waits until it is active.
func boot(ctx context.Context, o options, s *source, portIDs []string) error {
	v, err := newVolumes(ctx, o, s)
	if err != nil {
		return err
	}
	create := servers.CreateOpts{Name: s.name, FlavorRef: o.valued["flavor"], AvailabilityZone: o.valued["availability-zone"]}
	var networks []servers.Network
	for _, id := range slices.Clone(portIDs) {
		networks = append(networks, servers.Network{Port: id})
	}
	create.Networks = networks
	for i, disk := range s.disks {
		volume, err := v.find(disk)
		if err != nil || volume == nil {
			return errors.Join(err, errors.New("volume not found"))
		}
		create.BlockDevice = append(create.BlockDevice, servers.BlockDevice{
			BootIndex: i, SourceType: servers.SourceVolume, DestinationType: servers.DestinationVolume, UUID: volume.ID,
		})
	}
	server, err := servers.Create(ctx, v.nova, create, servers.SchedulerHintOpts{}).Extract()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	return servers.WaitForStatus(ctx, v.nova, server.ID, "ACTIVE")
}
