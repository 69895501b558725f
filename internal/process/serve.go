package process

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// services are the HTTP services that one run calls.
type services struct {
	// environment has the variables that give migratekit their addresses.
	environment map[string]string
	// events are what the run's output tells the stall monitor.
	events migratekit.CopyEvents
	// complete adds to the outcome what the run told its services.
	complete func(*migratekit.Outcome)
	close    func()
}

// serve starts the change-ID store of a job and passes its progress reports on. It does nothing for a job without
// KnownChangeIDs. The store listens on a loopback port of its own, under a secret path.
func (m *Machine) serve(ctx context.Context, job migratekit.Job, sink migratekit.Sink, monitor *stallMonitor) (*services, error) {
	if job.KnownChangeIDs == nil {
		return &services{
			events:   migratekit.CopyEvents{Started: monitor.started, Progress: monitor.progress, Ended: monitor.ended},
			complete: func(*migratekit.Outcome) {}, close: func() {},
		}, nil
	}
	store := migratekit.NewChangeIDStore(job, func(ctx context.Context, key int32) {
		monitor.ended() // of the disk before; this one is watched from its first progress report on
		if sink.ChangeIDRequested != nil {
			sink.ChangeIDRequested(ctx, key)
		}
	})
	token := rand.Text()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the change-ID store: %w", err)
	}
	closeStore := serveHTTP(listener, http.StripPrefix("/"+token, store))
	reports := &runReports{sink: sink, monitor: monitor, full: map[int32]bool{}}
	stopProgress, err := m.progress.add(ctx, job.ID, store.Requested, reports.take)
	if err != nil {
		m.log.DebugContext(ctx, "migratekit progress unavailable", "vm_path", job.VMPath, "error", err.Error())
	}
	return &services{
		environment: migratekit.StoreEnvironment(fmt.Sprintf("http://%s/%s", listener.Addr(), token)),
		complete: func(outcome *migratekit.Outcome) {
			outcome.ChangeIDs, outcome.FullCopies = store.Filed(), reports.kinds()
		},
		close: func() {
			closeStore()
			stopProgress()
		},
	}, nil
}

// runReports takes the progress reports of one run.
type runReports struct {
	sink    migratekit.Sink
	monitor *stallMonitor

	mu   sync.Mutex
	full map[int32]bool // the kind of each disk's copy, by device key
}

func (r *runReports) take(p migratekit.Progress, throttled bool) {
	r.monitor.progress(p.BytesTransferred)
	r.mu.Lock()
	if p.SyncType != "" {
		r.full[p.Key] = p.SyncType == "initial"
	}
	r.mu.Unlock()
	if !throttled && r.sink.Progress != nil {
		r.sink.Progress(p)
	}
}

func (r *runReports) kinds() map[int32]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.full)
}

// maxConnections bounds the connections to one server; migratekit has a few for each disk.
const maxConnections = 100

// serveHTTP returns a function that stops the server and waits for it.
func serveHTTP(listener net.Listener, handler http.Handler) (closeServer func()) {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	listener = netutil.LimitListener(listener, maxConnections)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	return func() {
		_ = server.Close()
		<-served
	}
}

// progressServer takes the progress reports of all runs of this process, because their address is fixed. It listens
// while there is a run. If another process has the port, there are no progress reports, and the runs continue.
type progressServer struct {
	address string
	reports *migratekit.ProgressReports

	mu    sync.Mutex
	close func() // nil while it does not listen
}

func newProgressServer(address string) *progressServer {
	return &progressServer{address: address, reports: migratekit.NewProgressReports()}
}

// add passes the reports of a job on until stop, which must be called whatever the error.
func (p *progressServer) add(
	ctx context.Context, job string, disk func() int32, report func(p migratekit.Progress, throttled bool),
) (stop func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports.Add(job, disk, report)
	if p.close == nil {
		var listener net.Listener
		if listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", p.address); err == nil {
			p.close = serveHTTP(listener, p.reports)
		}
	}
	return func() { p.remove(job) }, err
}

func (p *progressServer) remove(job string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reports.Remove(job) == 0 && p.close != nil {
		p.close()
		p.close = nil
	}
}
