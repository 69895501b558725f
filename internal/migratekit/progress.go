package migratekit

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// ProgressAddress is where migratekit for NBD targets reports its progress; it
// knows no other.
const ProgressAddress = "127.0.0.1:8081"

// progressInterval is how often the progress of one disk is passed on, unless
// its stage changes.
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
	// SyncType is full or incremental.
	SyncType     string `json:"sync_type"`
	ErrorMessage string `json:"error_message"`
}

// ProgressListener takes progress reports for all jobs of this process. It
// listens while there is a job to listen for, and where the port is free;
// nothing depends on it.
type ProgressListener struct {
	address string

	mu     sync.Mutex
	server *http.Server
	jobs   map[string]*progressJob
}

type progressJob struct {
	report func(Progress)
	last   map[string]passedOn // by disk
}

type passedOn struct {
	at    time.Time
	stage string
}

// NewProgressListener makes a listener at an address, which is ProgressAddress
// but in tests. It does not listen yet.
func NewProgressListener(address string) *ProgressListener {
	return &ProgressListener{address: address, jobs: map[string]*progressJob{}}
}

// Listen passes the reports of a job on, every few seconds at most, until
// stop. The error says why nothing will be heard; stop must be called all the
// same.
func (l *ProgressListener) Listen(ctx context.Context, job string, report func(Progress)) (stop func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.jobs[job] = &progressJob{report: report, last: map[string]passedOn{}}
	if l.server == nil {
		err = l.serve(ctx)
	}
	return func() { l.leave(job) }, err
}

// serve is called with l.mu held.
func (l *ProgressListener) serve(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/progress/{job}/update", l.update)
	l.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	server := l.server
	go func() { _ = server.Serve(listener) }()
	return nil
}

func (l *ProgressListener) leave(job string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.jobs, job)
	if len(l.jobs) == 0 && l.server != nil {
		_ = l.server.Close()
		l.server = nil
	}
}

func (l *ProgressListener) update(w http.ResponseWriter, r *http.Request) {
	var progress Progress
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPost)).Decode(&progress); err != nil {
		http.Error(w, "want a report of progress", http.StatusBadRequest)
		return
	}
	if err := l.pass(r.PathValue("job"), progress); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

var errNoJob = errors.New("unknown job")

func (l *ProgressListener) pass(id string, progress Progress) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	job := l.jobs[id]
	if job == nil {
		return errNoJob
	}
	last := job.last[progress.DiskID]
	if last.stage == progress.Stage && time.Since(last.at) < progressInterval {
		return nil
	}
	job.last[progress.DiskID] = passedOn{time.Now(), progress.Stage}
	job.report(progress)
	return nil
}
