package migratekit

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"html"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// redacted stands where a secret was.
const redacted = "********"

// secretNames is a word in the name of an environment variable that holds a
// secret: OS_PASSWORD and API_KEY, and not OS_KEYPAIR.
var secretNames = regexp.MustCompile(`(?i)(^|_)(pass[a-z]*|[a-z]*secret|[a-z]*token|[a-z]*key|credentials?)(_|$)`)

// minValue is the shortest value of the practitioner's environment that is taken
// for a secret by itself: "true" and "v3" are none.
const minValue = 6

// secretValues are the values of an environment that must not be written, and
// those that the child inherits. What the practitioner added is secret as a whole,
// but for what is known of OpenStack's variables, and short; of a URL in either,
// the password is.
func secretValues(added map[string]string) []string {
	var secrets []string
	add := func(name, value string, whole bool) {
		named := secretNames.MatchString(name)
		if value != "" && (named || (whole && len(value) >= minValue)) {
			secrets = append(secrets, value)
		}
		if u, err := url.Parse(value); err == nil && u.User != nil {
			if password, _ := u.User.Password(); password != "" {
				secrets = append(secrets, password)
			}
		}
	}
	for name, value := range added {
		add(name, value, !strings.HasPrefix(name, "OS_"))
	}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "OS_") || strings.HasSuffix(strings.ToUpper(name), "_PROXY") {
			add(name, value, false)
		}
	}
	return secrets
}

// forms are a secret as programs print it: as it is, and as they quote it, in
// one way or in two that lie around each other. Output is read by lines, so each
// line of a secret is one by itself.
func forms(secret string) []string {
	var all []string
	for _, part := range append(strings.Split(secret, "\n"), secret) {
		part = strings.TrimSuffix(part, "\r")
		if part == "" || (part != secret && len(part) < minLine) {
			continue
		}
		for _, form := range quoted(part) {
			all = append(all, form)
			all = append(all, quoted(form)...)
		}
	}
	return all
}

// minLine is the shortest line of a longer secret that is taken for one: "}" is
// none.
const minLine = 8

// quoted is a text in a URL, in JSON, XML or HTML, in a Go or logfmt string, in
// the quotes of a shell, in base64, and as it is.
func quoted(text string) []string {
	var markup strings.Builder
	_ = xml.EscapeText(&markup, []byte(text)) // a builder cannot fail
	encoded, _ := json.Marshal(text)          // a string cannot fail
	user := url.UserPassword("", text).String()
	inner := func(quoted string) string { return quoted[1 : len(quoted)-1] }
	forms := []string{
		text, inner(strconv.Quote(text)), inner(strconv.QuoteToASCII(text)), inner(string(encoded)),
		markup.String(), html.EscapeString(text), strings.ReplaceAll(text, "'", `'\''`),
		doubleQuoted.Replace(text), bare.ReplaceAllString(text, `\$0`),
		base64.RawStdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)),
	}
	for _, escaped := range []string{url.QueryEscape(text), url.PathEscape(text), strings.TrimPrefix(user, ":"), strings.ReplaceAll(url.QueryEscape(text), "+", "%20")} {
		forms = append(forms, escaped, percent.ReplaceAllStringFunc(escaped, strings.ToLower))
	}
	return forms
}

var (
	// doubleQuoted and bare are a shell's escapes inside double quotes and
	// outside of any.
	doubleQuoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
	bare         = regexp.MustCompile(`[^\w@%+=:,./-]`)
	percent      = regexp.MustCompile(`%[0-9A-F]{2}`)
)

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
