package provider

import (
	"context"
	"sync/atomic"
	"time"
)

// borrowed is the context of a call, for as long as the call runs. The
// framework's server keeps what cancels the context of each call until it is
// stopped, and with that all that the context holds: five kilobytes for each of
// the four calls that a plan makes about a resource.
type borrowed struct {
	from atomic.Pointer[context.Context]
}

func borrow(ctx context.Context) (borrowing context.Context, release func()) {
	b := &borrowed{}
	b.from.Store(&ctx)
	ended, end := context.WithCancel(context.Background())
	end()
	return b, func() { b.from.Store(&ended) }
}

// Deadline implements context.Context, as do the others.
func (b *borrowed) Deadline() (time.Time, bool) { return (*b.from.Load()).Deadline() }
func (b *borrowed) Done() <-chan struct{}       { return (*b.from.Load()).Done() }
func (b *borrowed) Err() error                  { return (*b.from.Load()).Err() }
func (b *borrowed) Value(key any) any           { return (*b.from.Load()).Value(key) }
