package process

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// StalledError is returned if migratekit was stopped because a copy made no progress.
type StalledError struct {
	// After is how long there was none.
	After time.Duration
	// Err is how migratekit ended.
	Err error
}

func (e *StalledError) Error() string {
	return fmt.Sprintf("the copy made no progress for %s, and migratekit was stopped (%v)", e.After, e.Err)
}

func (e *StalledError) Unwrap() error { return e.Err }

// stallMonitor stops a run whose copy makes no progress. It works only while data is copied, and not after the source of a
// cutover was shut down: a disk is copied a second time then.
type stallMonitor struct {
	timeout time.Duration
	cutover bool
	confirm func() bool
	stop    func()

	mu      sync.Mutex
	copied  map[string]bool
	off     bool // for good
	timer   *time.Timer
	armed   int // incremented when the timer is stopped
	amount  int64
	stalled bool
}

func newStallMonitor(ctx context.Context, job migratekit.Job, sink migratekit.Sink, stop func()) *stallMonitor {
	confirm := func() bool { return true }
	if sink.ConfirmStall != nil {
		confirm = func() bool { return sink.ConfirmStall(ctx) }
	}
	return &stallMonitor{
		timeout: job.StallTimeout, cutover: job.Cutover, confirm: confirm, stop: stop, copied: map[string]bool{},
		off: job.StallTimeout <= 0,
	}
}

// started is called when the copy of a disk starts.
func (m *stallMonitor) started(disk string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disarm()
	m.off = m.off || (m.cutover && m.copied[disk])
	m.copied[disk] = true
	m.amount = -1
	m.arm()
}

// progress is called with percent or bytes, as often as migratekit tells them.
func (m *stallMonitor) progress(amount int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.timer != nil && amount == m.amount {
		return
	}
	m.amount = amount
	m.disarm()
	m.arm()
}

func (m *stallMonitor) ended() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disarm()
}

// close ends the monitor, and returns whether it stopped the run.
func (m *stallMonitor) close() (stalled bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disarm()
	m.off = true
	return m.stalled
}

// arm and disarm are called with m.mu held.
func (m *stallMonitor) arm() {
	if !m.off {
		armed := m.armed
		m.timer = time.AfterFunc(m.timeout, func() { m.expire(armed) })
	}
}

func (m *stallMonitor) disarm() {
	m.armed++
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
}

func (m *stallMonitor) expire(armed int) {
	confirmed := m.confirm()
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.off || m.armed != armed: // there was progress meanwhile
	case confirmed:
		m.stalled, m.off = true, true
		m.stop()
	default:
		m.arm()
	}
}
