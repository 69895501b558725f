package openstacktest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
)

// Helper is the ID of the server that the metadata service names: the machine that runs the tests.
const Helper = "4e1b7a52-0000-4000-8000-00000000he1p"

// Server is a server of the project.
type Server struct {
	ID, Name, Status, Flavor string
	// Addresses are those of its ports.
	Addresses []string
}

// Servers returns the servers, without the helper.
func (c *Cloud) Servers() []Server {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Server
	for _, server := range c.servers {
		if server.ID != Helper {
			all = append(all, *server)
		}
	}
	return all
}

// AddServer adds a server, and returns its ID.
func (c *Cloud) AddServer(server Server) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if server.ID == "" {
		server.ID = c.newID()
	}
	c.servers = append(c.servers, &server)
	return server.ID
}

// ChangeServers changes all servers but the helper. A server whose ID is emptied is deleted.
func (c *Cloud) ChangeServers(change func(*Server)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, server := range c.servers {
		if server.ID != Helper {
			change(server)
		}
	}
	c.servers = slices.DeleteFunc(c.servers, func(s *Server) bool { return s.ID == "" })
}

// DeleteServer deletes the servers of a name. Their volumes and ports stay, and are free.
func (c *Cloud) DeleteServer(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, server := range c.servers {
		if server.Name != name {
			continue
		}
		for _, port := range c.ports {
			if port.Device == server.ID {
				port.Owner, port.Device = "", ""
			}
		}
		for _, volume := range c.volumes {
			if slices.Contains(volume.Servers, server.ID) {
				volume.Servers, volume.Root, volume.Status = nil, false, "available"
			}
		}
	}
	c.servers = slices.DeleteFunc(c.servers, func(s *Server) bool { return s.Name == name })
}

// RemoveHelper makes this machine a server of another project.
func (c *Cloud) RemoveHelper() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.servers = slices.DeleteFunc(c.servers, func(s *Server) bool { return s.ID == Helper })
}

// ServeMetadata starts a metadata service alone. It is reached as a proxy, like that of a cloud: set HTTP_PROXY to its address.
func ServeMetadata() *httptest.Server { return httptest.NewServer(http.HandlerFunc(metadata)) }

// metadata is the metadata service.
func metadata(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"uuid": Helper, "project_id": ProjectID, "name": "helper"})
}

// URL is the address of the cloud.
func (c *Cloud) URL() string { return c.server.URL }

func (c *Cloud) findServer(id string) *Server {
	for _, server := range c.servers {
		if server.ID == id {
			return server
		}
	}
	return nil
}

func (c *Cloud) serveServers(mux *http.ServeMux) {
	const base = "/compute/v2.1/"
	mux.HandleFunc("GET "+base+"servers/detail", c.authorized(func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		listed := []any{}
		for _, server := range c.servers {
			listed = append(listed, server.json())
		}
		answer(w, http.StatusOK, map[string]any{"servers": listed})
	}))
	mux.HandleFunc("POST "+base+"servers", c.authorized(c.createServer))
	mux.HandleFunc("GET "+base+"flavors/{id}", c.authorized(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, each := range c.items[Flavor] {
			if each.id == r.PathValue("id") {
				answer(w, http.StatusOK, map[string]any{"flavor": map[string]any{"id": each.id, "name": each.name, "ram": flavorRAM, "vcpus": flavorCPUs, "swap": ""}})
				return
			}
		}
		refuse(w, http.StatusNotFound, fmt.Sprintf("Flavor %s could not be found.", r.PathValue("id")))
	}))
	mux.HandleFunc("GET "+base+"servers/{id}", c.onServer(func(w http.ResponseWriter, _ *http.Request, s *Server) {
		answer(w, http.StatusOK, map[string]any{"server": s.json()})
	}))
	mux.HandleFunc("POST "+base+"servers/{id}/os-volume_attachments", c.onServer(c.attach))
	mux.HandleFunc("DELETE "+base+"servers/{id}/os-volume_attachments/{volume}", c.onServer(c.detach))
	mux.HandleFunc("GET "+base+"os-quota-sets/{project}/detail", c.authorized(c.serverQuotas))
	mux.HandleFunc("GET "+base+"limits", c.authorized(func(w http.ResponseWriter, _ *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		n := len(c.servers) - 1 // the helper costs nothing
		answer(w, http.StatusOK, map[string]any{"limits": map[string]any{"rate": []any{}, "absolute": map[string]any{
			"maxTotalInstances": c.quotas.Instances, "totalInstancesUsed": n, "maxTotalCores": c.quotas.Cores, "totalCoresUsed": n * flavorCPUs,
			"maxTotalRAMSize": c.quotas.RAM, "totalRAMUsed": n * flavorRAM,
		}}})
	}))
}

func (c *Cloud) serverQuotas(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.servers) - 1 // the helper costs nothing
	usage := func(limit, used int) any {
		return map[string]any{"limit": limit, "in_use": used, "reserved": 0}
	}
	answer(w, http.StatusOK, map[string]any{"quota_set": map[string]any{
		"id": ProjectID, "instances": usage(c.quotas.Instances, n), "cores": usage(c.quotas.Cores, n*flavorCPUs), "ram": usage(c.quotas.RAM, n*flavorRAM),
	}})
}

func (c *Cloud) onServer(serve func(w http.ResponseWriter, r *http.Request, s *Server)) http.HandlerFunc {
	return c.authorized(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		server := c.findServer(r.PathValue("id"))
		if server == nil {
			refuse(w, http.StatusNotFound, fmt.Sprintf("Instance %s could not be found.", r.PathValue("id")))
			return
		}
		serve(w, r, server)
	})
}

func (c *Cloud) attach(w http.ResponseWriter, r *http.Request, s *Server) {
	var body struct {
		Attachment struct {
			Volume string `json:"volumeId"`
		} `json:"volumeAttachment"`
	}
	if !decode(w, r, &body) {
		return
	}
	volume := c.volume(body.Attachment.Volume)
	switch {
	case volume == nil:
		refuse(w, http.StatusNotFound, fmt.Sprintf("Volume %s could not be found.", body.Attachment.Volume))
	case volume.Status != "available":
		refuse(w, http.StatusBadRequest, fmt.Sprintf("Invalid input received: Invalid volume: volume %s status must be available or downloading to reserve, but the current status is %s.", volume.ID, volume.Status))
	default:
		volume.Status, volume.Servers = "in-use", []string{s.ID}
		answer(w, http.StatusOK, map[string]any{"volumeAttachment": map[string]any{"id": volume.ID, "serverId": s.ID, "volumeId": volume.ID, "device": "/dev/vdb"}})
	}
}

func (c *Cloud) detach(w http.ResponseWriter, r *http.Request, s *Server) {
	volume := c.volume(r.PathValue("volume"))
	switch {
	case volume == nil || !slices.Contains(volume.Servers, s.ID):
		refuse(w, http.StatusNotFound, fmt.Sprintf("Instance %s is not attached to volume %s", s.ID, r.PathValue("volume")))
	case volume.Root:
		refuse(w, http.StatusForbidden, "Can't detach root device volume")
	default:
		volume.Status, volume.next = "detaching", "available"
		volume.Servers = nil
		w.WriteHeader(http.StatusAccepted)
	}
}

func (c *Cloud) createServer(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Server struct {
			Name     string                  `json:"name"`
			Flavor   string                  `json:"flavorRef"`
			Zone     string                  `json:"availability_zone"`
			Networks []struct{ Port string } `json:"networks"`
			Disks    []struct {
				UUID      string `json:"uuid"`
				BootIndex int    `json:"boot_index"`
			} `json:"block_device_mapping_v2"`
		} `json:"server"`
	}
	if !decode(w, r, &body) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted, n := body.Server, len(c.servers)-1
	if !c.has(Flavor, wanted.Flavor) {
		refuse(w, http.StatusBadRequest, "Invalid flavorRef provided.")
		return
	}
	if wanted.Zone != "" && !c.has(NovaZone, wanted.Zone) {
		refuse(w, http.StatusBadRequest, "The requested availability zone is not available")
		return
	}
	if exceeds(c.quotas.Instances, n+1) || exceeds(c.quotas.Cores, (n+1)*flavorCPUs) || exceeds(c.quotas.RAM, (n+1)*flavorRAM) {
		refuse(w, http.StatusForbidden, "Quota exceeded for instances: Requested 1, but already used all")
		return
	}
	server := &Server{ID: c.newID(), Name: wanted.Name, Status: "ACTIVE", Flavor: wanted.Flavor}
	for _, disk := range wanted.Disks {
		volume := c.volume(disk.UUID)
		if volume == nil || volume.Status != "available" || (disk.BootIndex == 0 && !volume.Bootable) {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("Block Device %s is not bootable.", disk.UUID))
			return
		}
	}
	for _, network := range wanted.Networks {
		port := c.port(network.Port)
		if port == nil || port.Owner != "" {
			refuse(w, http.StatusConflict, fmt.Sprintf("Port %s is still in use.", network.Port))
			return
		}
	}
	for _, disk := range wanted.Disks {
		volume := c.volume(disk.UUID)
		volume.Status, volume.Servers, volume.Root = "in-use", []string{server.ID}, disk.BootIndex == 0
	}
	for _, network := range wanted.Networks {
		port := c.port(network.Port)
		port.Owner, port.Device = "compute:nova", server.ID
		server.Addresses = append(server.Addresses, port.IP)
	}
	c.servers = append(c.servers, server)
	answer(w, http.StatusAccepted, map[string]any{"server": map[string]any{"id": server.ID, "links": []any{}}})
}

func (s *Server) json() map[string]any {
	addresses := []any{}
	for _, address := range s.Addresses {
		addresses = append(addresses, map[string]any{"addr": address, "version": 4, "OS-EXT-IPS:type": "fixed"})
	}
	return map[string]any{
		"id": s.ID, "name": s.Name, "status": s.Status, "flavor": map[string]any{"id": s.Flavor}, "tenant_id": ProjectID,
		"addresses": map[string]any{"lan": addresses}, "created": "2026-11-20T10:00:00Z", "updated": "2026-11-20T10:00:00Z",
	}
}
