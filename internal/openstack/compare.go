package openstack

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// compare is pure.
func (r Request) compare(known *facts) []Problem {
	var problems []Problem
	missing := func(fails bool, what, value string, exist []named, at ...any) {
		at = append([]any{"openstack"}, at...)
		byID := func(n named) bool { return n.id == value }
		byName := func(n named) bool { return n.name == value }
		switch {
		case value == "" || exist == nil || slices.ContainsFunc(exist, byID):
		case at[1] == "volume_type" && slices.ContainsFunc(exist, byName): // Cinder accepts a name
		case slices.ContainsFunc(exist, byName):
			i := slices.IndexFunc(exist, byName)
			problems = append(problems, Problem{At: at, Error: fails, Text: fmt.Sprintf("%q is the name of a %s, and its ID is needed: write %q.", value, what, exist[i].id)})
		default:
			problems = append(problems, Problem{At: at, Error: fails, Text: fmt.Sprintf("The project has no %s %q. It has %s.", what, value, some(exist))})
		}
	}
	missing(true, "availability zone of Cinder", r.AvailabilityZone, known.cinderZones, "availability_zone")
	missing(r.Cutover, "availability zone of Nova", r.AvailabilityZone, known.novaZones, "availability_zone")
	missing(known.makes, "volume type", r.VolumeType, known.types, "volume_type")
	var sizes []named
	for _, each := range known.flavors {
		sizes = append(sizes, each.named)
		if each.id == r.FlavorID && (each.cpus < r.CPUs || each.memoryMB < r.MemoryMB) {
			problems = append(problems, Problem{At: []any{"openstack", "flavor_id"}, Text: fmt.Sprintf(
				"The flavor %s has %d CPUs and %d MiB, and the source has %d CPUs and %d MiB.", each.named, each.cpus, each.memoryMB, r.CPUs, r.MemoryMB)})
		}
	}
	missing(r.Cutover, "flavor", r.FlavorID, sizes, "flavor_id")
	for i, id := range r.SecurityGroupIDs {
		missing(r.Cutover, "security group", id, known.groups, "security_group_ids", i)
	}
	taken := map[string]int{}
	for i, network := range r.Networks {
		missing(r.Cutover, "network", network.NetworkID, known.networks, "network_mappings", i, "network_id")
		problems = append(problems, r.compareSubnet(i, network, known.subnets)...)
		problems = append(problems, r.checkPort(i, network, known)...)
		if before, ok := taken[network.SubnetID+" "+network.IP]; ok && network.IP != "" {
			problems = append(problems, Problem{
				At: mapping(i, "ip"), Error: r.Cutover, Text: fmt.Sprintf("%s is also the address of the mapping %d.", network.IP, before),
			})
		}
		taken[network.SubnetID+" "+network.IP] = i
	}
	problems = append(problems, r.checkVolumes(known)...)
	return append(problems, r.checkServer(known)...)
}

// checkServer looks for a server of the VM's name, and for a token that ends too early.
func (r Request) checkServer(known *facts) []Problem {
	var problems []Problem
	for _, server := range known.servers {
		if server.Name == r.Name {
			problems = append(problems, Problem{At: []any{"openstack"}, Text: fmt.Sprintf(
				"The project has a server %q already (%s). The cutover boots another one of the same name.", server.Name, server.ID)})
			break
		}
	}
	if r.Copying > 0 && known.lifetime > 0 && r.Copying > known.lifetime {
		problems = append(problems, Problem{At: []any{"openstack"}, Error: r.Cutover, Text: fmt.Sprintf(
			"At the rate of the last cycle a copy takes %s, and a token of OpenStack ends after %s. migratekit does not renew it, so it cannot record the copy. Have the lifetime of tokens raised in Keystone, or use another account.",
			r.Copying.Round(time.Minute), known.lifetime.Round(time.Minute))})
	}
	return problems
}

// compareSubnet checks the subnet of a mapping, and the address in it.
func (r Request) compareSubnet(i int, network NetworkRequest, subnets []subnet) []Problem {
	if subnets == nil {
		return nil
	}
	problem := func(attribute, format string, args ...any) []Problem {
		return []Problem{{At: mapping(i, attribute), Error: r.Cutover, Text: fmt.Sprintf(format, args...)}}
	}
	var inside []named
	var found *subnet
	for _, each := range subnets {
		if each.network == network.NetworkID {
			inside = append(inside, named{each.id, strings.TrimSpace(each.name + " " + each.cidr)})
		}
		if each.id == network.SubnetID {
			found = &each
		}
	}
	switch {
	case found == nil:
		return problem("subnet_id", "The project has no subnet %q. The network %s has %s.", network.SubnetID, network.NetworkID, some(inside))
	case found.network != network.NetworkID:
		return problem("subnet_id", "The subnet %s belongs to the network %s and not to %s, which has %s.", found.named, found.network, network.NetworkID, some(inside))
	case network.IP == "":
		return nil
	}
	address, err := netip.ParseAddr(network.IP)
	prefix, prefixErr := netip.ParsePrefix(found.cidr)
	switch {
	case err != nil || prefixErr != nil: // the address is validated
		return nil
	case !prefix.Contains(address):
		return problem("ip", "%s is not in the subnet %s, whose range is %s.", network.IP, found.named, found.cidr)
	case found.gateway == network.IP:
		return problem("ip", "%s is the gateway of the subnet %s.", network.IP, found.named)
	}
	return nil
}

// shownItems is how many of what exists are shown.
const shownItems = 10

// some lists what exists, names next to IDs.
func some(items []named) string {
	if len(items) == 0 {
		return "none"
	}
	var texts []string
	for _, item := range items {
		texts = append(texts, item.String())
	}
	slices.Sort(texts)
	if more := len(texts) - shownItems; more > 0 {
		texts = append(texts[:shownItems], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}
