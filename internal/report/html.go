package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

//go:embed report.css
var css string

//go:embed report.html.tmpl
var page string

// view is what the page shows.
type view struct {
	Scope string
	Summary
	// CSS is the only style, and StyleHash what the Content-Security-Policy allows.
	CSS                     template.CSS
	StyleHash               string
	Clean, Warned, NotReady int
	Errors, Warnings, Infos []kind
	Hosts, Datastores       []place
	VMs                     []cbt.Assessment
}

// HTML writes an assessment as one page without scripts and without anything to load. scope says what was assessed, such as a folder. It fails only if
// the template is wrong.
func HTML(assessed cbt.Assessed, scope string) (string, error) {
	hash := sha256.Sum256([]byte(css))
	v := view{
		Scope: scope, Summary: Summarize(assessed), VMs: worstFirst(assessed.VMs),
		CSS: template.CSS(css), StyleHash: base64.StdEncoding.EncodeToString(hash[:]), // #nosec G203 -- embedded
		Errors: kinds(assessed.VMs, cbt.Error), Warnings: kinds(assessed.VMs, cbt.Warning), Infos: kinds(assessed.VMs, cbt.Info),
	}
	v.Hosts, v.Datastores = places(assessed.VMs)
	v.NotReady = v.Total - v.Ready
	for _, vm := range assessed.VMs {
		switch rank(vm) {
		case 1:
			v.Warned++
		case 2:
			v.Clean++
		}
	}
	t, err := template.New("page").Funcs(template.FuncMap{
		"size": binary, "sentence": sentence, "counted": counted, "sizes": sizesOf, "power": powerState,
		"used":    func(s Sizes) string { return s.used() },
		"usedOf":  func(s Summary) string { return Sizes{s.Capacity, s.Used, s.UsedUnknown}.used() },
		"percent": func(n, total int) string { return fmt.Sprintf("%.3g%%", share(int64(n), int64(total))) },
		"width":   func(n, total int64) string { return fmt.Sprintf("%.3g%%", share(n, total)) },
		"sum":     func(a, b int) int { return a + b },
		"titles":  titles,
		"rank":    rank,
		"first":   func(all []place) place { return all[0] },
	}).Parse(page)
	if err != nil {
		return "", fmt.Errorf("parse the page: %w", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, v); err != nil {
		return "", fmt.Errorf("write the page: %w", err)
	}
	return b.String(), nil
}

// titles lists the titles of a VM's findings that are not only information.
func titles(vm cbt.Assessment) string {
	var all []string
	seen := map[string]bool{}
	for _, f := range vm.Findings {
		if f.Severity != cbt.Info && !seen[f.Code] {
			seen[f.Code] = true
			all = append(all, f.Title)
		}
	}
	return strings.Join(all, ", ")
}
