package replication

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// Limits bound how many cycles run at once; 0 is no limit.
type Limits struct{ Total, PerHost, PerDatastore int }

// WaitError is returned if a cycle was stopped while it waited for its slot. Nothing was changed.
type WaitError struct{ Err error }

func (e *WaitError) Error() string {
	return "stopped while it waited for other cycles to end: " + e.Err.Error()
}
func (e *WaitError) Unwrap() error { return e.Err }

// slots admits cycles, first come first served: a cycle starts when the limits of its host and datastores allow it, and no earlier cycle waits for the
// same host or datastore. It is safe for concurrent use.
type slots struct {
	limits Limits
	log    *slog.Logger

	mu      sync.Mutex
	running []*slot
	waiting []*slot
}

// slot is a cycle that runs or waits.
type slot struct {
	vm    *vsphere.VM
	ready chan struct{} // closed when the cycle may start
}

func newSlots(limits Limits, log *slog.Logger) *slots { return &slots{limits: limits, log: log} }

// acquire waits until a cycle of the VM may start; again puts it before all others, because it has waited already. waited reports whether it had to wait. The
// caller must call release, unless there is an error, which is a WaitError.
func (s *slots) acquire(ctx context.Context, vm *vsphere.VM, again bool) (release func(), waited bool, err error) {
	own := &slot{vm: vm, ready: make(chan struct{})}
	s.mu.Lock()
	if again {
		s.waiting = slices.Insert(s.waiting, 0, own)
	} else {
		s.waiting = append(s.waiting, own)
	}
	s.admit()
	reason := s.obstacle(own)
	s.mu.Unlock()
	if reason != "" {
		s.log.InfoContext(ctx, "Waiting for other cycles to end", "vm_path", vm.Path, "waits_for", reason)
	}
	select {
	case <-own.ready:
		return func() { s.release(own) }, reason != "", nil
	default:
	}
	select {
	case <-own.ready:
		return func() { s.release(own) }, true, nil
	case <-ctx.Done():
		s.release(own)
		return nil, true, &WaitError{Err: ctx.Err()}
	}
}

// samePlace reports whether a VM still has the host and the datastores that its slot is for.
func (s *slots) samePlace(before, now *vsphere.VM) bool {
	return (s.limits.PerHost == 0 || before.Host == now.Host) && (s.limits.PerDatastore == 0 || slices.Equal(before.Datastores, now.Datastores))
}

// release removes a cycle that has ended, or no longer waits, and starts those that it kept waiting.
func (s *slots) release(own *slot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	isOwn := func(each *slot) bool { return each == own }
	s.running, s.waiting = slices.DeleteFunc(s.running, isOwn), slices.DeleteFunc(s.waiting, isOwn)
	s.admit()
}

// admit starts all cycles that may start. The caller holds mu.
func (s *slots) admit() {
	for _, each := range slices.Clone(s.waiting) {
		if s.obstacle(each) == "" {
			s.waiting = slices.DeleteFunc(s.waiting, func(other *slot) bool { return other == each })
			s.running = append(s.running, each)
			close(each.ready)
		}
	}
}

// obstacle returns what a cycle that is in the queue waits for, "" if it may start. The caller holds mu.
func (s *slots) obstacle(own *slot) string {
	if slices.Contains(s.running, own) {
		return ""
	}
	if s.limits.Total > 0 && len(s.running) >= s.limits.Total {
		return fmt.Sprintf("one of %d running cycles (concurrency.total)", len(s.running))
	}
	ahead := s.waiting[:slices.Index(s.waiting, own)]
	if text := obstacleOn(s.limits.PerHost, "per_host", s.running, ahead, func(vm *vsphere.VM) []string { return []string{vm.Host} }, own.vm); text != "" {
		return text
	}
	return obstacleOn(s.limits.PerDatastore, "per_datastore", s.running, ahead, func(vm *vsphere.VM) []string { return vm.Datastores }, own.vm)
}

// obstacleOn checks one limit. places returns the hosts or the datastores of a VM.
func obstacleOn(limit int, name string, running, ahead []*slot, places func(*vsphere.VM) []string, vm *vsphere.VM) string {
	if limit == 0 {
		return ""
	}
	for _, place := range places(vm) {
		elsewhere := func(each *slot) bool { return !slices.Contains(places(each.vm), place) }
		users := slices.DeleteFunc(slices.Clone(running), elsewhere)
		earlier := slices.DeleteFunc(slices.Clone(ahead), elsewhere)
		if len(users) >= limit || len(earlier) > 0 {
			return fmt.Sprintf("%s on %s (concurrency.%s)", pathsOf(append(users, earlier...)), place, name)
		}
	}
	return ""
}

func pathsOf(list []*slot) string {
	var paths []string
	for _, each := range list {
		paths = append(paths, each.vm.Path)
	}
	return strings.Join(paths, ", ")
}
