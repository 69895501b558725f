package migratekit

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"html"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
)

// redacted stands where a secret was.
const redacted = "********"

// secretNames are parts of the names of environment variables that hold
// secrets.
var secretNames = []string{"PASS", "SECRET", "TOKEN", "KEY", "CREDENTIAL"}

// secretValues are the values of an environment that must not be written, and
// those that the child inherits.
func secretValues(added map[string]string) []string {
	var secrets []string
	add := func(name, value string) {
		upper := strings.ToUpper(name)
		if value != "" && slices.ContainsFunc(secretNames, func(part string) bool { return strings.Contains(upper, part) }) {
			secrets = append(secrets, value)
		}
	}
	for name, value := range added {
		add(name, value)
	}
	for _, pair := range os.Environ() {
		if name, value, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "OS_") {
			add(name, value)
		}
	}
	return secrets
}

// forms are a secret as programs print it: as it is, and as they quote it in a
// URL, in JSON, XML or HTML, in a Go or logfmt string, for a shell, in base64.
func forms(secret string) []string {
	var markup strings.Builder
	_ = xml.EscapeText(&markup, []byte(secret)) // a builder cannot fail
	encoded, _ := json.Marshal(secret)          // a string cannot fail
	user := url.UserPassword("", secret).String()
	inner := func(quoted string) string { return quoted[1 : len(quoted)-1] }
	return []string{
		secret, inner(strconv.Quote(secret)), inner(strconv.QuoteToASCII(secret)), inner(string(encoded)),
		url.QueryEscape(secret), url.PathEscape(secret), strings.TrimPrefix(user, ":"),
		markup.String(), html.EscapeString(secret), strings.ReplaceAll(secret, "'", `'\''`),
		base64.RawStdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
}

// newRedactor replaces secrets in all their forms; longest is the length of the
// longest of these, in bytes.
func newRedactor(secrets []string) (replacer *strings.Replacer, longest int) {
	var all []string
	for _, secret := range secrets {
		if secret != "" {
			all = append(all, forms(secret)...)
		}
	}
	// The longest first: a replacer takes the first of its pairs that fits.
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, form := range slices.Compact(all) {
		pairs = append(pairs, form, redacted)
	}
	if len(all) > 0 {
		longest = len(all[0])
	}
	return strings.NewReplacer(pairs...), longest
}

// Redact takes the job's secrets out of a text.
func (j Job) Redact(text string) string {
	redactor, _ := newRedactor(j.Secrets)
	return redactor.Replace(text)
}
