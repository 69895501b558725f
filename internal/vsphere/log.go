package vsphere

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/soap"
)

// logged logs each call with the time that it took. What a call says, a password
// for one, is not logged.
type logged struct {
	next soap.RoundTripper
	log  *slog.Logger
}

// RoundTrip implements soap.RoundTripper.
func (l *logged) RoundTrip(ctx context.Context, req, res soap.HasFault) error {
	started := time.Now()
	err := l.next.RoundTrip(ctx, req, res)
	fields := []any{"call", callName(req), "duration_ms", milliseconds(started)}
	if err != nil {
		fields = append(fields, "error", err.Error())
	}
	l.log.DebugContext(ctx, "Called vCenter", fields...)
	return err
}

// callName is the API's name of a call: a request is a *methods.LoginBody.
func callName(req soap.HasFault) string {
	name := fmt.Sprintf("%T", req)
	return strings.TrimSuffix(name[strings.LastIndex(name, ".")+1:], "Body")
}

func milliseconds(since time.Time) int64 { return time.Since(since).Milliseconds() }
