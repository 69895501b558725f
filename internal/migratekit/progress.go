package migratekit

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// ProgressAddress is where migratekit for NBD targets reports its progress. The address is fixed in migratekit.
const ProgressAddress = "127.0.0.1:8081"

// progressInterval is how often the progress of one disk is passed on, unless its stage changes.
const progressInterval = 10 * time.Second

// Progress is one report of migratekit for NBD targets.
type Progress struct {
	Stage  string `json:"stage"`
	Status string `json:"status"`
	// BytesTransferred and TotalBytes are of one disk.
	BytesTransferred int64   `json:"bytes_transferred"`
	TotalBytes       int64   `json:"total_bytes"`
	ThroughputBPS    float64 `json:"throughput_bps"`
	Percent          float64 `json:"percent"`
	DiskID           string  `json:"disk_id"`
	SyncType         string  `json:"sync_type"`
	ErrorMessage     string  `json:"error_message"`
}

// ProgressReports is the HTTP API for progress reports. It passes each report on to its run.
type ProgressReports struct {
	mux  *http.ServeMux
	mu   sync.Mutex
	runs map[string]*reportedRun // by job ID
}

type reportedRun struct {
	report func(Progress)
	last   map[string]lastReport // by disk
}

type lastReport struct {
	at    time.Time
	stage string
}

// NewProgressReports returns a handler that knows no run yet.
func NewProgressReports() *ProgressReports {
	p := &ProgressReports{mux: http.NewServeMux(), runs: map[string]*reportedRun{}}
	p.mux.HandleFunc("POST /api/v1/progress/{job}/update", p.update)
	return p
}

// Add calls report for the reports of a job, every few seconds at most, until Remove.
func (p *ProgressReports) Add(job string, report func(Progress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs[job] = &reportedRun{report: report, last: map[string]lastReport{}}
}

// Remove stops passing on the reports of a job, and returns how many jobs are left.
func (p *ProgressReports) Remove(job string) (left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.runs, job)
	return len(p.runs)
}

// ServeHTTP implements http.Handler.
func (p *ProgressReports) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

func (p *ProgressReports) update(w http.ResponseWriter, r *http.Request) {
	var progress Progress
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPost)).Decode(&progress); err != nil {
		http.Error(w, "want a report of progress", http.StatusBadRequest)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	run := p.runs[r.PathValue("job")]
	if run == nil {
		http.Error(w, "unknown job", http.StatusNotFound)
		return
	}
	run.pass(progress)
	w.WriteHeader(http.StatusNoContent)
}

func (r *reportedRun) pass(progress Progress) {
	last := r.last[progress.DiskID]
	if last.stage == progress.Stage && time.Since(last.at) < progressInterval {
		return
	}
	r.last[progress.DiskID] = lastReport{time.Now(), progress.Stage}
	r.report(progress)
}
