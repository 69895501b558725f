package migratekit

import (
	"encoding/json"
	"net/http"
	"sync"
)

// ProgressAddress is where migratekit for NBD targets reports its progress. The address is fixed in migratekit.
const ProgressAddress = "127.0.0.1:8081"

// Progress is one report of migratekit for NBD targets. A report does not name its disk.
type Progress struct {
	// Key is the device key of the disk, -1 if it is unknown.
	Key    int32  `json:"-"`
	Stage  string `json:"stage"`
	Status string `json:"status"`
	// BytesTransferred and TotalBytes are of one disk.
	BytesTransferred int64   `json:"bytes_transferred"`
	TotalBytes       int64   `json:"total_bytes"`
	ThroughputBPS    float64 `json:"throughput_bps"`
	Percent          float64 `json:"percent"`
	// SyncType is initial or incremental. Only the first report of a disk has it.
	SyncType     string `json:"sync_type"`
	ErrorMessage string `json:"error_message"`
}

// ProgressReports is the HTTP API for progress reports. It passes each report on to its run.
type ProgressReports struct {
	mux  *http.ServeMux
	mu   sync.Mutex
	runs map[string]*reportedRun // by job ID
}

type reportedRun struct {
	disk   func() int32
	report func(p Progress)
}

// NewProgressReports returns a handler that knows no run yet.
func NewProgressReports() *ProgressReports {
	p := &ProgressReports{mux: http.NewServeMux(), runs: map[string]*reportedRun{}}
	p.mux.HandleFunc("POST /api/v1/progress/{job}/update", p.update)
	return p
}

// Add calls report for the reports of a job until Remove. Disk returns the device key of the disk that is being copied.
func (p *ProgressReports) Add(job string, disk func() int32, report func(p Progress)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.runs[job] = &reportedRun{disk: disk, report: report}
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
	progress.Key = run.disk()
	run.report(progress)
	w.WriteHeader(http.StatusOK) // migratekit logs a warning for any other status
}
