package migratekit_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

func TestRedactKnowsQuotes(t *testing.T) {
	t.Parallel()
	const odd, pem = `pa'$s"(\s /b:c`, "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----"
	redactor := migratekit.NewRedactor(migratekit.Job{Args: []migratekit.Arg{{Value: odd, Secret: true}, {Value: pem, Secret: true}}}, nil)
	for name, text := range map[string]string{
		"as it is":             odd,
		"logfmt":               fmt.Sprintf("msg=%q", odd),
		"a list in logfmt":     fmt.Sprintf("msg=%q", fmt.Sprintf("%q", []string{odd})),
		"a shell's quotes":     "'" + strings.ReplaceAll(odd, "'", `'\''`) + "'",
		"those in logfmt":      fmt.Sprintf("msg=%q", strings.ReplaceAll(odd, "'", `'\''`)),
		"double quotes":        `"pa'\$s\"(\\s /b:c"`,
		"no quotes":            `pa\'\$s\"\(\\s\ /b:c`,
		"a URL, in lower case": "pa%27%24s%22%28%5cs%20%2fb%3ac",
		"a URL":                "pa%27%24s%22%28%5Cs+%2Fb%3Ac",
		"a line of a key":      "MIIEvQIBADANBg",
	} {
		if got := redactor.Redact("before " + text + " after"); strings.Contains(got, "MII") || strings.Contains(got, "b:c") || strings.Contains(got, "pa") || !strings.Contains(got, "********") {
			t.Errorf("%s: %s", name, got)
		}
	}
}
