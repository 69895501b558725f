package migratekit

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// redacted replaces a secret.
const redacted = "********"

// secretNames matches names of variables that hold a secret: OS_PASSWORD and API_KEY, but not OS_KEYPAIR.
var secretNames = regexp.MustCompile(`(?i)(^|_)(pass[a-z]*|[a-z]*secret|[a-z]*token|[a-z]*key|credentials?)(_|$)`)

const (
	// minSecretValue is the shortest value that is a secret whatever the variable's name; "true" and "v3" are not.
	minSecretValue = 6
	// minSecretLine is the shortest line of a longer secret that is redacted by itself; "}" is not.
	minSecretLine = 8
)

// secrets returns what must not be written: secret arguments, and secret values of the job's and of the inherited environment.
//
// All values of the job's environment are secret, except short ones and those of OpenStack's variables with harmless
// names. Of the inherited environment, only OpenStack's secrets and the passwords in proxy URLs are secret.
func (j Job) secrets(inherited []string) []string {
	var secrets []string
	add := func(name, value string, whole bool) {
		if value != "" && (secretNames.MatchString(name) || (whole && len(value) >= minSecretValue)) {
			secrets = append(secrets, value)
		}
		if u, err := url.Parse(value); err == nil && u.User != nil {
			if password, _ := u.User.Password(); password != "" {
				secrets = append(secrets, password)
			}
		}
	}
	username := ""
	for i, arg := range j.Args {
		if i > 0 && j.Args[i-1].Value == flagUsername {
			username = arg.Value
		}
		if arg.Secret {
			secrets = append(secrets, arg.Value, username+":"+arg.Value) // the pair is what HTTP sends in base64
		}
	}
	for name, value := range j.Environment {
		if !ownVariable(name) && value != placeholder {
			add(name, value, !strings.HasPrefix(name, "OS_"))
		}
	}
	for _, pair := range inherited {
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "OS_") || strings.HasSuffix(strings.ToUpper(name), "_PROXY") {
			add(name, value, false)
		}
	}
	return secrets
}

// encodings returns a secret in the forms in which programs print it: plain, quoted, and quoted twice.
// Output is read line by line, so each line of a secret is a secret too.
func encodings(secret string) []string {
	var all []string
	for _, part := range append(strings.Split(secret, "\n"), secret) {
		part = strings.TrimSuffix(part, "\r")
		if part == "" || (part != secret && len(part) < minSecretLine) {
			continue
		}
		for _, encoded := range encode(part) {
			all = append(all, encoded)
			all = append(all, encode(encoded)...)
		}
	}
	return all
}

// encode returns a text unencoded, and as it appears in URLs, JSON, XML, HTML, Go, logfmt, shells, base64 and hex.
func encode(text string) []string {
	var markup strings.Builder
	_ = xml.EscapeText(&markup, []byte(text)) // a builder cannot fail
	encoded, _ := json.Marshal(text)          // a string cannot fail
	user := url.UserPassword("", text).String()
	inner := func(quoted string) string { return quoted[1 : len(quoted)-1] }
	all := []string{
		text, inner(strconv.Quote(text)), inner(strconv.QuoteToASCII(text)), inner(string(encoded)),
		markup.String(), html.EscapeString(text), strings.ReplaceAll(text, "'", `'\''`),
		doubleQuoted.Replace(text), bare.ReplaceAllString(text, `\$0`),
		base64.RawStdEncoding.EncodeToString([]byte(text)), base64.RawURLEncoding.EncodeToString([]byte(text)),
		hex.EncodeToString([]byte(text)), strings.ToUpper(hex.EncodeToString([]byte(text))), percentAll(text),
	}
	for _, escaped := range []string{url.QueryEscape(text), url.PathEscape(text), strings.TrimPrefix(user, ":"), strings.ReplaceAll(url.QueryEscape(text), "+", "%20")} {
		all = append(all, escaped, percent.ReplaceAllStringFunc(escaped, strings.ToLower))
	}
	return all
}

// percentAll escapes every byte, as some programs do.
func percentAll(text string) string {
	var escaped strings.Builder
	for _, b := range []byte(text) {
		fmt.Fprintf(&escaped, "%%%02X", b)
	}
	return escaped.String()
}

var (
	// A shell's escapes inside double quotes, and without quotes.
	doubleQuoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`")
	bare         = regexp.MustCompile(`[^\w@%+=:,./-]`)
	percent      = regexp.MustCompile(`%[0-9A-F]{2}`)
)

// Redactor replaces a job's secrets, however they are encoded.
type Redactor struct {
	replacer *strings.Replacer
	longest  int // encoded secret, in bytes
}

// NewRedactor returns a redactor for the secrets of a job, and for those of the environment that it inherits ("NAME=value").
func NewRedactor(job Job, inherited []string) *Redactor { return newRedactor(job.secrets(inherited)) }

// NewSecretRedactor returns a redactor for secrets that no job has.
func NewSecretRedactor(secrets ...string) *Redactor { return newRedactor(secrets) }

func newRedactor(secrets []string) *Redactor {
	var all []string
	for _, secret := range secrets {
		if secret != "" {
			all = append(all, encodings(secret)...)
		}
	}
	// The longest first: a replacer takes the first of its pairs that fits.
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, encoded := range slices.Compact(all) {
		pairs = append(pairs, encoded, redacted)
	}
	r := &Redactor{replacer: strings.NewReplacer(pairs...)}
	if len(all) > 0 {
		r.longest = len(all[0])
	}
	return r
}

// Redact returns a text without secrets.
func (r *Redactor) Redact(text string) string { return r.replacer.Replace(text) }
