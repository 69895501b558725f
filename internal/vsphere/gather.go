package vsphere

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// quiet is how long a call waits for others once nobody comes any more and
	// none is under way. Terraform needs a while, and longer on a machine that
	// is busy, between the answer to one resource and the question of the next.
	quiet = 20 * time.Millisecond
	// patience bounds how long a call waits for others in all; one that flies longer
	// brings nobody back soon, and a crowd that stays away longer is none any more.
	patience = 250 * time.Millisecond
)

// gatherer makes one call to vCenter of several that are asked for at nearly
// the same time. It expects as many as were there at once before: a question
// that comes alone is asked at once, and one of a crowd when the crowd is there
// again. An answer is never older than the question.
type gatherer[K comparable, V any] struct {
	// client has connected before anybody joins others: who cannot is told so
	// within a context of its own.
	client *Client
	// call answers many questions. What it has no answer to is left out.
	call func(ctx context.Context, keys []K) (map[K]answer[V], error)

	mu      sync.Mutex
	batch   *batch[K, V] // the one that is gathered now, nil where none is
	present int          // who waits for an answer, in whichever batch
	crowd   int          // how many are expected
	flying  int          // batches that are asked now
	sent    time.Time    // when the last of them was
	last    time.Time    // when somebody came, or was answered
}

// answer is that to one question.
type answer[V any] struct {
	value V
	err   error
}

// batch is what one call answers.
type batch[K comparable, V any] struct {
	keys    []K
	members int
	began   time.Time
	full    chan struct{} // closed when all that are expected are there
	done    chan struct{} // closed when there is an answer
	cancel  context.CancelFunc
	answers map[K]answer[V]
	err     error
}

// do asks, and waits for the answer or the end of the context. Found is false
// where there is no answer to the question. The call goes on until nobody waits
// for it.
func (g *gatherer[K, V]) do(ctx context.Context, key K) (value V, found bool, err error) {
	if _, err := g.client.connect(ctx); err != nil {
		return value, false, err
	}
	return g.ask(ctx, key)
}

func (g *gatherer[K, V]) ask(ctx context.Context, key K) (value V, found bool, err error) {
	b := g.join(ctx, key)
	select {
	case <-b.done:
		g.leave(b)
		a, found := b.answers[key]
		return a.value, found, withCause(ctx, cmp.Or(b.err, a.err))
	case <-ctx.Done():
		if g.leave(b) {
			<-b.done // nobody else waits for what is being ended
		}
		return value, false, fmt.Errorf("wait for an answer of vCenter: %w", ctx.Err())
	}
}

func (g *gatherer[K, V]) join(ctx context.Context, key K) *batch[K, V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if g.present == 0 && now.Sub(g.last) > patience {
		g.crowd = 0 // it has gone
	}
	if g.batch == nil {
		asking, cancel := context.WithCancel(context.WithoutCancel(ctx)) //nolint:gosec // send cancels it at the end, leave before
		g.batch = &batch[K, V]{began: now, full: make(chan struct{}), done: make(chan struct{}), cancel: cancel}
		go g.send(asking, g.batch)
	}
	b := g.batch
	if !slices.Contains(b.keys, key) {
		b.keys = append(b.keys, key)
	}
	b.members++
	g.present++
	g.last, g.crowd = now, max(g.crowd, g.present)
	if b.members >= g.crowd {
		g.shut(b)
	}
	return b
}

// shut lets nobody join a batch any more.
func (g *gatherer[K, V]) shut(b *batch[K, V]) {
	if g.batch == b {
		g.batch = nil
		g.flying++
		g.sent = time.Now()
		close(b.full)
	}
}

// leave says whether nobody waits for the batch any more. Its call is ended
// then.
func (g *gatherer[K, V]) leave(b *batch[K, V]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.present--
	b.members--
	if b.members > 0 {
		return false
	}
	b.cancel()
	g.shut(b)
	return true
}

func (g *gatherer[K, V]) send(ctx context.Context, b *batch[K, V]) {
	defer b.cancel()
	g.await(b)
	b.answers, b.err = g.call(ctx, b.keys)
	if len(b.keys) > 1 && faultOf(b.err) != nil {
		b.answers, b.err = g.askEach(ctx, b.keys), nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flying--
	g.last = time.Now()
	close(b.done)
}

// askEach asks one by one what vCenter refused to answer together: one of them
// is why, and the others are not to suffer for it.
func (g *gatherer[K, V]) askEach(ctx context.Context, keys []K) map[K]answer[V] {
	answers := map[K]answer[V]{}
	for _, key := range keys {
		found, err := g.call(ctx, []K{key})
		if a, ok := found[key]; ok || err != nil {
			a.err = cmp.Or(err, a.err)
			answers[key] = a
		}
	}
	return answers
}

// await returns when the batch is full, or nobody else is to be expected.
func (g *gatherer[K, V]) await(b *batch[K, V]) {
	timer := time.NewTimer(quiet)
	defer timer.Stop()
	for {
		select {
		case <-b.full:
			return
		case <-timer.C:
		}
		left, over := g.left(b)
		if over {
			return
		}
		timer.Reset(left)
	}
}

// left is how long others are waited for yet. Who has not come by its end is
// expected no more.
func (g *gatherer[K, V]) left(b *batch[K, V]) (left time.Duration, over bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	left = patience - time.Since(b.began)
	if g.flying == 0 || time.Since(g.sent) > patience { // one that hangs brings nobody back
		left = min(left, quiet-time.Since(g.last))
	} else {
		left = min(left, quiet)
	}
	if left > 0 || g.batch != b {
		return max(left, 0), g.batch != b
	}
	g.crowd = g.present
	g.shut(b)
	return 0, true
}
