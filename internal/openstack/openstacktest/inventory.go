package openstacktest

import "net/http"

// Kind is a kind of thing that a project has.
type Kind string

// The kinds, by their address.
const (
	CinderZone    Kind = "/volume/v3/{project}/os-availability-zone"
	NovaZone      Kind = "/compute/v2.1/os-availability-zone"
	VolumeType    Kind = "/volume/v3/{project}/types"
	Flavor        Kind = "/compute/v2.1/flavors/detail"
	Network       Kind = "/network/v2.0/networks"
	Subnet        Kind = "/network/v2.0/subnets"
	SecurityGroup Kind = "/network/v2.0/security-groups"
	// VolumeQuota and PortQuota can be forbidden only.
	VolumeQuota Kind = "/volume/v3/{project}/os-quota-sets"
	PortQuota   Kind = "/network/v2.0/quotas"
)

// The size of every flavor; RAM is in MiB.
const (
	flavorRAM  = 4096
	flavorCPUs = 2
)

// item is one thing of a kind.
type item struct{ id, name, network, cidr, gateway string }

// Add adds a thing with an ID and a name.
func (c *Cloud) Add(kind Kind, id, name string) *Cloud { return c.add(kind, item{id: id, name: name}) }

// AddSubnet adds a subnet of a network.
func (c *Cloud) AddSubnet(id, network, cidr, gateway string) *Cloud {
	return c.add(Subnet, item{id: id, name: "subnet of " + network, network: network, cidr: cidr, gateway: gateway})
}

func (c *Cloud) add(kind Kind, what item) *Cloud {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items[kind] = append(c.items[kind], what)
	return c
}

// has reports whether there is a thing with an ID or a name.
func (c *Cloud) has(kind Kind, value string) bool {
	for _, each := range c.items[kind] {
		if each.id == value || each.name == value {
			return true
		}
	}
	return false
}

// Forbid makes a list end with 403.
func (c *Cloud) Forbid(kind Kind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forbidden[kind] = true
}

func (c *Cloud) serveInventory(mux *http.ServeMux) {
	zone := func(i item) any {
		return map[string]any{"zoneName": i.id, "zoneState": map[string]any{"available": true}}
	}
	plain := func(i item) any {
		return map[string]any{"id": i.id, "name": i.name, "ram": flavorRAM, "vcpus": flavorCPUs, "disk": 0, "rxtx_factor": 1.0, "swap": ""}
	}
	subnet := func(i item) any {
		return map[string]any{"id": i.id, "name": i.name, "network_id": i.network, "cidr": i.cidr, "gateway_ip": i.gateway, "ip_version": 4}
	}
	for kind, list := range map[Kind]struct {
		field string
		json  func(item) any
	}{
		CinderZone: {"availabilityZoneInfo", zone}, NovaZone: {"availabilityZoneInfo", zone}, VolumeType: {"volume_types", plain}, Flavor: {"flavors", plain},
		Network: {"networks", plain}, Subnet: {"subnets", subnet}, SecurityGroup: {"security_groups", plain},
	} {
		mux.HandleFunc("GET "+string(kind), c.authorized(func(w http.ResponseWriter, _ *http.Request) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.forbidden[kind] {
				refuse(w, http.StatusForbidden, "Policy doesn't allow this to be performed.")
				return
			}
			listed := []any{}
			for _, each := range c.items[kind] {
				listed = append(listed, list.json(each))
			}
			answer(w, http.StatusOK, map[string]any{list.field: listed})
		}))
	}
}
