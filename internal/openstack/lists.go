package openstack

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	cinderzones "github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/availabilityzones"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumetypes"
	novazones "github.com/gophercloud/gophercloud/v2/openstack/compute/v2/availabilityzones"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// named is a thing of the project that a configuration refers to.
type named struct{ id, name string }

func (n named) String() string {
	if n.name == "" || n.name == n.id {
		return n.id
	}
	return fmt.Sprintf("%s (%s)", n.id, n.name)
}

// subnet is a named with what an address in it must fit.
type subnet struct {
	named
	network, cidr, gateway string
}

// flavor is a named with its size.
type flavor struct {
	named
	memoryMB, cpus int
}

// list is a list of the project that is read once and shared by all VMs.
type list[T any] = lazy[[]T]

func newList[T any]() *list[T] {
	return newLazy[[]T](func(error) time.Duration { return outagePause })
}

// lists are those that the checks need.
type lists struct {
	cinderZones, novaZones, types, networks, groups *list[named]
	flavors                                         *list[flavor]
	subnets                                         *list[subnet]
	changeable
}

// changeable are the lists that others change all the time: they are read anew right before a cutover.
type changeable struct {
	volumes *list[Volume]
	servers *list[Server]

	mu     sync.Mutex
	ports  map[string]*list[port] // by network
	quotas [3]*list[quota]        // of Cinder, Nova and Neutron
}

func newLists() *lists {
	return &lists{
		cinderZones: newList[named](), novaZones: newList[named](), types: newList[named](), flavors: newList[flavor](),
		networks: newList[named](), groups: newList[named](), subnets: newList[subnet](),
		changeable: newChangeable(),
	}
}

func newChangeable() changeable {
	return changeable{
		volumes: newList[Volume](), servers: newList[Server](), ports: map[string]*list[port]{},
		quotas: [3]*list[quota]{newList[quota](), newList[quota](), newList[quota]()},
	}
}

// anew returns lists whose changeable ones are read again.
func (l *lists) anew() *lists {
	return &lists{
		cinderZones: l.cinderZones, novaZones: l.novaZones, types: l.types, flavors: l.flavors, networks: l.networks, groups: l.groups, subnets: l.subnets,
		changeable: newChangeable(),
	}
}

// ForbiddenError is returned if the account may not read a list, or the cloud does not have it, so that what depends on it cannot be checked.
type ForbiddenError struct {
	What string
	Err  error
}

func (e *ForbiddenError) Error() string {
	return "the " + e.What + " could not be listed: " + e.Err.Error()
}
func (e *ForbiddenError) Unwrap() error { return e.Err }

// read reads all pages of a list.
func read[T any](
	ctx context.Context, c *Client, from *list[T], what, service string, connect connect, pager func(*gophercloud.ServiceClient) pagination.Pager, extract func(pagination.Page) ([]T, error),
) ([]T, error) {
	return from.get(ctx, func() ([]T, error) {
		s, err := c.open(ctx)
		if err != nil {
			return nil, err
		}
		client, err := s.service(service, connect)
		if err != nil {
			return nil, err
		}
		pages, err := pager(client).AllPages(ctx)
		if err != nil {
			return nil, classifyList(what, err)
		}
		return extract(pages)
	})
}

// classifyList distinguishes a list that the account may not read.
func classifyList(what string, err error) error {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented} {
		if gophercloud.ResponseCodeIs(err, status) {
			return &ForbiddenError{what, err}
		}
	}
	return classify(fmt.Errorf("list the %s: %w", what, err))
}

// each converts an extracted list.
func each[F, T any](extract func(pagination.Page) ([]F, error), convert func(F) T) func(pagination.Page) ([]T, error) {
	return func(page pagination.Page) ([]T, error) {
		items, err := extract(page)
		converted := make([]T, 0, len(items))
		for _, item := range items {
			converted = append(converted, convert(item))
		}
		return converted, err
	}
}

func (l *lists) listCinderZones(ctx context.Context, c *Client) ([]named, error) {
	return read(ctx, c, l.cinderZones, "availability zones of Cinder", "Cinder", openstack.NewBlockStorageV3, cinderzones.List,
		each(cinderzones.ExtractAvailabilityZones, func(z cinderzones.AvailabilityZone) named { return named{id: z.ZoneName} }))
}

func (l *lists) listNovaZones(ctx context.Context, c *Client) ([]named, error) {
	return read(ctx, c, l.novaZones, "availability zones of Nova", "Nova", openstack.NewComputeV2, novazones.List,
		each(novazones.ExtractAvailabilityZones, func(z novazones.AvailabilityZone) named { return named{id: z.ZoneName} }))
}

func (l *lists) listVolumeTypes(ctx context.Context, c *Client) ([]named, error) {
	return read(ctx, c, l.types, "volume types", "Cinder", openstack.NewBlockStorageV3,
		func(s *gophercloud.ServiceClient) pagination.Pager {
			return volumetypes.List(s, volumetypes.ListOpts{})
		},
		each(volumetypes.ExtractVolumeTypes, func(t volumetypes.VolumeType) named { return named{t.ID, t.Name} }))
}

func (l *lists) listFlavors(ctx context.Context, c *Client) ([]flavor, error) {
	return read(ctx, c, l.flavors, "flavors", "Nova", openstack.NewComputeV2,
		func(s *gophercloud.ServiceClient) pagination.Pager { return flavors.ListDetail(s, flavors.ListOpts{}) },
		each(flavors.ExtractFlavors, func(f flavors.Flavor) flavor { return flavor{named{f.ID, f.Name}, f.RAM, f.VCPUs} }))
}

func (l *lists) listNetworks(ctx context.Context, c *Client) ([]named, error) {
	return read(ctx, c, l.networks, "networks", "Neutron", openstack.NewNetworkV2,
		func(s *gophercloud.ServiceClient) pagination.Pager { return networks.List(s, networks.ListOpts{}) },
		each(networks.ExtractNetworks, func(n networks.Network) named { return named{n.ID, n.Name} }))
}

func (l *lists) listSubnets(ctx context.Context, c *Client) ([]subnet, error) {
	return read(ctx, c, l.subnets, "subnets", "Neutron", openstack.NewNetworkV2,
		func(s *gophercloud.ServiceClient) pagination.Pager { return subnets.List(s, subnets.ListOpts{}) },
		each(subnets.ExtractSubnets, func(s subnets.Subnet) subnet {
			return subnet{named{s.ID, s.Name}, s.NetworkID, s.CIDR, canonical(s.GatewayIP)}
		}))
}

func (l *lists) listGroups(ctx context.Context, c *Client) ([]named, error) {
	return read(ctx, c, l.groups, "security groups", "Neutron", openstack.NewNetworkV2,
		func(s *gophercloud.ServiceClient) pagination.Pager { return groups.List(s, groups.ListOpts{}) },
		each(groups.ExtractGroups, func(g groups.SecGroup) named { return named{g.ID, g.Name} }))
}
