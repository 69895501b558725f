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
	// minPatience and maxPatience bound how long a batch waits for callers that were answered a moment ago. The time that they really
	// take is measured, because it depends on how busy the machine is.
	minPatience = 20 * time.Millisecond
	maxPatience = 250 * time.Millisecond
)

// batcher joins concurrent reads into one call to vCenter. A single read is sent at once. Reads that arrive during a call
// are sent together when it returns. If fewer are waiting then than the call answered, they wait for the answered callers
// to ask again, because Terraform asks for the next resource when one is answered. A read is never answered by a call that
// was sent before it.
type batcher[K comparable, V any] struct {
	// client connects before a read joins a batch, so that each caller gets its own connection error.
	client *Client
	// call reads many keys. It leaves out what does not exist.
	call func(ctx context.Context, keys []K) (map[K]answer[V], error)

	mu       sync.Mutex
	open     *batch[K, V] // nil if no read waits for a call
	inFlight int          // number of calls that were sent and not answered
	callers  int          // callers that wait for an answer
	expected int          // how many callers are likely to come at about the same time
	returned time.Time    // end of the last call
	// patience is how long a batch waits for the expected callers.
	patience time.Duration
}

// answer is the result for one key.
type answer[V any] struct {
	value V
	err   error
}

// batch is what one call reads.
type batch[K comparable, V any] struct {
	keys    []K
	callers int
	timer   *time.Timer // sends the batch if it waited long enough
	start   func()
	cancel  context.CancelFunc
	done    chan struct{}
	answers map[K]answer[V]
	err     error
}

func newBatcher[K comparable, V any](client *Client, call func(context.Context, []K) (map[K]answer[V], error)) *batcher[K, V] {
	return &batcher[K, V]{client: client, call: call, patience: minPatience}
}

// do reads one key. Found is false if it does not exist. The call goes on until the last of its callers is cancelled.
func (g *batcher[K, V]) do(ctx context.Context, key K) (value V, found bool, err error) {
	if _, err := g.client.connect(ctx); err != nil {
		return value, false, err
	}
	return g.read(ctx, key)
}

func (g *batcher[K, V]) read(ctx context.Context, key K) (value V, found bool, err error) {
	b := g.join(ctx, key)
	select {
	case <-b.done:
		g.leave(b)
		a, found := b.answers[key]
		return a.value, found, withCause(ctx, cmp.Or(b.err, a.err))
	case <-ctx.Done():
		if g.leave(b) {
			<-b.done
		}
		return value, false, fmt.Errorf("wait for an answer of vCenter: %w", ctx.Err())
	}
}

func (g *batcher[K, V]) join(ctx context.Context, key K) *batch[K, V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	idle := time.Since(g.returned)
	if g.callers == 0 && idle > g.patience {
		g.expected, g.patience = 0, minPatience
	}
	if g.open == nil {
		wait := maxPatience // a call that hangs does not block the next one
		if g.inFlight == 0 {
			wait = g.patience - idle
		}
		g.open = g.newBatch(ctx, wait)
	}
	b := g.open
	if !slices.Contains(b.keys, key) {
		b.keys = append(b.keys, key)
	}
	b.callers++
	g.callers++
	g.expected = max(g.expected, g.callers)
	switch {
	case g.inFlight > 0:
	case idle > g.patience:
		g.send(b)
	case b.callers >= g.expected:
		g.patience = min(max(4*idle, minPatience), maxPatience)
		g.send(b)
	}
	return b
}

func (g *batcher[K, V]) newBatch(ctx context.Context, wait time.Duration) *batch[K, V] {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) //nolint:gosec // run and leave cancel it
	b := &batch[K, V]{done: make(chan struct{}), cancel: cancel}
	b.start = func() { go g.run(ctx, b) }
	b.timer = time.AfterFunc(wait, func() { g.expire(b) })
	return b
}

// expire sends a batch that waited in vain. If most callers did not come back in time, the machine is busy: the next batch waits longer.
// If only a few did not, there are fewer callers now.
func (g *batcher[K, V]) expire(b *batch[K, V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == b {
		if 2*b.callers < g.expected {
			g.patience = min(4*g.patience, maxPatience)
		}
		g.expected = g.callers
		g.send(b)
	}
}

// send closes a batch and starts its call. The caller holds g.mu.
func (g *batcher[K, V]) send(b *batch[K, V]) {
	b.timer.Stop()
	g.open = nil
	g.inFlight++
	b.start()
}

func (g *batcher[K, V]) run(ctx context.Context, b *batch[K, V]) {
	defer b.cancel()
	b.answers, b.err = g.call(ctx, b.keys)
	if len(b.keys) > 1 && faultOf(b.err) != nil {
		b.answers, b.err = g.readEach(ctx, b.keys), nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	g.returned = time.Now()
	close(b.done)
	if waiting := g.open; waiting != nil && g.inFlight == 0 {
		if waiting.callers >= b.callers {
			g.send(waiting)
		} else {
			waiting.timer.Reset(g.patience)
		}
	}
}

// readEach reads keys one by one after vCenter refused to read them together, so that one of them does not fail the others.
func (g *batcher[K, V]) readEach(ctx context.Context, keys []K) map[K]answer[V] {
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

// leave reports whether the caller was the last one of its batch, whose call is then cancelled.
func (g *batcher[K, V]) leave(b *batch[K, V]) (last bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.callers--
	b.callers--
	if b.callers > 0 {
		return false
	}
	b.cancel()
	if g.open == b {
		g.send(b)
	}
	return true
}
