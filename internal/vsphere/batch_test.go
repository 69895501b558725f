package vsphere

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const callTakes = 20 * time.Millisecond

// countedReads is a batcher that records the keys of each call.
type countedReads struct {
	*batcher[int, string]

	mu    sync.Mutex
	calls [][]int
	fails func(keys []int) error
}

func newCountedReads() *countedReads {
	a := &countedReads{}
	a.batcher = newBatcher(nil, func(ctx context.Context, keys []int) (map[int]answer[string], error) {
		a.mu.Lock()
		a.calls = append(a.calls, slices.Sorted(slices.Values(keys)))
		a.mu.Unlock()
		select {
		case <-time.After(callTakes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if a.fails != nil {
			if err := a.fails(keys); err != nil {
				return nil, err
			}
		}
		answers := map[int]answer[string]{}
		for _, key := range keys {
			if key >= 0 { // negative keys do not exist
				answers[key] = answer[string]{value: fmt.Sprint(key)}
			}
		}
		return answers, nil
	})
	return a
}

func (a *countedReads) one(t *testing.T, key int) {
	t.Helper()
	value, found, err := a.read(t.Context(), key)
	if value != fmt.Sprint(key) || !found || err != nil {
		t.Errorf("%d: %q, %v, %v", key, value, found, err)
	}
}

// crowd reads as Terraform does: width callers at a time, each one key after another.
func (a *countedReads) crowd(t *testing.T, width, each int, think time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	for i := range width {
		all.Go(func() {
			for j := range each {
				if j > 0 {
					time.Sleep(think * time.Duration(i+1))
				}
				a.one(t, j*width+i)
			}
		})
	}
	all.Wait()
}

func TestBatcherSendsASingleReadAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, begun := newCountedReads(), time.Now()
		for i := range 5 {
			a.one(t, i)
		}
		if took := time.Since(begun); took != 5*callTakes {
			t.Errorf("five single reads took %s", took)
		}
	})
}

func TestBatcherJoinsConcurrentReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newCountedReads()
		a.crowd(t, 10, 50, time.Millisecond)
		if len(a.calls) > 55 { // the first ones are not yet in step
			t.Errorf("%d calls for 500 reads, ten at a time", len(a.calls))
		}
		begun := time.Now()
		a.one(t, 1000)
		if took := time.Since(begun); took > 4*minPatience+callTakes {
			t.Errorf("a single read after a crowd took %s", took)
		}
		begun = time.Now()
		a.one(t, 1001)
		if took := time.Since(begun); took != callTakes {
			t.Errorf("the next one took %s", took)
		}
	})
}

// A read that arrives during a call gets the answer of a later call.
func TestBatcherReturnsNoAnswerOlderThanTheRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newCountedReads()
		var both sync.WaitGroup
		both.Go(func() { a.one(t, 7) })
		time.Sleep(callTakes / 2)
		both.Go(func() { a.one(t, 7) })
		both.Wait()
		if len(a.calls) != 2 {
			t.Errorf("calls: %v", a.calls)
		}
	})
}

func TestBatcherSendsWhileACallHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newCountedReads()
		answer := a.call
		hangs := true
		a.call = func(ctx context.Context, keys []int) (map[int]reply, error) {
			if hangs {
				hangs = false
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return answer(ctx, keys)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var first sync.WaitGroup
		first.Go(func() {
			if _, _, err := a.read(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the one that hangs: %v", err)
			}
		})
		synctest.Wait()
		begun := time.Now()
		a.one(t, 2)
		if took := time.Since(begun); took > maxPatience+callTakes {
			t.Errorf("the next one waited %s for it", took)
		}
		first.Wait()
	})
}

type reply = answer[string]

// A call goes on while anybody waits for it, and ends with the last one.
func TestBatcherCancelsACallWithoutCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newCountedReads()
		a.crowd(t, 2, 2, time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		var both sync.WaitGroup
		both.Go(func() {
			if _, _, err := a.read(ctx, 1); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that was cancelled: %v", err)
			}
		})
		both.Go(func() { a.one(t, 2) })
		synctest.Wait()
		cancel()
		both.Wait()
		ctx, cancel = context.WithCancel(t.Context())
		both.Go(func() { _, _, _ = a.read(ctx, 3) })
		synctest.Wait()
		cancel()
		begun := time.Now()
		both.Wait()
		if took := time.Since(begun); took != 0 {
			t.Errorf("a call without callers went on for %s", took)
		}
		a.one(t, 4)
	})
}

// One bad key does not fail the others.
func TestBatcherReadsOneByOneAfterARefusal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newCountedReads()
		refused := soap.WrapVimFault(&types.InvalidArgument{InvalidProperty: "objectSet"})
		a.fails = func(keys []int) error {
			if slices.Contains(keys, 3) {
				return refused
			}
			return nil
		}
		var all sync.WaitGroup
		for _, key := range []int{1, 2, 3, -1} {
			all.Go(func() {
				_, found, err := a.read(t.Context(), key)
				if found != (key != -1) && key != 3 || (key == 3) != errors.Is(err, refused) {
					t.Errorf("%d: found %t, %v", key, found, err)
				}
			})
		}
		all.Wait()
	})
}

// On a busy machine callers take long to come back. They are still joined.
func TestBatcherAdaptsToABusyMachine(t *testing.T) {
	t.Parallel()
	for _, think := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			a := newCountedReads()
			a.crowd(t, 10, 50, think) // the slowest caller takes ten times as long
			if len(a.calls) > 80 {
				t.Errorf("callers that think for up to %s: %d calls for 500 reads", 10*think, len(a.calls))
			}
		})
	}
}

// A few VMs are read as fast as without batches.
func TestBatcherDoesNotDelayThreeReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, begun := newCountedReads(), time.Now()
		a.crowd(t, 3, 1, time.Millisecond)
		if took := time.Since(begun); took > 2*callTakes+time.Millisecond {
			t.Errorf("three reads took %s", took)
		}
	})
}
