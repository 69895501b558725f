package openstack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Request is a copy of a VM to the project, and what its server is to have. Empty fields are not checked.
type Request struct {
	// Name and Moid are the VM's: Name as its inventory path has it, Moid is its managed object ID.
	Name, Moid string
	// Cutover is true if a server is to be booted now.
	Cutover bool
	// Starts is true right before migratekit is started: what may have changed is read anew.
	Starts                                 bool
	AvailabilityZone, VolumeType, FlavorID string
	Networks                               []NetworkRequest
	SecurityGroupIDs                       []string
	// CPUs and MemoryMB are the size of the source; 0 is not compared.
	CPUs, MemoryMB int
	// EFI is true if the source boots with EFI, Off if it is powered off.
	EFI, Off bool
	// Disks are those to copy. The server boots from the first one.
	Disks []DiskRequest
	// Host returns the ID of the server that migratekit runs on. It is called only if that matters.
	Host func(ctx context.Context) (string, error)
	// Unfinished is true if the end of our last run on that server was not seen, so that what is attached there is ours.
	Unfinished bool
	// Detach is true if a volume that is attached to that server by an unknown run is to be detached.
	Detach bool
	// newPorts is how many ports migratekit would make.
	newPorts int
	// Copying is how long migratekit needs one token, 0 if unknown.
	Copying time.Duration
}

// NetworkRequest is the mapping of one network card.
type NetworkRequest struct{ MAC, NetworkID, SubnetID, IP string }

// DiskRequest is a disk to copy.
type DiskRequest struct {
	// Key is its device key, Name what a reader calls it.
	Key   int32
	Name  string
	Bytes int64
}

const gib = 1 << 30

// sizeGiB is the size of the volume that migratekit makes.
func (d DiskRequest) sizeGiB() int { return int((d.Bytes + gib - 1) / gib) }

// Problem is something that the project does not have, or that could not be checked.
type Problem struct {
	// At is the attribute of the replication: names and indexes.
	At []any
	// Text says what is wrong, and what exists instead.
	Text string
	// Unread is true if a list could not be read.
	Unread bool
	// Error is true if the next cycle, or a cutover that is to be done now, would fail.
	Error bool
}

// Report is the result of a check.
type Report struct {
	Problems []Problem
	// Volumes are those of the VM, by device key. A disk that has several has none here.
	Volumes map[int32]Volume
	// Host is the server that migratekit runs on, "" if that was not asked, or is not known.
	Host string
	// CutOverTo is the server that an earlier cutover booted, "" if there is none.
	CutOverTo string
}

// facts are the lists that a request needs. A list that is nil could not be read, or is not needed.
type facts struct {
	volumes                                         []Volume // of the project
	own                                             []Volume // of the VM
	cinderZones, novaZones, types, networks, groups []named
	flavors                                         []flavor
	subnets                                         []subnet
	servers                                         []Server
	ports                                           []port
	quotas                                          []quota
	host                                            string
	lifetime                                        time.Duration
	makes                                           bool // volumes
}

// Check compares a request with the project. It reads only the lists that the request needs, each once in this process, and again what may have changed if a
// cutover starts. Errors are those of a login.
func (c *Client) Check(ctx context.Context, request Request) (*Report, error) {
	request.Networks = normalized(request.Networks)
	lists := c.lists
	if request.Starts && request.Cutover {
		lists = lists.anew()
	}
	known, report := &facts{}, &Report{}
	if err := c.gather(ctx, lists, request, known, report); err != nil {
		return nil, err
	}
	report.Host = known.host
	report.Volumes = request.owned(known.own)
	report.CutOverTo = CutOverTo(report.Volumes, request.keys(), request.Off)
	if report.CutOverTo != "" {
		return report, nil // nothing of it is needed any more
	}
	request.newPorts = known.newPorts(request.Networks)
	report.Problems = append(report.Problems, request.compare(known)...)
	report.Problems = append(report.Problems, request.checkQuotas(known, c.needs.add(request))...)
	return report, nil
}

// gather reads what the request needs. What the account may not read is a problem.
func (c *Client) gather(ctx context.Context, lists *lists, request Request, known *facts, report *Report) error {
	session, err := c.open(ctx)
	if err == nil {
		err = session.checkEndpoints()
	}
	if err != nil {
		return err
	}
	known.lifetime = session.lifetime
	if known.volumes, err = lists.listVolumes(ctx, c); err != nil {
		return err
	}
	if known.own = known.volumes; request.Starts {
		if known.own, err = c.Settle(ctx, request.Moid); err != nil {
			return err
		}
	}
	makes := len(request.owned(known.own)) < len(request.Disks)
	known.makes = makes
	server := request.Cutover || request.FlavorID != ""
	var loads []func() error
	load := func(needed bool, read func() error) {
		if needed {
			loads = append(loads, read)
		}
	}
	load(request.AvailabilityZone != "" && makes, func() (err error) { known.cinderZones, err = lists.listCinderZones(ctx, c); return err })
	load(request.AvailabilityZone != "" && server, func() (err error) { known.novaZones, err = lists.listNovaZones(ctx, c); return err })
	load(request.VolumeType != "", func() (err error) { known.types, err = lists.listVolumeTypes(ctx, c); return err })
	load(request.FlavorID != "", func() (err error) { known.flavors, err = lists.listFlavors(ctx, c); return err })
	load(server && request.Name != "", func() (err error) { known.servers, err = lists.listServers(ctx, c); return err })
	load(len(request.Networks) > 0, func() (err error) { known.networks, err = lists.listNetworks(ctx, c); return err })
	load(len(request.Networks) > 0, func() (err error) { known.subnets, err = lists.listSubnets(ctx, c); return err })
	load(len(request.SecurityGroupIDs) > 0, func() (err error) { known.groups, err = lists.listGroups(ctx, c); return err })
	load(len(request.Networks) > 0, func() (err error) { known.ports, err = lists.listPortsOf(ctx, c, request.Networks); return err })
	quotas := [3][]quota{}
	for service, needed := range [3]bool{ofCinder: makes, ofNova: request.FlavorID != "", ofNeutron: len(request.Networks) > 0} {
		load(needed, func() (err error) { quotas[service], err = lists.listQuotas(ctx, c, service); return err })
	}
	unread := make([]error, len(loads))
	var group errgroup.Group
	for i, read := range loads {
		group.Go(func() error {
			err := read()
			_, denied := errors.AsType[*ForbiddenError](err)
			if _, outage := errors.AsType[*UnreachableError](err); denied || (outage && !request.Cutover) {
				unread[i] = err
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, each := range quotas {
		known.quotas = append(known.quotas, each...)
	}
	for _, err := range unread {
		if err != nil {
			report.Problems = append(report.Problems, Problem{At: []any{"openstack"}, Unread: true, Text: fmt.Sprintf("Not everything was checked: %v.", err)})
		}
	}
	if request.Host != nil && (request.Starts || attached(request.owned(known.own))) {
		// Not to know the server is a problem only when migratekit starts.
		known.host, err = request.Host(ctx)
		if request.Starts {
			return c.checkHost(ctx, known.host, err)
		}
	}
	return nil
}

// HostError is returned if migratekit cannot attach volumes to the machine that it is to run on.
type HostError struct{ Err error }

func (e *HostError) Error() string { return e.Err.Error() }
func (e *HostError) Unwrap() error { return e.Err }

// checkHost requires that the machine is a server of the project.
func (c *Client) checkHost(ctx context.Context, host string, err error) error {
	if err == nil {
		if c.host.Load() == host {
			return nil
		}
		_, err = c.Server(ctx, host)
		if err == nil {
			c.host.Store(host)
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return &HostError{err}
}

func attached(volumes map[int32]Volume) bool {
	for _, volume := range volumes {
		if len(volume.AttachedTo) > 0 {
			return true
		}
	}
	return false
}

// owned returns the volumes of the disks to copy, by device key.
func (r Request) owned(all []Volume) map[int32]Volume { return Owned(all, r.Name, r.Moid, r.keys()) }

func (r Request) keys() []int32 {
	var keys []int32
	for _, disk := range r.Disks {
		keys = append(keys, disk.Key)
	}
	return keys
}

// Owned returns the volumes of a VM's disks, by device key. A disk with several volumes has none.
func Owned(all []Volume, name, moid string, keys []int32) map[int32]Volume {
	owned := map[int32]Volume{}
	for _, key := range keys {
		if found := Of(all, name, moid, key); len(found) == 1 {
			owned[key] = found[0]
		}
	}
	return owned
}

// ServerOf returns the server that has all of the volumes, "" if there is none. The machine that a run of ours attaches them to is none.
func ServerOf(volumes []Volume) string {
	server := ""
	for _, volume := range volumes {
		if len(volume.AttachedTo) != 1 || volume.AttachedTo[0] == volume.RunServer || (server != "" && volume.AttachedTo[0] != server) {
			return ""
		}
		server = volume.AttachedTo[0]
	}
	return server
}

// CutOverTo returns the server that a cutover of the VM booted: it has all volumes, the first one as its root disk; the source is off, and a cutover was started that is not known
// to have failed. A server that somebody booted from the volumes for a test is none, and neither is the machine that migratekit runs on.
func CutOverTo(owned map[int32]Volume, keys []int32, off bool) string {
	if !off || len(owned) != len(keys) {
		return ""
	}
	began, root := false, true
	for i, key := range keys {
		began = began || owned[key].CutoverStartedAt != ""
		root = root && (i > 0 || owned[key].Root)
	}
	if !began || !root {
		return ""
	}
	return ServerOf(slices.Collect(maps.Values(owned)))
}
