package openstacktest

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Port is a port of a network.
type Port struct {
	ID, Network, Subnet, MAC, IP string
	// Owner and Device are set while a server has it.
	Owner, Device string
	Groups        []string
}

// AddPort adds a port.
func (c *Cloud) AddPort(port Port) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if port.ID == "" {
		port.ID = c.newID()
	}
	c.ports = append(c.ports, &port)
}

func (c *Cloud) port(id string) *Port {
	for _, port := range c.ports {
		if port.ID == id {
			return port
		}
	}
	return nil
}

func (c *Cloud) servePorts(mux *http.ServeMux) {
	mux.HandleFunc("GET /network/v2.0/ports", c.authorized(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		query, listed := r.URL.Query(), []any{}
		for _, port := range c.ports {
			if (query.Get("network_id") == "" || query.Get("network_id") == port.Network) && (query.Get("mac_address") == "" || strings.EqualFold(query.Get("mac_address"), port.MAC)) {
				listed = append(listed, port.json())
			}
		}
		answer(w, http.StatusOK, map[string]any{"ports": listed})
	}))
	mux.HandleFunc("POST /network/v2.0/ports", c.authorized(c.createPort))
	mux.HandleFunc("GET /network/v2.0/quotas/{project}/details.json", c.authorized(c.portQuota))
	mux.HandleFunc("GET /network/v2.0/quotas/{project}/details", c.authorized(c.portQuota))
}

func (c *Cloud) portQuota(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forbidden[PortQuota] {
		refuse(w, http.StatusForbidden, "Policy doesn't allow get_quota to be performed.")
		return
	}
	answer(w, http.StatusOK, map[string]any{"quota": map[string]any{"port": map[string]any{"limit": c.quotas.Ports, "used": len(c.ports), "reserved": 0}}})
}

func (c *Cloud) createPort(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Port struct {
			Network string `json:"network_id"`
			MAC     string `json:"mac_address"`
			IPs     []struct {
				Subnet string `json:"subnet_id"`
				IP     string `json:"ip_address"`
			} `json:"fixed_ips"`
			Groups []string `json:"security_groups"`
		} `json:"port"`
	}
	if !decode(w, r, &body) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	port := &Port{ID: c.newID(), Network: body.Port.Network, MAC: strings.ToLower(body.Port.MAC), Groups: body.Port.Groups}
	for _, fixed := range body.Port.IPs {
		port.Subnet, port.IP = fixed.Subnet, fixed.IP
	}
	i := slices.IndexFunc(c.items[Subnet], func(s item) bool { return s.id == port.Subnet })
	switch {
	case !c.has(Network, port.Network):
		refuse(w, http.StatusNotFound, fmt.Sprintf("Network %s could not be found.", port.Network))
		return
	case i < 0 || c.items[Subnet][i].network != port.Network:
		refuse(w, http.StatusBadRequest, fmt.Sprintf("Invalid input for operation: subnet %s is not on network %s.", port.Subnet, port.Network))
		return
	case exceeds(c.quotas.Ports, len(c.ports)+1):
		refuse(w, http.StatusConflict, "Quota exceeded for resources: ['port'].")
		return
	}
	taken := func(ip string) bool {
		return slices.ContainsFunc(c.ports, func(p *Port) bool { return p.Network == port.Network && p.IP == ip })
	}
	prefix := netip.MustParsePrefix(c.items[Subnet][i].cidr)
	for address := prefix.Addr().Next().Next(); port.IP == "" && prefix.Contains(address); address = address.Next() {
		if !taken(address.String()) {
			port.IP = address.String()
		}
	}
	address, err := netip.ParseAddr(port.IP)
	switch {
	case err != nil || !prefix.Contains(address):
		refuse(w, http.StatusBadRequest, fmt.Sprintf("IP address %s is not a valid IP for the specified subnet.", port.IP))
	case taken(port.IP):
		refuse(w, http.StatusConflict, fmt.Sprintf("IP address %s already allocated in subnet %s", port.IP, port.Subnet))
	default:
		c.ports = append(c.ports, port)
		answer(w, http.StatusCreated, map[string]any{"port": port.json()})
	}
}

func (p *Port) json() map[string]any {
	return map[string]any{
		"id": p.ID, "network_id": p.Network, "mac_address": p.MAC, "device_owner": p.Owner, "device_id": p.Device, "security_groups": p.Groups,
		"fixed_ips": []any{map[string]any{"subnet_id": p.Subnet, "ip_address": p.IP}}, "status": "DOWN", "name": "",
	}
}
