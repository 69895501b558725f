package provider

import (
	"context"
	"sync/atomic"
	"time"
)

// callContext wraps the context of one call, and drops it when the call ends. The framework's server keeps the cancel function of each call
// until the server is stopped, and with it everything that the context refers to: 5 KB for each of the four calls that a plan makes per
// resource.
type callContext struct {
	from atomic.Pointer[context.Context]
}

// newCallContext returns a context that no longer holds ctx after release.
func newCallContext(ctx context.Context) (_ context.Context, release func()) {
	b := &callContext{}
	b.from.Store(&ctx)
	ended, end := context.WithCancel(context.Background())
	end()
	return b, func() { b.from.Store(&ended) }
}

// Deadline implements context.Context.
func (b *callContext) Deadline() (time.Time, bool) { return (*b.from.Load()).Deadline() }
func (b *callContext) Done() <-chan struct{}       { return (*b.from.Load()).Done() }
func (b *callContext) Err() error                  { return (*b.from.Load()).Err() }
func (b *callContext) Value(key any) any           { return (*b.from.Load()).Value(key) }
