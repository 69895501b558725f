package process

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// services are the HTTP services that one run calls.
type services struct {
	// environment has the variables that give migratekit their addresses.
	environment map[string]string
	filed       func() map[int32]string
	close       func()
}

// serve starts the change-ID store of a job and passes its progress reports on. It does nothing for a job without
// KnownChangeIDs. The store listens on a loopback port of its own, under a secret path.
func (m *Machine) serve(ctx context.Context, job migratekit.Job, sink migratekit.Sink) (*services, error) {
	if job.KnownChangeIDs == nil {
		return &services{filed: func() map[int32]string { return nil }, close: func() {}}, nil
	}
	store := migratekit.NewChangeIDStore(job, sink.ChangeIDRequested)
	token := rand.Text()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the change-ID store: %w", err)
	}
	closeStore := serveHTTP(listener, http.StripPrefix("/"+token, store))
	stopProgress := func() {}
	if sink.Progress != nil {
		stopProgress, err = m.progress.add(ctx, job.ID, sink.Progress)
		if err != nil {
			m.log.DebugContext(ctx, "migratekit progress unavailable", "vm_path", job.VMPath, "error", err.Error())
		}
	}
	return &services{
		environment: migratekit.StoreEnvironment(fmt.Sprintf("http://%s/%s", listener.Addr(), token)),
		filed:       store.Filed,
		close: func() {
			closeStore()
			stopProgress()
		},
	}, nil
}

// serveHTTP returns a function that stops the server and waits for it.
func serveHTTP(listener net.Listener, handler http.Handler) (closeServer func()) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
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
func (p *progressServer) add(ctx context.Context, job string, report func(migratekit.Progress)) (stop func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reports.Add(job, report)
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
