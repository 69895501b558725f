package migratekit

import (
	"strings"
	"testing"
)

// Nearly all lines of output have no secret.
func BenchmarkRedact(b *testing.B) {
	redactor := newRedactor([]string{"n0where-T0-be-found!", "another secret"})
	line := strings.Repeat("time=2026-01-01T00:00:00Z level=INFO msg=\"copied\" offset=1073741824 ", 3)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		if redactor.Redact(line) != line {
			b.Fatal("changed")
		}
	}
}
