package e2etest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// scene is the VM and the replication of one cell of the matrix.
type scene struct {
	*workspace
	vcenter *vspheretest.VCenter
	vm      *vspheretest.Machine
	nbd     *gateway
	steer   string
	run     int // value of the trigger
}

// timeout returns a timeout that is long enough for a cycle to reach any stage, however busy this machine is.
func (s *scene) timeout() time.Duration {
	s.t.Helper()
	begun := time.Now()
	s.terraform(0, "plan")
	return 3*time.Second + 4*time.Since(begun).Round(time.Second)
}

func newScene(t *testing.T) *scene {
	t.Helper()
	vcenter, vm := startVCenter(t)
	w, steer := replicated(t, vcenter, "")
	server, err := nbdtest.Start(nbdtest.Newstyle, map[string]nbdtest.Export{"web01-0": {Size: 1 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	s := &scene{workspace: w, vcenter: vcenter, vm: vm, steer: steer, nbd: newGateway(t, server)}
	s.env["TMPDIR"] = t.TempDir()
	s.configure("1h")
	return s
}

func (s *scene) configure(timeout string) {
	s.write(filepath.Join(s.dir, "main.tf"), fmt.Sprintf(`
terraform {
  required_providers {
    vma = { source = "vma-project/vma" }
  }
}
resource "vma_replication" "web" {
  vm_path              = "/DC0/vm/web01"
  nbd                  = { exports = { "2000" = "nbd://%s/web01-0" } }
  on_leftover_snapshot = "remove"
  stop_grace           = "30s"
  triggers             = { run = "%d" }
  timeouts             = { create = %q, update = %q }
}
`, s.nbd.listener.Addr(), s.run, timeout, timeout))
}

// track initializes CBT before the cycle, which then needs no snapshot for it.
func (s *scene) track() {
	s.vm.SetTracking(true)
	s.vm.Stun()
}

// reach returns a channel that is closed at the first call of a method.
func (s *scene) reach(method string) <-chan struct{} {
	reached := make(chan struct{})
	s.vcenter.Observe(method, 0, 1, func() { close(reached) })
	return reached
}

// gateway is a proxy in front of an NBD server. It can hold or drop connections.
type gateway struct {
	listener net.Listener

	mu      sync.Mutex
	reached chan struct{} // closed at the next connection, unless nil
	open    chan struct{}
	closed  bool
}

func newGateway(t *testing.T, server *nbdtest.Server) *gateway {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{listener: listener, open: make(chan struct{})}
	close(g.open)
	t.Cleanup(func() { _ = listener.Close() })
	address, _, _ := strings.Cut(strings.TrimPrefix(server.URI(""), "nbd://"), "/")
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go g.pass(t, conn, address)
		}
	}()
	return g
}

func (g *gateway) pass(t *testing.T, conn net.Conn, address string) {
	defer func() { _ = conn.Close() }()
	g.mu.Lock()
	open, closed := g.open, g.closed
	if g.reached != nil {
		close(g.reached)
		g.reached = nil
	}
	g.mu.Unlock()
	select {
	case <-open:
	case <-t.Context().Done():
		return
	}
	if closed {
		return
	}
	server, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	go func() { _, _ = io.Copy(server, conn) }()
	_, _ = io.Copy(conn, server)
}

func (g *gateway) hold() (reached <-chan struct{}, release func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, open := make(chan struct{}), make(chan struct{})
	g.reached, g.open = at, open
	return at, func() { close(open) }
}

func (g *gateway) shut(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
}

// takeBackup restores the backup of the state, as a user must after a second Ctrl-C: Terraform empties a local
// state file before it rewrites it, and warns that a second interrupt may end it in between.
func (s *scene) takeBackup() {
	s.t.Helper()
	state := filepath.Join(s.dir, "terraform.tfstate")
	if about, err := os.Stat(state); err != nil || about.Size() > 0 {
		return
	}
	backup, err := os.ReadFile(state + ".backup")
	if errors.Is(err, os.ErrNotExist) { // there was no earlier state
		err = os.Remove(state)
	} else if err == nil {
		err = os.WriteFile(state, backup, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// status returns the status of the replication in state, or "" if there is none.
func (s *scene) status() string {
	s.t.Helper()
	resources := s.resources()
	if len(resources) == 0 {
		return ""
	}
	status, _ := resources[0].Values["status"].(string)
	if tainted := resources[0].Tainted; tainted != (status == "failed" && s.run == 0) {
		s.t.Errorf("status %q, tainted %t", status, tainted)
	}
	return status
}

// processes returns the processes of this scene that still run after a while: Terraform, the provider,
// migratekit and its guard. It finds them by their environment.
func (s *scene) processes() string {
	s.t.Helper()
	patience := time.NewTimer(2 * time.Minute)
	defer patience.Stop()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		var alive []string
		found, err := filepath.Glob("/proc/[0-9]*/environ")
		if err != nil {
			s.t.Fatal(err)
		}
		for _, path := range found {
			environ, _ := os.ReadFile(path)
			name, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			guards := strings.Contains(string(name), s.env["TMPDIR"]) // a guard inherits no environment
			if guards || strings.Contains(string(environ), s.steer) {
				alive = append(alive, strings.ReplaceAll(string(name), "\x00", " "))
			}
		}
		if len(alive) == 0 {
			return ""
		}
		select {
		case <-patience.C:
			return strings.Join(alive, "; ")
		case <-ticker.C:
		}
	}
}
