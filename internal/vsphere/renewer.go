package vsphere

import (
	"context"
	"reflect"
	"sync"

	"github.com/vmware/govmomi/vim25/soap"
)

// renewer logs in again where vCenter has dropped the session, and repeats the
// call once. vCenter answers NotAuthenticated before it does anything, so a
// repeated write is not a second write.
type renewer struct {
	next  soap.RoundTripper
	login func(ctx context.Context, rt soap.RoundTripper) error

	mu         sync.Mutex
	generation int
	refused    error // a password that was refused is not tried again
}

// RoundTrip implements soap.RoundTripper.
func (r *renewer) RoundTrip(ctx context.Context, req, res soap.HasFault) error {
	r.mu.Lock()
	generation := r.generation
	r.mu.Unlock()
	err := r.next.RoundTrip(ctx, req, res)
	if err == nil || !isNotAuthenticated(err) {
		return err
	}
	if err := r.renew(ctx, generation); err != nil {
		return err
	}
	reflect.ValueOf(res).Elem().SetZero() // it holds the fault of the first try
	return r.next.RoundTrip(ctx, req, res)
}

// renew logs in unless another call did so since the given generation. A login
// once sent is waited for even where the call was cancelled meanwhile: its
// session would stay behind unknown.
func (r *renewer) renew(ctx context.Context, generation int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.generation != generation || r.refused != nil {
		return r.refused
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialTimeout)
	defer cancel()
	if err := r.login(ctx, r.next); err != nil {
		if isRefused(err) {
			r.refused = err
		}
		return err
	}
	r.generation++
	return nil
}
