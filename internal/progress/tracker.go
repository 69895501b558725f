package progress

import (
	"math"
	"strconv"
	"sync"
	"time"
)

// Plan is what is known of a disk before it is copied.
type Plan struct {
	// Full is true for a full copy.
	Full bool
	// Capacity is in bytes.
	Capacity int64
	// Target is the volume or the export, ChangeID what an increment starts from.
	Target, ChangeID string
}

// Changed is how much of a disk changed.
type Changed struct {
	// Bytes is the sum. Below has the bytes below each whole percent of the disk.
	Bytes int64
	Below [101]int64
}

// Advance is one report of a copy. Unknown values are negative.
type Advance struct {
	// Percent is of the disk for a full copy. For an increment it is the offset in the disk.
	Percent float64
	// Bytes and Total are of the copy.
	Bytes, Total int64
}

// Tracker follows one cycle, and keeps its file. It is safe for concurrent use.
type Tracker struct {
	path   string
	report func(File)
	stop   chan struct{}
	ended  chan struct{}

	mu      sync.Mutex
	file    File
	disks   map[int32]*disk
	active  int32 // the disk that is being copied, -1 if none is
	samples []sample
	closed  bool
}

type disk struct {
	plan    Plan
	changed *Changed
	begun   bool
	// done is the part of the disk that is copied, in percent; it never falls.
	done         float64
	bytes, total int64 // negative if unknown
	after        string
}

type sample struct {
	at    time.Time
	bytes int64
}

const (
	writeEvery = time.Second
	// keepAlive is how often the file is written while nothing moves.
	keepAlive = 5 * time.Second
	// rateWindow is the time that the rate is an average of.
	rateWindow = 5 * time.Minute
	// reports are made at each reportStep percent, and after reportSilence without one, but never two within reportPause.
	reportStep    = 10
	reportSilence = 10 * time.Minute
	reportPause   = 10 * time.Second
	// almost is the percent of a cycle that has copied all that is known: a cutover still shuts the guest down and copies once more.
	almost = 99.9
)

// Start begins a file for a cycle, whose kind, VM, version, process and log are in file. report is called now and then with the progress: at each ten percent, and after ten
// minutes without a call. The caller must call End.
func Start(file File, disks map[int32]Plan, report func(File)) *Tracker {
	t := &Tracker{path: Path(file.LogFile), report: report, stop: make(chan struct{}), ended: make(chan struct{}), file: file, disks: map[int32]*disk{}, active: -1}
	t.file.Status, t.file.StartedAt = StatusRunning, time.Now().UTC()
	for key, plan := range disks {
		t.disks[key] = &disk{plan: plan, total: -1, bytes: -1}
	}
	_ = t.snapshot().write(t.path) // a full disk must not end the copy
	go t.run()
	return t
}

func (t *Tracker) run() {
	defer close(t.ended)
	ticker := time.NewTicker(writeEvery)
	defer ticker.Stop()
	last, written, reported, step := -1.0, time.Now(), time.Now(), 0
	for {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
		}
		now := t.snapshot()
		if now.Percent != last || time.Since(written) >= keepAlive {
			_ = now.write(t.path)
			last, written = now.Percent, time.Now()
		}
		reached := int(now.Percent) / reportStep
		if since := time.Since(reported); (reached > step && since >= reportPause) || since >= reportSilence {
			t.report(now)
			reported, step = time.Now(), reached
		}
	}
}

// Started is called when the copy of a disk starts.
func (t *Tracker) Started(key int32, full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.disks[key]
	if d == nil {
		return
	}
	if t.active >= 0 && t.active != key {
		t.finish(t.active) // disks are copied one after another
	}
	if !d.begun {
		d.plan.Full = full
	}
	d.begun, t.active = true, key
	d.settle()
}

// Kind is called when the kind of a copy is known that has started already.
func (t *Tracker) Kind(key int32, full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.disks[key]; d != nil && d.plan.Full != full {
		d.plan.Full, d.total = full, -1
		d.settle()
	}
}

// Measured is called when it is known how much of a disk changed.
func (t *Tracker) Measured(key int32, changed Changed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := t.disks[key]; d != nil && d.changed == nil { // a cutover measures twice
		d.changed = &changed
		d.settle()
	}
}

// Advanced is called with each report of the disk that is being copied; key is negative for that one.
func (t *Tracker) Advanced(key int32, a Advance) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if key < 0 {
		key = t.active
	}
	if d := t.disks[key]; d != nil {
		d.advance(a)
	}
}

// Ended is called when the copy of a disk is complete.
func (t *Tracker) Ended(key int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if key < 0 {
		key = t.active
	}
	t.finish(key)
}

func (t *Tracker) finish(key int32) {
	if d := t.disks[key]; d != nil {
		d.complete()
	}
	if t.active == key {
		t.active = -1
	}
}

// settle updates the total of a disk.
func (d *disk) settle() {
	switch {
	case d.plan.Full:
		d.total = d.plan.Capacity
	case d.changed != nil:
		d.total = d.changed.Bytes
	}
	if d.total >= 0 {
		d.bytes = min(max(d.bytes, 0), d.total)
	}
}

func (d *disk) advance(a Advance) {
	if !d.plan.Full && a.Total >= 0 && d.changed == nil { // exact for an increment
		d.total = a.Total
	}
	bytes, percent := a.Bytes, a.Percent
	switch {
	case d.plan.Full && bytes >= 0 && d.plan.Capacity > 0: // its total is that of all files
		percent = 100 * float64(bytes) / float64(d.plan.Capacity)
	case d.plan.Full && percent >= 0:
		bytes = int64(percent / 100 * float64(d.plan.Capacity))
	case bytes >= 0 && d.total > 0:
		percent = 100 * float64(bytes) / float64(d.total)
	case d.changed != nil && percent >= 0:
		bytes = d.changed.Below[min(int(percent), 100)]
		if d.changed.Bytes > 0 {
			percent = 100 * float64(bytes) / float64(d.changed.Bytes)
		}
	}
	d.done = max(d.done, min(percent, 100))
	if bytes >= 0 {
		d.bytes = max(d.bytes, bytes)
		if d.total >= 0 {
			d.bytes = min(d.bytes, d.total)
		}
	}
}

func (d *disk) complete() {
	d.begun, d.done = true, 100
	if d.total >= 0 {
		d.bytes = d.total
	}
}

// End completes the file. after has the change IDs that the next cycle starts from; failed is "" if the cycle succeeded.
func (t *Tracker) End(status, failed string, after map[int32]string) error {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.stop)
	}
	for key, d := range t.disks {
		d.after = after[key]
		if failed == "" {
			d.complete()
		}
	}
	ended := time.Now().UTC()
	t.file.Status, t.file.EndedAt = status, &ended
	if failed != "" {
		t.file.Error = &failed
	}
	t.mu.Unlock()
	<-t.ended
	file := t.snapshot()
	if file.write(t.path) == nil {
		return nil
	}
	return file.overwrite(t.path)
}

// snapshot returns the progress as it is now.
func (t *Tracker) snapshot() File {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.file
	f.UpdatedAt, f.Disks = time.Now().UTC(), map[string]Disk{}
	var bytes, total, capacity int64
	var weighted float64
	known := true
	for key, d := range t.disks {
		f.Disks[strconv.Itoa(int(key))] = d.file()
		weight := max(d.plan.Capacity, 1)
		capacity, weighted = capacity+weight, weighted+d.done*float64(weight)
		switch {
		case d.total >= 0:
			bytes, total = bytes+max(d.bytes, 0), total+d.total
		case d.plan.Full:
			total += d.plan.Capacity
		default:
			known = false
		}
	}
	percent := 0.0
	switch {
	case known && total > 0:
		percent = 100 * float64(bytes) / float64(total)
	case capacity > 0:
		percent = weighted / float64(capacity)
	}
	t.file.Percent = max(t.file.Percent, round(min(percent, almost)))
	if t.file.EndedAt != nil && t.file.Error == nil {
		t.file.Percent = 100
	}
	f.Percent = t.file.Percent
	if known {
		f.Bytes, f.TotalBytes = &bytes, &total
		t.rate(&f, bytes, total)
	}
	return f
}

func (d *disk) file() Disk {
	kind := "incremental"
	if d.plan.Full {
		kind = "full"
	}
	shown := Disk{Kind: kind, Percent: round(d.done), Target: d.plan.Target, ChangeIDBefore: d.plan.ChangeID, ChangeIDAfter: d.after}
	if d.total >= 0 {
		shown.TotalBytes, shown.Bytes = new(d.total), new(max(d.bytes, 0))
	} else if d.bytes >= 0 {
		shown.Bytes = new(d.bytes)
	}
	return shown
}

func round(percent float64) float64 { return math.Floor(percent*10) / 10 }

// rate sets the rate and the remaining time: while a cycle runs from the last minutes, at its end from all of it.
func (t *Tracker) rate(f *File, bytes, total int64) {
	now := f.UpdatedAt
	if f.EndedAt != nil {
		if took := f.EndedAt.Sub(f.StartedAt).Seconds(); took > 0 && f.Error == nil {
			f.BytesPerSecond = new(int64(float64(bytes) / took))
		}
		return
	}
	if n := len(t.samples); n == 0 || now.Sub(t.samples[n-1].at) >= writeEvery/2 {
		if bytes > 0 || n > 0 { // before, nothing was copied
			t.samples = append(t.samples, sample{now, bytes})
		}
	}
	for len(t.samples) > 2 && now.Sub(t.samples[0].at) > rateWindow {
		t.samples = t.samples[1:]
	}
	if len(t.samples) < 2 {
		return
	}
	first := t.samples[0]
	took := now.Sub(first.at).Seconds()
	if took <= 0 || bytes <= first.bytes {
		return
	}
	rate := float64(bytes-first.bytes) / took
	f.BytesPerSecond = new(int64(rate))
	if rate >= 1 && total > bytes {
		f.SecondsLeft = new(int64(math.Ceil(float64(total-bytes) / rate)))
	}
}
