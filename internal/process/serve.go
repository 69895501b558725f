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
			events:   copyEvents(sink, monitor),
			complete: func(*migratekit.Outcome) {}, close: func() {},
		}, nil
	}
	store := migratekit.NewChangeIDStore(job, func(ctx context.Context, key int32) {
		monitor.ended() // of the disk before; this one is watched from its first progress report on
		copies(sink, migratekit.CopyEvent{Stage: migratekit.CopyStarted, Key: key})
		if sink.ChangeIDRequested != nil {
			sink.ChangeIDRequested(ctx, key)
		}
	}, func(key int32) { copies(sink, migratekit.CopyEvent{Stage: migratekit.CopyEnded, Key: key}) })
	token := rand.Text()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the change-ID store: %w", err)
	}
	closeStore := serveHTTP(listener, http.StripPrefix("/"+token, store))
	reports := &runReports{sink: sink, monitor: monitor, full: map[int32]bool{}}
	stopProgress, err := m.progress.add(ctx, job.ID, store.Requested, reports.take)
	unreported := ""
	if err != nil {
		unreported = err.Error()
	}
	return &services{
		environment: migratekit.StoreEnvironment(fmt.Sprintf("http://%s/%s", listener.Addr(), token)),
		complete: func(outcome *migratekit.Outcome) {
			outcome.ChangeIDs, outcome.FullCopies, outcome.Unreported = store.Filed(), reports.kinds(), unreported
		},
		close: func() {
			closeStore()
			stopProgress()
		},
	}, nil
}

// copies passes on what happens to a disk.
func copies(sink migratekit.Sink, event migratekit.CopyEvent) {
	if sink.Copy != nil {
		sink.Copy(event)
	}
}

// copyEvents tells the monitor and the sink what migratekit for OpenStack prints.
func copyEvents(sink migratekit.Sink, monitor *stallMonitor) migratekit.CopyEvents {
	return migratekit.CopyEvents{
		Started: func(c migratekit.Copy) {
			monitor.started(c.Disk)
			copies(sink, migratekit.CopyEvent{Stage: migratekit.CopyStarted, Key: -1, Disk: c.Disk, Full: &c.Full})
		},
		Progress: func(percent int64) {
			monitor.progress(percent)
			copies(sink, migratekit.CopyEvent{Stage: migratekit.CopyAdvanced, Key: -1, Percent: float64(percent), Bytes: -1, Total: -1})
		},
		Ended: func() {
			monitor.ended()
			copies(sink, migratekit.CopyEvent{Stage: migratekit.CopyEnded, Key: -1})
		},
	}
}

// runReports takes the progress reports of one run.
type runReports struct {
	sink    migratekit.Sink
	monitor *stallMonitor

	mu   sync.Mutex
	full map[int32]bool // the kind of each disk's copy, by device key
}

func (r *runReports) take(p migratekit.Progress) {
	r.monitor.progress(p.BytesTransferred)
	r.mu.Lock()
	if p.SyncType != "" {
		r.full[p.Key] = p.SyncType == "initial"
	}
	full, known := r.full[p.Key]
	r.mu.Unlock()
	event := migratekit.CopyEvent{Stage: migratekit.CopyAdvanced, Key: p.Key, Percent: -1, Bytes: p.BytesTransferred, Total: -1}
	if known {
		event.Full = &full
	}
	if p.TotalBytes > 0 {
		event.Total = p.TotalBytes
	}
	copies(r.sink, event)
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
	ctx context.Context, job string, disk func() int32, report func(p migratekit.Progress),
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
