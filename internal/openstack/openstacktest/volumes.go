package openstacktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Volume is a volume of the project.
type Volume struct {
	ID, Name, Status, Type, Zone string
	SizeGiB                      int
	Bootable                     bool
	Metadata, Image              map[string]string
	// Servers have the volume attached, the first one as its root disk if Root is set.
	Servers []string
	Root    bool

	next string // the status after the next read
}

// Quotas are the limits of the project; -1 is no limit. TypeGigabytes are by volume type. RAM is in MiB.
type Quotas struct {
	Volumes, Gigabytes, Instances, Cores, RAM, Ports int
	TypeGigabytes                                    map[string]int
}

var unlimited = Quotas{Volumes: -1, Gigabytes: -1, Instances: -1, Cores: -1, RAM: -1, Ports: -1}

// SetQuotas changes the limits.
func (c *Cloud) SetQuotas(change func(*Quotas)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.quotas)
}

// AddVolume adds a volume, and returns its ID.
func (c *Cloud) AddVolume(volume Volume) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.addVolume(volume).ID
}

func (c *Cloud) addVolume(volume Volume) *Volume {
	if volume.ID == "" {
		volume.ID = c.newID()
	}
	c.volumes = append(c.volumes, &volume)
	return &volume
}

func (c *Cloud) newID() string {
	c.made++
	return fmt.Sprintf("%08d-0000-4000-8000-000000000000", c.made)
}

// Volumes returns the volumes as they are now.
func (c *Cloud) Volumes() []Volume {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []Volume
	for _, volume := range c.volumes {
		now := *volume
		now.settle()
		now.Metadata, now.Image, now.Servers = maps.Clone(now.Metadata), maps.Clone(now.Image), slices.Clone(now.Servers)
		all = append(all, now)
	}
	return all
}

// ChangeVolumes changes all volumes.
func (c *Cloud) ChangeVolumes(change func(*Volume)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, volume := range c.volumes {
		volume.settle()
		change(volume)
	}
}

// DeleteVolumes deletes the volumes whose names begin with a prefix, as somebody else would.
func (c *Cloud) DeleteVolumes(prefix string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.volumes = slices.DeleteFunc(c.volumes, func(v *Volume) bool { return strings.HasPrefix(v.Name, prefix) })
}

func (v *Volume) settle() {
	if v.next != "" {
		v.Status, v.next = v.next, ""
	}
}

func (c *Cloud) volume(id string) *Volume {
	for _, volume := range c.volumes {
		if volume.ID == id {
			return volume
		}
	}
	return nil
}

func (c *Cloud) serveVolumes(mux *http.ServeMux) {
	const base = "/volume/v3/{project}/"
	mux.HandleFunc("GET "+base+"volumes/detail", c.authorized(c.listVolumes))
	mux.HandleFunc("POST "+base+"volumes", c.authorized(c.createVolume))
	mux.HandleFunc("GET "+base+"volumes/{id}", c.onVolume(func(w http.ResponseWriter, _ *http.Request, v *Volume) {
		answer(w, http.StatusOK, map[string]any{"volume": v.json()})
		v.settle()
	}))
	mux.HandleFunc("PUT "+base+"volumes/{id}", c.onVolume(func(w http.ResponseWriter, r *http.Request, v *Volume) {
		var body struct {
			Volume struct {
				Metadata map[string]string `json:"metadata"`
			} `json:"volume"`
		}
		if !decode(w, r, &body) {
			return
		}
		if body.Volume.Metadata != nil { // keys that are not in it are removed
			v.Metadata = body.Volume.Metadata
		}
		answer(w, http.StatusOK, map[string]any{"volume": v.json()})
	}))
	mux.HandleFunc("POST "+base+"volumes/{id}/metadata", c.onVolume(func(w http.ResponseWriter, r *http.Request, v *Volume) {
		var body struct {
			Metadata map[string]string `json:"metadata"`
		}
		if decode(w, r, &body) { // other keys stay
			maps.Copy(v.Metadata, body.Metadata)
			answer(w, http.StatusOK, map[string]any{"metadata": v.Metadata})
		}
	}))
	mux.HandleFunc("POST "+base+"volumes/{id}/action", c.onVolume(c.actOnVolume))
	mux.HandleFunc("GET "+base+"os-quota-sets/{id}", c.authorized(c.volumeQuotas))
}

// onVolume serves a call for one volume.
func (c *Cloud) onVolume(serve func(w http.ResponseWriter, r *http.Request, v *Volume)) http.HandlerFunc {
	return c.authorized(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		volume := c.volume(r.PathValue("id"))
		if volume == nil {
			refuse(w, http.StatusNotFound, fmt.Sprintf("Volume %s could not be found.", r.PathValue("id")))
			return
		}
		serve(w, r, volume)
	})
}

func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return false
	}
	return true
}

var metadataPair = regexp.MustCompile(`'([^']*)': ?'([^']*)'`)

// listVolumes answers with one page, and a link to the next one.
func (c *Cloud) listVolumes(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	query := r.URL.Query()
	matching := []*Volume{}
	for _, volume := range c.volumes {
		matches := query.Get("name") == "" || volume.Name == query.Get("name")
		for _, pair := range metadataPair.FindAllStringSubmatch(query.Get("metadata"), -1) {
			matches = matches && volume.Metadata[pair[1]] == pair[2]
		}
		if matches {
			matching = append(matching, volume)
		}
	}
	start := 0
	for i, volume := range matching {
		if volume.ID == query.Get("marker") {
			start = i + 1
		}
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil {
		limit = c.page
	}
	end := min(start+min(max(limit, 1), c.page), len(matching))
	listed := []any{}
	for _, volume := range matching[start:end] {
		listed = append(listed, volume.json())
		volume.settle()
	}
	body := map[string]any{"volumes": listed}
	if end < len(matching) {
		query.Set("marker", matching[end-1].ID)
		body["volumes_links"] = []any{map[string]any{"rel": "next", "href": c.server.URL + r.URL.Path + "?" + query.Encode()}}
	}
	answer(w, http.StatusOK, body)
}

func (c *Cloud) createVolume(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Volume struct {
			Name     string            `json:"name"`
			Size     int               `json:"size"`
			Zone     string            `json:"availability_zone"`
			Type     string            `json:"volume_type"`
			Metadata map[string]string `json:"metadata"`
		} `json:"volume"`
	}
	if !decode(w, r, &body) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := body.Volume
	volumes, gigabytes, ofType := c.usedVolumes(wanted.Type)
	typeLimit, limited := c.quotas.TypeGigabytes[wanted.Type]
	switch {
	case wanted.Size <= 0:
		refuse(w, http.StatusBadRequest, "Invalid input for field/attribute size.")
	case wanted.Zone != "" && !c.has(CinderZone, wanted.Zone):
		refuse(w, http.StatusBadRequest, fmt.Sprintf("Availability zone '%s' is invalid.", wanted.Zone))
	case wanted.Type != "" && !c.has(VolumeType, wanted.Type):
		refuse(w, http.StatusNotFound, fmt.Sprintf("Volume type with name %s could not be found.", wanted.Type))
	case exceeds(c.quotas.Volumes, volumes+1):
		refuse(w, http.StatusRequestEntityTooLarge, "VolumeLimitExceeded: Maximum number of volumes allowed exceeded for quota 'volumes'.")
	case exceeds(c.quotas.Gigabytes, gigabytes+wanted.Size) || (limited && exceeds(typeLimit, ofType+wanted.Size)):
		refuse(w, http.StatusRequestEntityTooLarge, "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed gigabytes quota.")
	default:
		volume := c.addVolume(Volume{
			Name: wanted.Name, SizeGiB: wanted.Size, Zone: wanted.Zone, Type: wanted.Type, Metadata: wanted.Metadata, Status: "creating", next: "available",
		})
		answer(w, http.StatusAccepted, map[string]any{"volume": volume.json()})
	}
}

func exceeds(limit, wanted int) bool { return limit >= 0 && wanted > limit }

func (c *Cloud) usedVolumes(kind string) (volumes, gigabytes, ofType int) {
	for _, volume := range c.volumes {
		gigabytes += volume.SizeGiB
		if volume.Type == kind {
			ofType += volume.SizeGiB
		}
	}
	return len(c.volumes), gigabytes, ofType
}

func (c *Cloud) actOnVolume(w http.ResponseWriter, r *http.Request, v *Volume) {
	var body struct {
		Bootable *struct {
			Bootable bool `json:"bootable"`
		} `json:"os-set_bootable"`
		Image *struct {
			Metadata map[string]string `json:"metadata"`
		} `json:"os-set_image_metadata"`
	}
	if !decode(w, r, &body) {
		return
	}
	switch {
	case body.Bootable != nil:
		v.Bootable = body.Bootable.Bootable
	case body.Image != nil:
		if v.Image == nil {
			v.Image = map[string]string{}
		}
		maps.Copy(v.Image, body.Image.Metadata)
		answer(w, http.StatusOK, map[string]any{"metadata": v.Image})
		return
	default:
		refuse(w, http.StatusBadRequest, "There is no such action")
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (c *Cloud) volumeQuotas(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forbidden[VolumeQuota] {
		refuse(w, http.StatusForbidden, "Policy doesn't allow volume_extension:quotas:show to be performed.")
		return
	}
	usage := func(limit, used int) any {
		return map[string]any{"limit": limit, "in_use": used, "reserved": 0}
	}
	volumes, gigabytes, _ := c.usedVolumes("")
	set := map[string]any{"id": ProjectID, "volumes": usage(c.quotas.Volumes, volumes), "gigabytes": usage(c.quotas.Gigabytes, gigabytes)}
	for _, each := range c.items[VolumeType] {
		_, _, used := c.usedVolumes(each.name)
		limit, ok := c.quotas.TypeGigabytes[each.name]
		if !ok {
			limit = -1
		}
		set["gigabytes_"+each.name], set["volumes_"+each.name] = usage(limit, used), usage(-1, 0)
	}
	answer(w, http.StatusOK, map[string]any{"quota_set": set})
}

func (v *Volume) json() map[string]any {
	attachments := []any{}
	for i, server := range v.Servers {
		device := "/dev/vdb"
		if i == 0 && v.Root {
			device = "/dev/vda"
		}
		attachments = append(attachments, map[string]any{"id": v.ID, "server_id": server, "volume_id": v.ID, "device": device})
	}
	return map[string]any{
		"id": v.ID, "name": v.Name, "status": v.Status, "volume_type": v.Type, "availability_zone": v.Zone, "size": v.SizeGiB,
		"metadata": v.Metadata, "attachments": attachments, "bootable": strconv.FormatBool(v.Bootable), "volume_image_metadata": v.Image,
		"created_at": "2026-11-20T10:00:00.000000",
	}
}
