package provider

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/hashicorp/terraform-plugin-log/tflog"
)

// newLogger gives the packages below a logger that ends in Terraform's log.
func newLogger() *slog.Logger { return slog.New(tflogHandler{}) }

// tflogHandler hands records on to the logger that the request's context
// carries.
type tflogHandler struct{ fields []slog.Attr }

// Enabled implements slog.Handler; tflog filters by itself.
func (tflogHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (h tflogHandler) Handle(ctx context.Context, record slog.Record) error {
	fields := map[string]any{}
	for _, field := range h.fields {
		fields[field.Key] = plainly(field.Value)
	}
	record.Attrs(func(field slog.Attr) bool {
		fields[field.Key] = plainly(field.Value)
		return true
	})
	if send, ok := ctx.Value(progressKey{}).(func(string)); ok && record.Level >= slog.LevelInfo {
		send(progressText(record))
	}
	switch {
	case record.Level >= slog.LevelError:
		tflog.Error(ctx, record.Message, fields)
	case record.Level >= slog.LevelWarn:
		tflog.Warn(ctx, record.Message, fields)
	case record.Level >= slog.LevelInfo:
		tflog.Info(ctx, record.Message, fields)
	default:
		tflog.Debug(ctx, record.Message, fields)
	}
	return nil
}

// plainly is a value as it is to be read: Terraform writes a number of more than
// six digits with an exponent.
func plainly(value slog.Value) any {
	if value.Kind() == slog.KindInt64 {
		return value.String()
	}
	return value.Any()
}

// WithAttrs implements slog.Handler.
func (h tflogHandler) WithAttrs(fields []slog.Attr) slog.Handler {
	return tflogHandler{fields: append(append([]slog.Attr{}, h.fields...), fields...)}
}

// WithGroup implements slog.Handler; the packages below use no groups.
func (h tflogHandler) WithGroup(string) slog.Handler { return h }

type progressKey struct{}

// withProgress makes what is logged at INFO and above visible to whoever waits, as far as
// it is logged with this context. Send is called by whoever logs.
func withProgress(ctx context.Context, send func(text string)) context.Context {
	return context.WithValue(ctx, progressKey{}, send)
}

func progressText(record slog.Record) string {
	var details []string
	record.Attrs(func(field slog.Attr) bool {
		if field.Key != "vm_path" {
			details = append(details, fmt.Sprintf("%s %v", field.Key, field.Value))
		}
		return true
	})
	if len(details) == 0 {
		return record.Message
	}
	return record.Message + ": " + strings.Join(details, ", ")
}
