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
	// waitSeconds is how long vCenter may hold an answer while nothing changes:
	// long enough to be no poll, short enough to notice a connection that died.
	waitSeconds = 60
	// tidyTimeout bounds a call that only tidies up.
	tidyTimeout = 2 * time.Second
)

// watch calls seen with the object's properties as they are (those that are not
// set may be missing), and again at each change, until seen returns true. It
// survives the loss of the session and, for a while, of the connection: vCenter
// may be restarted. Errors: ErrNotFound where the object is not there or
// vanishes.
func (c *Client) watch(
	ctx context.Context, ref types.ManagedObjectReference, properties []string,
	seen func([]types.PropertyChange) bool,
) error {
	return persist(ctx, func(answered func()) error {
		return c.watchSession(ctx, ref, properties, seen, answered)
	})
}

// persist repeats what vCenter gave no answer to, until it is answered or has
// not been for a while; what is to be asked again, at once for the first time.
func persist(ctx context.Context, try func(answered func()) error) error {
	last, pause, again := time.Now(), firstPause, 0
	for {
		err := try(func() { last, pause, again = time.Now(), firstPause, 0 })
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return withCause(ctx, err)
		case errors.Is(err, errAskAgain) && again == 0:
			again++
			continue
		case errors.Is(err, errAskAgain) && time.Since(last) <= outage: // with a pause from now on
		case !passing(err) || time.Since(last) > outage:
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

// How long is borne that vCenter does not answer, and what lies between two
// tries.
const (
	outage     = 15 * time.Minute
	firstPause = 100 * time.Millisecond
	lastPause  = 10 * time.Second
)

// passing says of an error that it may pass: vCenter gave no answer at all.
func passing(err error) bool {
	var (
		refused     *InvalidLoginError
		certificate *tls.CertificateVerificationError
		thumbprint  *ThumbprintError
		permission  *NoPermissionError
		shut        *InaccessibleError
	)
	return faultOf(err) == nil && !errors.As(err, &permission) && !errors.As(err, &shut) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrClosed) &&
		!errors.As(err, &refused) && !errors.As(err, &certificate) && !errors.As(err, &thumbprint)
}

// errAskAgain says that what was to answer is gone, as a collector goes with its
// session, and that another one is to be asked at once.
var errAskAgain = errors.New("the property collector was lost")

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

// lost tells the collector's own end (with the session it belonged to) from
// that of the object that is watched.
func lost(ctx context.Context, err error, collector types.ManagedObjectReference) error {
	if gone, ok := faultOf(err).(*types.ManagedObjectNotFound); ok && gone.Obj == collector {
		return errAskAgain
	}
	return withCause(ctx, typed(err))
}

func destroy(ctx context.Context, vim *vim25.Client, collector types.ManagedObjectReference) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	// What is not destroyed here ends with the session.
	_, _ = methods.DestroyPropertyCollector(ctx, vim, &types.DestroyPropertyCollector{This: collector})
}
