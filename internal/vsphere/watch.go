package vsphere

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	// waitSeconds is how long vCenter holds a response while nothing changes. It is short enough to notice a dead
	// connection.
	waitSeconds = 60
	// tidyTimeout limits a cleanup call.
	tidyTimeout = 2 * time.Second
)

// watch calls seen with the object's properties (unset ones may be missing), and again after each change, until seen
// returns true. It survives a lost session and an outage of up to 15 minutes, such as a vCenter restart. Errors:
// ErrNotFound if the object does not exist or is deleted.
func (c *Client) watch(
	ctx context.Context, ref types.ManagedObjectReference, properties []string,
	seen func([]types.PropertyChange) bool,
) error {
	return retry(ctx, func(answered func()) error {
		return c.watchSession(ctx, ref, properties, seen, answered)
	})
}

// retry retries while vCenter does not answer, for up to outage. The first retry after errRetry is immediate.
func retry(ctx context.Context, try func(answered func()) error) error {
	last, pause, again := time.Now(), firstPause, 0
	for {
		err := try(func() { last, pause, again = time.Now(), firstPause, 0 })
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return withCause(ctx, err)
		case errors.Is(err, errRetry) && again == 0:
			again++
			continue
		case errors.Is(err, errRetry) && time.Since(last) <= outage: // retry after a pause
		case !isTransient(err) || time.Since(last) > outage:
			return err
		}
		select {
		case <-ctx.Done():
			return withCause(ctx, err)
		case <-time.After(pause):
			pause = min(2*pause, lastPause)
		}
	}
}

// outage is how long vCenter may be unreachable before retry gives up. The pause between retries doubles from firstPause to lastPause.
const (
	outage     = 15 * time.Minute
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// isTransient reports whether an error may be temporary: vCenter did not answer at all.
func isTransient(err error) bool {
	var (
		refused     *InvalidLoginError
		certificate *tls.CertificateVerificationError
		thumbprint  *ThumbprintError
		permission  *NoPermissionError
		shut        *InaccessibleError
		empty       *NoResultError
	)
	return faultOf(err) == nil && !errors.As(err, &permission) && !errors.As(err, &shut) && !errors.As(err, &empty) && !errors.Is(err, errAnswerTooLarge) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrClosed) &&
		!errors.As(err, &refused) && !errors.As(err, &certificate) && !errors.As(err, &thumbprint)
}

// errRetry requests an immediate retry, for example with a new collector after the session ended.
var errRetry = errors.New("the property collector was lost")

func (c *Client) watchSession(
	ctx context.Context, ref types.ManagedObjectReference, properties []string,
	seen func([]types.PropertyChange) bool, answered func(),
) error {
	vim, err := c.connect(ctx)
	if err != nil {
		return err
	}
	created, err := methods.CreatePropertyCollector(ctx, vim, &types.CreatePropertyCollector{
		This: vim.ServiceContent.PropertyCollector,
	})
	if err != nil {
		return withCause(ctx, typed(err))
	}
	collector := created.Returnval
	defer destroy(ctx, vim, collector)
	if _, err := methods.CreateFilter(ctx, vim, &types.CreateFilter{
		This: collector,
		Spec: types.PropertyFilterSpec{
			ObjectSet: []types.ObjectSpec{{Obj: ref}},
			PropSet:   []types.PropertySpec{{Type: ref.Type, PathSet: properties}},
		},
	}); err != nil {
		return lost(ctx, err, collector)
	}
	wait := types.WaitForUpdatesEx{
		This:    collector,
		Options: &types.WaitOptions{MaxWaitSeconds: types.NewInt32(waitSeconds)},
	}
	for {
		res, err := methods.WaitForUpdatesEx(ctx, vim, &wait)
		if err != nil {
			return lost(ctx, err, collector)
		}
		answered()
		if res.Returnval == nil { // nothing changed
			continue
		}
		wait.Version = res.Returnval.Version
		for _, filter := range res.Returnval.FilterSet {
			for _, update := range filter.ObjectSet {
				if update.Kind == types.ObjectUpdateKindLeave {
					return fmt.Errorf("%s %s: %w", update.Obj.Type, update.Obj.Value, ErrNotFound)
				}
				if seen(update.ChangeSet) {
					return nil
				}
			}
		}
	}
}

// lost distinguishes a collector that ended with its session (errRetry) from a deleted object.
func lost(ctx context.Context, err error, collector types.ManagedObjectReference) error {
	if gone, ok := faultOf(err).(*types.ManagedObjectNotFound); ok && gone.Obj == collector {
		return errRetry
	}
	return withCause(ctx, typed(err))
}

func destroy(ctx context.Context, vim *vim25.Client, collector types.ManagedObjectReference) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	// On failure, the collector ends with the session.
	_, _ = methods.DestroyPropertyCollector(ctx, vim, &types.DestroyPropertyCollector{This: collector})
}
