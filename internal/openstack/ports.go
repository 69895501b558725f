package openstack

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// port is a port of a network.
type port struct {
	id, network, mac, owner, device string
	// addresses are "subnet address".
	addresses []string
	groups    []string
}

func (l *lists) listPorts(ctx context.Context, c *Client, network string) ([]port, error) {
	l.mu.Lock()
	from := l.ports[network]
	if from == nil {
		from = newList[port]()
		l.ports[network] = from
	}
	l.mu.Unlock()
	return read(ctx, c, from, "ports of the network "+network, "Neutron", openstack.NewNetworkV2,
		func(s *gophercloud.ServiceClient) pagination.Pager {
			return ports.List(s, ports.ListOpts{NetworkID: network})
		},
		each(ports.ExtractPorts, func(p ports.Port) port {
			found := port{id: p.ID, network: p.NetworkID, mac: strings.ToLower(p.MACAddress), owner: p.DeviceOwner, device: p.DeviceID, groups: p.SecurityGroups}
			for _, ip := range p.FixedIPs {
				found.addresses = append(found.addresses, ip.SubnetID+" "+canonical(ip.IPAddress))
			}
			return found
		}))
}

// canonical returns an IP address in the form in which equal ones are equal texts.
func canonical(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	return parsed.Unmap().String()
}

// normalized returns mappings with canonical addresses.
func normalized(networks []NetworkRequest) []NetworkRequest {
	all := slices.Clone(networks)
	for i := range all {
		all[i].IP = canonical(all[i].IP)
	}
	return all
}

// portOf returns the port that migratekit takes for a network card, nil if it makes one.
func (f *facts) portOf(network NetworkRequest) *port {
	for i, each := range f.ports {
		if each.network == network.NetworkID && each.mac == strings.ToLower(network.MAC) {
			return &f.ports[i]
		}
	}
	return nil
}

// newPorts returns how many ports migratekit makes for mappings.
func (f *facts) newPorts(networks []NetworkRequest) int {
	n := 0
	for _, network := range networks {
		if f.portOf(network) == nil {
			n++
		}
	}
	return n
}

// checkPort checks the port that a mapping gets. migratekit takes a port with the card's MAC as it is.
func (r Request) checkPort(i int, network NetworkRequest, known *facts) []Problem {
	problem := func(attribute, format string, args ...any) []Problem {
		return []Problem{{At: mapping(i, attribute), Error: r.Cutover, Text: fmt.Sprintf(format, args...)}}
	}
	found := known.portOf(network)
	if found == nil {
		for _, each := range known.ports {
			if each.network == network.NetworkID && network.IP != "" && slices.Contains(each.addresses, network.SubnetID+" "+network.IP) {
				return problem("ip", "%s is taken by the port %s (%s). Choose another address, or delete the port.", network.IP, each.id, cmp.Or(each.owner, "without a server"))
			}
		}
		return nil
	}
	const kept = "migratekit uses this port as it is. Delete the port, or change the mapping."
	inSubnet := func(address string) bool { return strings.HasPrefix(address, network.SubnetID+" ") }
	switch {
	case found.owner != "" || found.device != "":
		return problem("mac", "The port %s with the MAC address %s belongs to %s (%s). A server with this card would not start.", found.id, network.MAC, cmp.Or(found.device, "another device"), found.owner)
	case !slices.ContainsFunc(found.addresses, inSubnet):
		return problem("subnet_id", "The port %s with the MAC address %s has no address in the subnet %s. %s", found.id, network.MAC, network.SubnetID, kept)
	case network.IP != "" && !slices.Contains(found.addresses, network.SubnetID+" "+network.IP):
		return problem("ip", "The port %s with the MAC address %s has the address %s, and not %s. %s", found.id, network.MAC,
			strings.Join(strings.Fields(found.addresses[0])[1:], ""), network.IP, kept)
	case len(r.SecurityGroupIDs) > 0 && !sameSet(found.groups, r.SecurityGroupIDs):
		return []Problem{{At: []any{"openstack", "security_group_ids"}, Error: r.Cutover, Text: fmt.Sprintf(
			"The port %s with the MAC address %s has the security groups %s. %s", found.id, network.MAC, cmp.Or(strings.Join(found.groups, ", "), "none"), kept)}}
	}
	return nil
}

func mapping(i int, attribute string) []any {
	return []any{"openstack", "network_mappings", i, attribute}
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// listPortsOf returns the ports of all networks of the mappings.
func (l *lists) listPortsOf(ctx context.Context, c *Client, networks []NetworkRequest) ([]port, error) {
	all, seen := []port{}, map[string]bool{}
	for _, network := range networks {
		if seen[network.NetworkID] {
			continue
		}
		seen[network.NetworkID] = true
		found, err := l.listPorts(ctx, c, network.NetworkID)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}
