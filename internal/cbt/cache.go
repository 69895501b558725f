package cbt

import (
	"context"
	"sync"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

const (
	// maxAge is how long a cached status serves reads. Terraform asks about a VM several times in a row: it
	// refreshes and plans, or plans again and applies.
	maxAge = 10 * time.Second
	// maxAgeForWrite is shorter, because others may have changed the VM since.
	maxAgeForWrite = 2 * time.Second
)

// statusCache keeps the last status of VMs, by each name that was asked for.
type statusCache struct {
	mu          sync.Mutex
	byName      map[vsphere.Name]cachedStatus
	generation  int            // incremented by each invalidation
	invalidated map[string]int // generation of the last one, by managed object ID
}

type cachedStatus struct {
	*Status
	begun      time.Time // when the read began
	generation int       // when the read began
}

func newStatusCache() *statusCache {
	return &statusCache{byName: map[vsphere.Name]cachedStatus{}, invalidated: map[string]int{}}
}

// begin returns an entry for a read that begins now.
func (c *statusCache) begin() cachedStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return cachedStatus{begun: time.Now(), generation: c.generation}
}

func (c *statusCache) put(name vsphere.Name, entry cachedStatus) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byName[name] = entry
	c.byName[vsphere.Name{Moid: entry.VM.Moid}] = entry
}

// get returns nil if the entry is too old, or if the VM was invalidated since its read began.
func (c *statusCache) get(name vsphere.Name, maxAge time.Duration) *Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.byName[name]
	if !ok || time.Since(entry.begun) > maxAge || c.invalidated[entry.VM.Moid] > entry.generation {
		return nil
	}
	return entry.Status
}

// invalidate discards the cached status of a VM, and keeps the results of reads that have already begun from being
// reused.
func (c *statusCache) invalidate(moid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.invalidated[moid] = c.generation
}

// Read reads a VM from vCenter, and caches its status for ReadCached. Errors: those of vsphere.Client.Find, and NoIdentityError.
func (m *Manager) Read(ctx context.Context, name vsphere.Name) (*Status, error) {
	entry := m.cache.begin()
	status, err := m.read(ctx, name)
	if err != nil {
		return nil, err
	}
	entry.Status = status
	m.cache.put(name, entry)
	return status, nil
}

// ReadCached returns a status that is at most 10 seconds old, and not older than the last write of this process.
func (m *Manager) ReadCached(ctx context.Context, name vsphere.Name) (*Status, error) {
	if status := m.cache.get(name, maxAge); status != nil {
		return status, nil
	}
	return m.Read(ctx, name)
}

// ReadUncached reads a VM from vCenter by its managed object ID, and invalidates its cached status.
func (m *Manager) ReadUncached(ctx context.Context, moid string) (*Status, error) {
	m.cache.invalidate(moid)
	return m.read(ctx, vsphere.Name{Moid: moid})
}

// ReadUncachedByName reads a VM from vCenter for a data source: the cache stays as it is.
func (m *Manager) ReadUncachedByName(ctx context.Context, name vsphere.Name) (*Status, error) {
	return m.read(ctx, name)
}

func (m *Manager) read(ctx context.Context, name vsphere.Name) (*Status, error) {
	vm, err := m.vcenter.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	if vm.Identity() == "" {
		return nil, &vsphere.NoIdentityError{Path: vm.Path}
	}
	return NewStatus(vm), nil
}

// ReadFolder reads all VMs below a folder from vCenter, sorted by path.
func (m *Manager) ReadFolder(ctx context.Context, folder string) (statuses []*Status, unreadable []error, err error) {
	vms, unreadable, err := m.vcenter.FolderVMs(ctx, folder, false)
	if err != nil {
		return nil, nil, err
	}
	for _, vm := range vms {
		statuses = append(statuses, NewStatus(vm))
	}
	return statuses, unreadable, nil
}

// readForWrite returns the status that a write starts from, and invalidates it.
func (m *Manager) readForWrite(ctx context.Context, moid string) (*Status, error) {
	status := m.cache.get(vsphere.Name{Moid: moid}, maxAgeForWrite)
	m.cache.invalidate(moid)
	if status != nil {
		return status, nil
	}
	return m.ReadUncached(ctx, moid)
}
