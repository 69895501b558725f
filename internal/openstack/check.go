package openstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Request has the names that a replication refers to in a project. Empty fields are not checked.
type Request struct {
	// Cutover is true if a server is to be booted now.
	Cutover                                bool
	AvailabilityZone, VolumeType, FlavorID string
	Networks                               []NetworkRequest
	SecurityGroupIDs                       []string
	// CPUs and MemoryMB are the size of the source; 0 is not compared.
	CPUs, MemoryMB int
}

// NetworkRequest is the mapping of one network card.
type NetworkRequest struct{ NetworkID, SubnetID, IP string }

// Problem is something that the project does not have, or that could not be checked.
type Problem struct {
	// At is the attribute inside openstack: names and indexes.
	At []any
	// Text says what is wrong, and what exists instead.
	Text string
	// Error is true if the next cycle, or a cutover that is to be done now, would fail.
	Error bool
}

// facts are the lists that a request needs.
type facts struct {
	cinderZones, novaZones, types, networks, groups []named
	flavors                                         []flavor
	subnets                                         []subnet
}

// Check compares a request with the project. It reads only the lists that the request needs, each once in this process. Errors are those of a login.
func (c *Client) Check(ctx context.Context, request Request) ([]Problem, error) {
	var known facts
	var group errgroup.Group
	forbidden := make([]*ForbiddenError, 7)
	load := func(i int, needed bool, read func() error) {
		if !needed {
			return
		}
		group.Go(func() error {
			err := read()
			if denied, ok := errors.AsType[*ForbiddenError](err); ok {
				forbidden[i] = denied
				return nil
			}
			return err
		})
	}
	server := request.Cutover || request.FlavorID != ""
	load(0, request.AvailabilityZone != "", func() (err error) { known.cinderZones, err = c.listCinderZones(ctx); return err })
	load(1, request.AvailabilityZone != "" && server, func() (err error) { known.novaZones, err = c.listNovaZones(ctx); return err })
	load(2, request.VolumeType != "", func() (err error) { known.types, err = c.listVolumeTypes(ctx); return err })
	load(3, request.FlavorID != "", func() (err error) { known.flavors, err = c.listFlavors(ctx); return err })
	load(4, len(request.Networks) > 0, func() (err error) { known.networks, err = c.listNetworks(ctx); return err })
	load(5, len(request.Networks) > 0, func() (err error) { known.subnets, err = c.listSubnets(ctx); return err })
	load(6, len(request.SecurityGroupIDs) > 0, func() (err error) { known.groups, err = c.listGroups(ctx); return err })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	problems := request.compare(known)
	for _, denied := range forbidden {
		if denied != nil {
			problems = append(problems, Problem{Text: fmt.Sprintf("The account may not list the %s, so they were not checked: %v.", denied.What, denied.Err)})
		}
	}
	return problems, nil
}

// compare is pure. A list that is nil could not be read.
func (r Request) compare(known facts) []Problem {
	var problems []Problem
	missing := func(fails bool, what, value string, exist []named, at ...any) {
		byID := func(n named) bool { return n.id == value }
		byName := func(n named) bool { return n.name == value }
		switch {
		case value == "" || exist == nil || slices.ContainsFunc(exist, byID):
		case at[0] == "volume_type" && slices.ContainsFunc(exist, byName): // Cinder accepts a name
		case slices.ContainsFunc(exist, byName):
			i := slices.IndexFunc(exist, byName)
			problems = append(problems, Problem{At: at, Error: fails, Text: fmt.Sprintf("%q is the name of a %s, and its ID is needed: write %q.", value, what, exist[i].id)})
		default:
			problems = append(problems, Problem{At: at, Error: fails, Text: fmt.Sprintf("The project has no %s %q. It has %s.", what, value, some(exist))})
		}
	}
	missing(true, "availability zone of Cinder", r.AvailabilityZone, known.cinderZones, "availability_zone")
	missing(r.Cutover, "availability zone of Nova", r.AvailabilityZone, known.novaZones, "availability_zone")
	missing(true, "volume type", r.VolumeType, known.types, "volume_type")
	var sizes []named
	for _, each := range known.flavors {
		sizes = append(sizes, each.named)
		if each.id == r.FlavorID && (each.cpus < r.CPUs || each.memoryMB < r.MemoryMB) {
			problems = append(problems, Problem{At: []any{"flavor_id"}, Text: fmt.Sprintf(
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
		if before, ok := taken[network.SubnetID+" "+network.IP]; ok && network.IP != "" {
			problems = append(problems, Problem{
				At: []any{"network_mappings", i, "ip"}, Error: r.Cutover,
				Text: fmt.Sprintf("%s is also the address of the mapping %d.", network.IP, before),
			})
		}
		taken[network.SubnetID+" "+network.IP] = i
	}
	return problems
}

// compareSubnet checks the subnet of a mapping, and the address in it.
func (r Request) compareSubnet(i int, network NetworkRequest, subnets []subnet) []Problem {
	if subnets == nil {
		return nil
	}
	problem := func(attribute, format string, args ...any) []Problem {
		return []Problem{{At: []any{"network_mappings", i, attribute}, Error: r.Cutover, Text: fmt.Sprintf(format, args...)}}
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
