package provider

import (
	"strings"
	"unicode"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
)

const (
	// maxDetail and maxSummary bound a diagnostic, in bytes: texts of vCenter, migratekit or an NBD server may be of any size.
	maxDetail  = 16 << 10
	maxSummary = 500
	// minPassword is the shortest password that is redacted in diagnostics; a shorter one would make them illegible.
	minPassword = 4
)

// clean makes texts from others fit for a terminal: without control characters and secrets, and bounded.
func (p *Provider) clean(diags []*tfprotov6.Diagnostic) {
	for _, d := range diags {
		d.Summary, d.Detail = p.cleanText(d.Summary, maxSummary), p.cleanText(d.Detail, maxDetail)
	}
}

func (p *Provider) cleanText(s string, limit int) string {
	p.mu.Lock()
	for _, redactor := range p.redactors {
		s = redactor.Redact(s)
	}
	p.mu.Unlock()
	s = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Bidi_Control, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + " …"
	}
	return s
}
