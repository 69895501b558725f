package provider

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// newLogger returns a logger for the lower packages. It writes to Terraform's log.
func newLogger() *slog.Logger { return slog.New(tflogHandler{}) }

// tflogHandler forwards records to the logger in the request's context.
type tflogHandler struct{ fields []slog.Attr }

// Enabled implements slog.Handler. tflog filters by level itself.
func (tflogHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h tflogHandler) Handle(ctx context.Context, record slog.Record) error {
	fields := map[string]any{}
	for _, field := range h.fields {
		fields[field.Key] = fieldValue(field.Value)
	}
	record.Attrs(func(field slog.Attr) bool {
		fields[field.Key] = fieldValue(field.Value)
		return true
	})
	if send, ok := ctx.Value(progressKey{}).(func(string)); ok && record.Level >= vsphere.LevelStep {
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

// fieldValue formats integers as text: Terraform writes a number of more than six digits with an exponent.
func fieldValue(value slog.Value) any {
	if value.Kind() == slog.KindInt64 {
		return value.String()
	}
	return value.Any()
}

func (h tflogHandler) WithAttrs(fields []slog.Attr) slog.Handler {
	return tflogHandler{fields: append(append([]slog.Attr{}, h.fields...), fields...)}
}

// WithGroup implements slog.Handler. The lower packages use no groups.
func (h tflogHandler) WithGroup(string) slog.Handler { return h }

type progressKey struct{}

// withProgress returns a context that also passes records logged with it at vsphere.LevelStep and above to send. The
// goroutine that logs calls send.
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
