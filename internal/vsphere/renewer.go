package vsphere

import (
	"context"
	"reflect"
	"sync"

	"github.com/vmware/govmomi/vim25/soap"
)

// renewer logs in again if vCenter dropped the session, and repeats the call once. This is safe for writes: vCenter
// returns NotAuthenticated before it does anything.
type renewer struct {
	next  soap.RoundTripper
	login func(ctx context.Context, rt soap.RoundTripper) error

	mu         sync.Mutex
	generation int
	refused    error // a refused password is not retried
}

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
	reflect.ValueOf(res).Elem().SetZero() // clear the first call's fault
	return r.next.RoundTrip(ctx, req, res)
}

// renew logs in unless another call has done so since generation. It waits for a login even if the call is
// cancelled: otherwise the new session would never be logged out.
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
