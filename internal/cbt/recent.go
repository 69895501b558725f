package cbt

import (
	"context"
	"sync"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// freshness is how long what was read of a VM stands in for another read.
// Terraform asks about a VM several times in a row: it refreshes and plans, or
// plans again and applies.
const freshness = 10 * time.Second

// writeFreshness is the same for what is written, or left alone, because of what
// was read: others may have changed the VM since.
const writeFreshness = 2 * time.Second

// recent is what was read of VMs just now, by each name that was asked for, and
// that this process has not changed since.
type recent struct {
	mu     sync.Mutex
	byName map[vsphere.Name]readStatus
	marks  int            // of what makes reads too old, such as writes, so far
	last   map[string]int // the last one of them, by managed object ID
}

type readStatus struct {
	*Status
	at    time.Time
	after int // as many marks
}

func newRecent() *recent {
	return &recent{byName: map[vsphere.Name]readStatus{}, last: map[string]int{}}
}

// begun is what a read is kept with: when it began, and after which mark.
func (r *recent) begun() readStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return readStatus{at: time.Now(), after: r.marks}
}

func (r *recent) keep(name vsphere.Name, read readStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.byName[name] = read
	r.byName[vsphere.Name{Moid: read.VM.Moid}] = read
}

// get is what was read of the VM of that name, nil where that is longer ago or
// the VM was written to since the read began.
func (r *recent) get(name vsphere.Name, within time.Duration) *Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	read, ok := r.byName[name]
	if !ok || time.Since(read.at) > within || r.last[read.VM.Moid] > read.after {
		return nil
	}
	return read.Status
}

// forget makes whatever was read of a VM too old, also a read that is under way.
func (r *recent) forget(moid string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marks++
	r.last[moid] = r.marks
}

// Look reads the VM of a name, and keeps what it read for whoever asks next.
func (m *Manager) Look(ctx context.Context, name vsphere.Name) (*Status, error) {
	read := m.recent.begun()
	status, err := m.Find(ctx, name)
	if err == nil {
		read.Status = status
		m.recent.keep(name, read)
	}
	return status, err
}

// Recent is what was read of the VM of a name just now; it looks where nobody
// did.
func (m *Manager) Recent(ctx context.Context, name vsphere.Name) (*Status, error) {
	if status := m.recent.get(name, freshness); status != nil {
		return status, nil
	}
	return m.Look(ctx, name)
}

// begin is the status that a write starts from: what was read just now, once,
// else a read of its own.
func (m *Manager) begin(ctx context.Context, moid string) (*Status, error) {
	status := m.recent.get(vsphere.Name{Moid: moid}, writeFreshness)
	m.recent.forget(moid)
	if status != nil {
		return status, nil
	}
	return m.Status(ctx, moid)
}
