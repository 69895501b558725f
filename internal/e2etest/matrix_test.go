package e2etest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
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

const sceneTimeout = 3 * time.Second

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

// stage is a point in a cycle at which an event happens.
type stage struct {
	name string
	// prepare sets up the VM so that a cycle reaches the stage.
	prepare func(s *scene)
	// hold blocks the cycle at the stage, once.
	hold func(s *scene) (reached <-chan struct{}, release func())
	// fail makes the stage fail until mend is called.
	fail func(s *scene) (mend func())
}

func failTasks(method string, times int) func(*scene) func() {
	return func(s *scene) func() {
		s.vcenter.FailTasks(method, times)
		return func() { s.vcenter.FailTasks(method, 0) }
	}
}

func holdTasks(method string) func(*scene) (<-chan struct{}, func()) {
	return func(s *scene) (<-chan struct{}, func()) {
		release := s.vm.HoldTasks(method)
		return s.reach(method), release
	}
}

// later runs a first cycle, so that the next one is the second.
func later(s *scene) {
	s.terraform(0, "apply", "-auto-approve")
	s.run++
	s.configure("1h")
}

func holdCopy(s *scene) (<-chan struct{}, func()) {
	pause, reached := filepath.Join(s.steer, "pause"), make(chan struct{})
	s.write(pause, "")
	s.env[migratekittest.Pause] = pause
	go func() {
		waitFor(s.t, pause+".waiting")
		close(reached)
	}()
	return reached, func() { _ = os.Remove(pause) }
}

func failCopy(s *scene) (mend func()) {
	s.env[migratekittest.Fail] = "2000"
	return func() { delete(s.env, migratekittest.Fail) }
}

var stages = []stage{
	{"verify exports", func(*scene) {}, func(s *scene) (<-chan struct{}, func()) { return s.nbd.hold() }, func(s *scene) func() {
		s.nbd.shut(true)
		return func() { s.nbd.shut(false) }
	}},
	{"leftover snapshot", func(s *scene) {
		s.track()
		if err := s.vm.AddSnapshot("migratekit", ""); err != nil {
			s.t.Fatal(err)
		}
	}, holdTasks("RemoveSnapshot_Task"), failTasks("RemoveSnapshot_Task", 9)},
	{"CBT gate", func(*scene) {}, holdTasks("CreateSnapshot_Task"), failTasks("CreateSnapshot_Task", 9)},
	{"migratekit's snapshot", (*scene).track, holdTasks("CreateSnapshot_Task"), failTasks("CreateSnapshot_Task", 9)},
	{"copy", (*scene).track, holdCopy, failCopy},
	{"removal of its snapshot", (*scene).track, holdTasks("RemoveSnapshot_Task"), failTasks("RemoveSnapshot_Task", 1)},
	{"copy of a later cycle", later, holdCopy, failCopy},
}

// event happens at a stage. act ends the apply and returns its exit status.
type event struct {
	name string
	act  func(s *scene, at stage) int
	// states are the allowed statuses after a first cycle, later those after a later one; "" is no resource.
	states, later []string
	// exits are the allowed exit statuses.
	exits []int
	// leaves is true if a snapshot may be left for the next apply to remove.
	leaves bool
}

// held starts an apply and waits until it blocks at the stage.
func (s *scene) held(at stage) (apply *running, release func()) {
	reached, release := at.hold(s)
	apply = s.startGroup("apply", "-auto-approve")
	apply.until(reached)
	return apply, release
}

func signalled(signals ...syscall.Signal) func(*scene, stage) int {
	return func(s *scene, at stage) int {
		apply, release := s.held(at)
		apply.signalGroup(signals[0])
		apply.heeds()
		if len(signals) > 1 {
			// It may already have ended by itself, which is fine.
			_ = syscall.Kill(-apply.cmd.Process.Pid, signals[1])
			defer release() // after the kill
			return apply.wait()
		}
		release()
		return apply.wait()
	}
}

var events = []event{
	{"failure", func(s *scene, at stage) int {
		defer at.fail(s)()
		return s.start("apply", "-auto-approve").wait()
	}, []string{""}, []string{"failed"}, []int{1}, true},
	{"hang to timeout", func(s *scene, at stage) int {
		s.configure(sceneTimeout.String())
		apply, release := s.held(at)
		// The timeout has passed by then. The cleanup waits for the task.
		timer := time.AfterFunc(sceneTimeout, release)
		exit := apply.wait()
		if timer.Stop() {
			release()
		}
		return exit
	}, []string{"", "replicated"}, []string{"failed"}, []int{0, 1}, false},
	// After the release, the cycle may also complete before it gets the signal.
	{"Ctrl-C", signalled(syscall.SIGINT), []string{"interrupted", "replicated"}, []string{"interrupted", "replicated"}, []int{1}, false},
	{"SIGTERM to the group", signalled(syscall.SIGTERM), []string{"interrupted", "replicated"}, []string{"interrupted", "replicated"}, []int{1}, false},
	{"second Ctrl-C", signalled(syscall.SIGINT, syscall.SIGINT), []string{"", "interrupted"}, []string{"replicated", "interrupted"}, []int{1}, true},
	{"SIGKILL of Terraform", func(s *scene, at stage) int {
		apply, release := s.held(at)
		if err := apply.cmd.Process.Kill(); err != nil {
			s.t.Error(err)
		}
		defer release()
		return apply.wait()
	}, []string{""}, []string{"replicated"}, []int{-1}, true},
	{"SIGHUP to the group", func(s *scene, at stage) int {
		apply, release := s.held(at)
		apply.signalGroup(syscall.SIGHUP) // the terminal was closed
		defer release()
		return apply.wait()
	}, []string{""}, []string{"replicated"}, []int{-1}, true},
	{"vCenter restarted", func(s *scene, at stage) int {
		apply, release := s.held(at)
		defer s.vcenter.NotReady(5).Release() // vCenter takes a moment to start
		if err := s.vcenter.Restart(); err != nil {
			s.t.Error(err)
		}
		release()
		return apply.wait()
	}, []string{"", "replicated"}, []string{"failed", "replicated"}, []int{0, 1}, false},
}

// TestMatrix runs every event at every stage of a cycle. With -v it prints a table of the results.
func TestMatrix(t *testing.T) {
	t.Parallel()
	var (
		mu   sync.Mutex
		rows []string
	)
	t.Run("cells", func(t *testing.T) {
		for i, at := range stages {
			for j, what := range events {
				t.Run(what.name+" during "+at.name, func(t *testing.T) {
					t.Parallel()
					row := newScene(t).play(at, what)
					mu.Lock()
					defer mu.Unlock()
					rows = append(rows, fmt.Sprintf("%d%d%s", i, j, row))
				})
			}
		}
	})
	slices.Sort(rows)
	for i := range rows {
		rows[i] = rows[i][2:]
	}
	t.Logf("what happens, and what comes of it:\n%s%s", cells("stage", "event", "exit", "status in state", "snapshots left", "processes left", "next apply"), strings.Join(rows, ""))
}

func cells(stage, event, exit, state, snapshots, processes, next string) string {
	return fmt.Sprintf("%-24s %-21s %-5s %-16s %-24s %-15s %s\n", stage, event, exit, state, snapshots, processes, next)
}

// play runs an event at a stage, checks what is left, and applies again.
func (s *scene) play(at stage, what event) string {
	s.t.Helper()
	at.prepare(s)
	exit := what.act(s, at)
	s.takeBackup()
	if !slices.Contains(what.exits, exit) {
		s.t.Errorf("exit status %d", exit)
	}
	processes := s.processes()
	if processes != "" {
		s.t.Errorf("processes left: %s", processes)
	}
	if files, err := filepath.Glob(filepath.Join(s.env["TMPDIR"], "vma-*")); err != nil || len(files) > 0 {
		s.t.Errorf("temporary files left: %v, %v", files, err)
	}
	states, further := what.states, s.run > 0
	if further {
		states = what.later
	}
	status := s.status()
	if !slices.Contains(states, status) {
		s.t.Errorf("status %q in state", status)
	}
	left := s.vm.Snapshots()
	if len(left) > 0 && !what.leaves {
		s.t.Errorf("snapshots left: %v", left)
	}
	s.configure("1h")
	delete(s.env, migratekittest.Pause)
	next := "goes on in place"
	output := s.terraform(0, "apply", "-auto-approve")
	switch {
	case strings.Contains(output, "1 added, 0 changed, 0 destroyed"):
		next = "begins anew"
	case strings.Contains(output, "No changes."):
		next = "has nothing to do"
	case !strings.Contains(output, "0 added, 1 changed, 0 destroyed"):
		s.t.Errorf("next apply:\n%s", output)
	}
	if status := s.status(); status != "replicated" {
		s.t.Errorf("status %q after the next apply", status)
	}
	if cycle, _ := s.attribute("vma_replication.web", "last_cycle").(map[string]any); further && cycle["kind"] != "incremental" {
		s.t.Errorf("the chain of increments is broken: %v", cycle)
	}
	if left := s.vm.Snapshots(); len(left) > 0 {
		s.t.Errorf("snapshots after the next apply: %v", left)
	}
	return cells(at.name, what.name, strconv.Itoa(exit), orNone(status), orNone(strings.Join(left, ", ")), orNone(processes), next)
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

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// status returns the status of the replication in state, or "" if there is none.
func (s *scene) status() string {
	s.t.Helper()
	if resources := s.resources(); len(resources) > 0 {
		status, _ := s.attribute("vma_replication.web", "status").(string)
		return status
	}
	return ""
}

// processes returns the processes of this scene that still run after a while: Terraform, the provider,
// migratekit and its guard. It finds them by their environment.
func (s *scene) processes() string {
	s.t.Helper()
	patience := time.NewTimer(20 * time.Second)
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
			environ, err := os.ReadFile(path)
			if err == nil && strings.Contains(string(environ), s.steer) {
				name, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
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
