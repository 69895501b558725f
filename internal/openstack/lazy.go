package openstack

import (
	"context"
	"time"
)

// outagePause is how long after a failure all callers get the same answer: the VMs of a plan must not wait for each other's timeouts.
const outagePause = 10 * time.Second

// lazy is a value that the first caller loads and all others share. A failure is remembered for a while. It is safe for concurrent use.
type lazy[T any] struct {
	turn   chan struct{} // held by the caller that loads
	value  T
	loaded bool
	failed error
	until  time.Time
	// pause returns how long a failure is remembered.
	pause func(error) time.Duration
}

func newLazy[T any](pause func(error) time.Duration) *lazy[T] {
	return &lazy[T]{turn: make(chan struct{}, 1), pause: pause}
}

func (l *lazy[T]) get(ctx context.Context, load func() (T, error)) (T, error) {
	var none T
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	if l.loaded {
		return l.value, nil
	}
	if l.failed != nil && time.Now().Before(l.until) {
		return none, l.failed
	}
	value, err := load()
	if err != nil {
		if ctx.Err() == nil {
			l.failed, l.until = err, time.Now().Add(l.pause(err))
		}
		return none, err
	}
	l.value, l.loaded = value, true
	return value, nil
}
