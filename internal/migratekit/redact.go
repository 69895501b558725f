package migratekit

import (
	"cmp"
	"encoding/json"
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

// newRedactor replaces secrets, also as programs quote them: in a URL, in JSON,
// in a Go or logfmt string.
func newRedactor(secrets []string) *strings.Replacer {
	var forms []string
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		quoted := strconv.Quote(secret)
		encoded, _ := json.Marshal(secret) // a string cannot fail
		forms = append(forms, secret, quoted[1:len(quoted)-1], string(encoded[1:len(encoded)-1]),
			url.QueryEscape(secret), url.PathEscape(secret))
	}
	// The longest first: a replacer takes the first of its pairs that fits.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, form := range slices.Compact(forms) {
		pairs = append(pairs, form, redacted)
	}
	return strings.NewReplacer(pairs...)
}

// Redact takes the job's secrets out of a text.
func (j Job) Redact(text string) string { return newRedactor(j.Secrets).Replace(text) }
