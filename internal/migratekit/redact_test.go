package migratekit_test

import (
	"encoding/base64"
	"encoding/hex"
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

// A login as HTTP sends it, and rarer encodings.
func TestRedactKnowsLoginsAndHex(t *testing.T) {
	t.Parallel()
	c := common
	c.Source.Username, c.Source.Password = "admin", `s3<r"t&1`
	redactor := migratekit.NewRedactor(migratekit.NewOpenStackJob(c, migratekit.OpenStack{}), nil)
	for name, text := range map[string]string{
		"Basic authentication": base64.StdEncoding.EncodeToString([]byte(`admin:s3<r"t&1`)),
		"hex":                  hex.EncodeToString([]byte(c.Source.Password)),
		"each byte in percent": "%73%33%3C%72%22%74%26%31",
		"XML":                  "s3&lt;r&#34;t&amp;1",
		"HTML":                 "s3&lt;r&#34;t&amp;1",
		"JSON":                 `s3\u003cr\"t\u00261`,
	} {
		if got := redactor.Redact("<" + text + ">"); !strings.Contains(got, "********") || strings.Contains(got, text) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
