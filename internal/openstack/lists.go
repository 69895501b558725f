package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
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
}

func newLists() lists {
	return lists{
		cinderZones: newList[named](), novaZones: newList[named](), types: newList[named](), flavors: newList[flavor](),
		networks: newList[named](), groups: newList[named](), subnets: newList[subnet](),
	}
}

// ForbiddenError is returned if the account may not read a list, so that what depends on it cannot be checked.
type ForbiddenError struct {
	What string
	Err  error
}

func (e *ForbiddenError) Error() string {
	return "the account may not list the " + e.What + ": " + e.Err.Error()
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
			if status, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err); ok && status.Actual == http.StatusForbidden {
				return nil, &ForbiddenError{what, err}
			}
			return nil, classify(fmt.Errorf("list the %s: %w", what, err))
		}
		return extract(pages)
	})
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

func (c *Client) listCinderZones(ctx context.Context) ([]named, error) {
	return read(ctx, c, c.lists.cinderZones, "availability zones of Cinder", "Cinder", openstack.NewBlockStorageV3, cinderzones.List,
		each(cinderzones.ExtractAvailabilityZones, func(z cinderzones.AvailabilityZone) named { return named{id: z.ZoneName} }))
}

func (c *Client) listNovaZones(ctx context.Context) ([]named, error) {
	return read(ctx, c, c.lists.novaZones, "availability zones of Nova", "Nova", openstack.NewComputeV2, novazones.List,
		each(novazones.ExtractAvailabilityZones, func(z novazones.AvailabilityZone) named { return named{id: z.ZoneName} }))
}

func (c *Client) listVolumeTypes(ctx context.Context) ([]named, error) {
	return read(ctx, c, c.lists.types, "volume types", "Cinder", openstack.NewBlockStorageV3,
		func(s *gophercloud.ServiceClient) pagination.Pager {
			return volumetypes.List(s, volumetypes.ListOpts{})
		},
		each(volumetypes.ExtractVolumeTypes, func(t volumetypes.VolumeType) named { return named{t.ID, t.Name} }))
}

func (c *Client) listFlavors(ctx context.Context) ([]flavor, error) {
	return read(ctx, c, c.lists.flavors, "flavors", "Nova", openstack.NewComputeV2,
		func(s *gophercloud.ServiceClient) pagination.Pager { return flavors.ListDetail(s, flavors.ListOpts{}) },
		each(flavors.ExtractFlavors, func(f flavors.Flavor) flavor { return flavor{named{f.ID, f.Name}, f.RAM, f.VCPUs} }))
}

func (c *Client) listNetworks(ctx context.Context) ([]named, error) {
	return read(ctx, c, c.lists.networks, "networks", "Neutron", openstack.NewNetworkV2,
		func(s *gophercloud.ServiceClient) pagination.Pager { return networks.List(s, networks.ListOpts{}) },
		each(networks.ExtractNetworks, func(n networks.Network) named { return named{n.ID, n.Name} }))
}

func (c *Client) listSubnets(ctx context.Context) ([]subnet, error) {
	return read(ctx, c, c.lists.subnets, "subnets", "Neutron", openstack.NewNetworkV2,
		func(s *gophercloud.ServiceClient) pagination.Pager { return subnets.List(s, subnets.ListOpts{}) },
		each(subnets.ExtractSubnets, func(s subnets.Subnet) subnet {
			return subnet{named{s.ID, s.Name}, s.NetworkID, s.CIDR, s.GatewayIP}
		}))
}

func (c *Client) listGroups(ctx context.Context) ([]named, error) {
	return read(ctx, c, c.lists.groups, "security groups", "Neutron", openstack.NewNetworkV2,
		func(s *gophercloud.ServiceClient) pagination.Pager { return groups.List(s, groups.ListOpts{}) },
		each(groups.ExtractGroups, func(g groups.SecGroup) named { return named{g.ID, g.Name} }))
}
