package vsphere

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/vmware/govmomi/vim25/soap"
)

// LevelStep is the level of what the progress of one action shows, and a log at INFO does not: a fleet has too much of it.
const LevelStep = slog.LevelInfo - 1

// logged logs the name and duration of each call, but not its content: it may contain a password.
type logged struct {
	next soap.RoundTripper
	log  *slog.Logger
}

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

// callName returns the API's name of a call: Login for a *methods.LoginBody.
func callName(req soap.HasFault) string {
	name := fmt.Sprintf("%T", req)
	return strings.TrimSuffix(name[strings.LastIndex(name, ".")+1:], "Body")
}

func milliseconds(since time.Time) int64 { return time.Since(since).Milliseconds() }
