package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

func slotVM(name, host string, datastores ...string) *vsphere.VM {
	return &vsphere.VM{Path: name, Host: host, Datastores: datastores}
}

// queue starts cycles one after the other, and records which of them run.
type queue struct {
	slots   *slots
	mu      sync.Mutex
	begun   []string
	release map[string]func()
	cancel  map[string]context.CancelFunc
	ended   sync.WaitGroup
}

func newQueue(limits Limits) *queue {
	return &queue{slots: newSlots(limits, slog.New(slog.DiscardHandler)), release: map[string]func(){}, cancel: map[string]context.CancelFunc{}}
}

// add starts a cycle, and returns once it runs or waits.
func (q *queue) add(t *testing.T, vm *vsphere.VM) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	queued := func() int {
		q.slots.mu.Lock()
		defer q.slots.mu.Unlock()
		return len(q.slots.running) + len(q.slots.waiting)
	}
	before := queued()
	q.mu.Lock()
	q.cancel[vm.Path] = cancel
	q.mu.Unlock()
	q.ended.Go(func() {
		release, _, err := q.slots.acquire(ctx, vm, false)
		if err != nil {
			return
		}
		q.mu.Lock()
		defer q.mu.Unlock()
		q.begun, q.release[vm.Path] = append(q.begun, vm.Path), release
	})
	eventually(t, func() bool { return queued() == before+1 })
}

func (q *queue) end(t *testing.T, name string) {
	t.Helper()
	var release func()
	eventually(t, func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		release = q.release[name]
		return release != nil
	})
	release()
}

// runs checks which cycles have been started, in any order.
func (q *queue) runs(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	eventually(t, func() bool {
		q.slots.mu.Lock()
		admitted := len(q.slots.running)
		q.slots.mu.Unlock()
		q.mu.Lock()
		defer q.mu.Unlock()
		got = slices.Sorted(slices.Values(q.begun))
		return admitted > 0 && slices.Equal(got, want)
	})
}

func eventually(t *testing.T, check func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for !check() {
		select {
		case <-t.Context().Done():
			t.Fatal("the test has ended")
		case <-ticker.C:
		}
	}
}

func TestSlotsAreFirstComeFirstServed(t *testing.T) {
	t.Parallel()
	q := newQueue(Limits{PerHost: 1, PerDatastore: 2})
	q.add(t, slotVM("a", "host-1", "ds-1"))
	q.add(t, slotVM("b", "host-2", "ds-1"))
	q.add(t, slotVM("c", "host-3", "ds-1", "ds-2")) // waits for ds-1
	q.add(t, slotVM("d", "host-3", "ds-3"))         // waits for c, which needs the same host
	q.add(t, slotVM("e", "host-4", "ds-4"))         // has nothing in common with any of them
	q.runs(t, "a", "b", "e")
	q.end(t, "a")
	q.runs(t, "a", "b", "c", "e")
	q.cancel["d"]() // it no longer waits
	eventually(t, func() bool {
		q.slots.mu.Lock()
		defer q.slots.mu.Unlock()
		return len(q.slots.waiting) == 0
	})
	q.add(t, slotVM("f", "host-1", "ds-2"))
	q.runs(t, "a", "b", "c", "e", "f")
}

func TestSlotsSayWhatACycleWaitsFor(t *testing.T) {
	t.Parallel()
	s := newSlots(Limits{Total: 2, PerHost: 1}, slog.New(slog.DiscardHandler))
	if _, waited, err := s.acquire(t.Context(), slotVM("/DC0/vm/a", "host-1"), false); waited || err != nil {
		t.Fatalf("waited %t, %v", waited, err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	_, waited, err := s.acquire(stopped, slotVM("/DC0/vm/b", "host-1"), false)
	if _, ok := errors.AsType[*WaitError](err); !ok || !waited || !errors.Is(err, context.Canceled) {
		t.Errorf("waited %t, %v", waited, err)
	}
	for want, vm := range map[string]*vsphere.VM{
		"/DC0/vm/a on host-1 (concurrency.per_host)": slotVM("/DC0/vm/c", "host-1"),
		"": slotVM("/DC0/vm/d", "host-2"),
	} {
		own := &slot{vm: vm}
		s.waiting = []*slot{own}
		if got := s.obstacle(own); got != want {
			t.Errorf("waits for %q, want %q", got, want)
		}
	}
}

// Whatever comes in which order, no limit is ever exceeded, and all cycles run in the end.
func TestSlotsKeepTheirLimits(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		limits := Limits{Total: 1 + random.IntN(5), PerHost: random.IntN(3), PerDatastore: random.IntN(3)}
		s := newSlots(limits, slog.New(slog.DiscardHandler))
		var mu sync.Mutex
		count := map[string]int{}
		change := func(vm *vsphere.VM, by int) {
			mu.Lock()
			defer mu.Unlock()
			for _, place := range append([]string{"all", vm.Host}, vm.Datastores...) {
				count[place] += by
			}
			for place, n := range count {
				limit := map[byte]int{'a': limits.Total, 'h': limits.PerHost, 'd': limits.PerDatastore}[place[0]]
				if limit > 0 && n > limit {
					t.Errorf("seed %d: %d cycles on %s, and %d are allowed", seed, n, place, limit)
				}
			}
		}
		var cycles sync.WaitGroup
		for i := range 60 {
			vm := slotVM(fmt.Sprintf("vm%d", i), fmt.Sprintf("host-%d", random.IntN(4)), fmt.Sprintf("ds-%d", random.IntN(3)), fmt.Sprintf("ds-%d", 3+random.IntN(3)))
			cycles.Go(func() {
				release, _, err := s.acquire(t.Context(), vm, false)
				if err != nil {
					t.Error(err)
					return
				}
				change(vm, 1)
				change(vm, -1)
				release()
			})
		}
		cycles.Wait()
	}
}
