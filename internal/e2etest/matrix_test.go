package e2etest

import (
	"fmt"
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
)

// stage is a point in a cycle at which an event happens.
type stage struct {
	name string
	// prepare sets up the VM so that a cycle reaches the stage.
	prepare func(s *scene)
	// hold blocks the cycle at the stage, once.
	hold func(s *scene) (reached <-chan struct{}, release func())
	// fail makes the stage fail until mend is called.
	fail func(s *scene) (mend func())
	// started is true if migratekit was started: then a first cycle that fails is saved.
	started bool
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
	}, false},
	{"leftover snapshot", func(s *scene) {
		s.track()
		if err := s.vm.AddSnapshot("migratekit", ""); err != nil {
			s.t.Fatal(err)
		}
	}, holdTasks("RemoveSnapshot_Task"), failTasks("RemoveSnapshot_Task", 9), false},
	{"CBT gate", func(*scene) {}, holdTasks("CreateSnapshot_Task"), failTasks("CreateSnapshot_Task", 9), false},
	{"migratekit's snapshot", (*scene).track, holdTasks("CreateSnapshot_Task"), failTasks("CreateSnapshot_Task", 9), true},
	{"copy", (*scene).track, holdCopy, failCopy, true},
	{"removal of its snapshot", (*scene).track, holdTasks("RemoveSnapshot_Task"), failTasks("RemoveSnapshot_Task", 1), true},
	{"copy of a later cycle", later, holdCopy, failCopy, true},
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
		timeout := s.timeout()
		s.configure(timeout.String())
		apply, release := s.held(at)
		// The timeout has passed by then. The cleanup waits for the task.
		timer := time.AfterFunc(timeout, release)
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
	switch {
	case further:
		states = what.later
	case at.started && slices.Equal(what.exits, []int{1}) && slices.Equal(states, []string{""}):
		states = []string{"failed"}
	case at.started && slices.Contains(what.exits, 0):
		states = append([]string{"failed"}, states...)
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
	case status == "failed" && strings.Contains(output, "1 added, 0 changed, 1 destroyed"):
		next = "is created anew, and continues"
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

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
