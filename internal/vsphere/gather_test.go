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

// asked is a gatherer that keeps what each call asked for.
type asked struct {
	*gatherer[int, string]

	mu    sync.Mutex
	calls [][]int
	fails func(keys []int) error
}

func newAsked() *asked {
	a := &asked{}
	a.gatherer = &gatherer[int, string]{call: func(ctx context.Context, keys []int) (map[int]answer[string], error) {
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
			if key >= 0 { // what is below zero does not exist
				answers[key] = answer[string]{value: fmt.Sprint(key)}
			}
		}
		return answers, nil
	}}
	return a
}

func (a *asked) one(t *testing.T, key int) {
	t.Helper()
	value, found, err := a.ask(t.Context(), key)
	if value != fmt.Sprint(key) || !found || err != nil {
		t.Errorf("%d: %q, %v, %v", key, value, found, err)
	}
}

// crowd asks as Terraform does: so many at a time, each for one after another.
func (a *asked) crowd(t *testing.T, width, each int, think time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	for i := range width {
		all.Go(func() {
			for j := range each {
				time.Sleep(think * time.Duration(i+1))
				a.one(t, j*width+i)
			}
		})
	}
	all.Wait()
}

func TestGathererAsksAtOnceWhoComesAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, begun := newAsked(), time.Now()
		for i := range 5 {
			a.one(t, i)
		}
		if took := time.Since(begun); took != 5*callTakes {
			t.Errorf("five lone questions took %s", took)
		}
	})
}

func TestGathererAsksOnceForACrowd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.crowd(t, 10, 50, time.Millisecond)
		if len(a.calls) > 55 { // the first ones do not know that there is a crowd
			t.Errorf("%d calls for 500 questions, ten at a time", len(a.calls))
		}
		begun := time.Now()
		a.one(t, 1000) // nobody else comes any more
		if took := time.Since(begun); took > quiet+callTakes {
			t.Errorf("a lone question after a crowd took %s", took)
		}
		begun = time.Now()
		a.one(t, 1001)
		if took := time.Since(begun); took != callTakes {
			t.Errorf("the next one took %s", took)
		}
	})
}

// Whoever asks while a call is under way gets an answer of a later call.
func TestGathererAnswersNothingOlderThanTheQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
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

func TestGathererBearsACallThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
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
			if _, _, err := a.ask(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the one that hangs: %v", err)
			}
		})
		synctest.Wait()
		begun := time.Now()
		a.one(t, 2)
		if took := time.Since(begun); took > patience+callTakes {
			t.Errorf("the next one waited %s for it", took)
		}
		first.Wait()
	})
}

type reply = answer[string]

// A call goes on while anybody waits for it, and ends with the last one.
func TestGathererEndsWithTheLastOneThatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
		a.crowd(t, 2, 2, time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		var both sync.WaitGroup
		both.Go(func() {
			if _, _, err := a.ask(ctx, 1); !errors.Is(err, context.Canceled) {
				t.Errorf("the one that was cancelled: %v", err)
			}
		})
		both.Go(func() { a.one(t, 2) })
		synctest.Wait()
		cancel()
		both.Wait()
		ctx, cancel = context.WithCancel(t.Context())
		both.Go(func() { _, _, _ = a.ask(ctx, 3) })
		synctest.Wait()
		cancel()
		begun := time.Now()
		both.Wait()
		if took := time.Since(begun); took != 0 {
			t.Errorf("a call that nobody waits for went on for %s", took)
		}
		a.one(t, 4)
	})
}

// One that vCenter refuses to answer costs the others nothing.
func TestGathererAsksEachWhereTogetherIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAsked()
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
				_, found, err := a.ask(t.Context(), key)
				if found != (key != -1) && key != 3 || (key == 3) != errors.Is(err, refused) {
					t.Errorf("%d: found %t, %v", key, found, err)
				}
			})
		}
		all.Wait()
	})
}
