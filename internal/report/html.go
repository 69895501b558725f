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
	// Unreadable is how many VMs could not be read.
	Unreadable int
	// Folder is what all paths begin with; the page leaves it out of them.
	Folder string
	Summary
	// CSS is the only style, and StyleHash what the Content-Security-Policy allows.
	CSS                     template.CSS
	StyleHash               string
	Ready, Warned, NotReady group
	Errors, Warnings, Infos []kind
	Hosts, Datastores       []place
	VMs                     []cbt.Assessment
}

// group is VMs of the same readiness.
type group struct {
	VMs []string
	Sizes
}

// HTML writes an assessment as one page without scripts and without anything to load. scope says what was assessed, such as a folder. It fails only if
// the template is wrong.
func HTML(assessed cbt.Assessed, scope string) (string, error) {
	hash, folder := sha256.Sum256([]byte(css)), commonFolder(assessed.VMs)
	v := view{
		Scope: visible(scope), Unreadable: len(assessed.Unreadable), Folder: folder, Summary: Summarize(assessed), VMs: worstFirst(assessed.VMs),
		CSS: template.CSS(css), StyleHash: base64.StdEncoding.EncodeToString(hash[:]), // #nosec G203 -- embedded
		Errors: kinds(assessed.VMs, cbt.Error, folder), Warnings: kinds(assessed.VMs, cbt.Warning, folder), Infos: kinds(assessed.VMs, cbt.Info, folder),
	}
	v.Hosts, v.Datastores = places(assessed.VMs)
	for _, vm := range assessed.VMs {
		in := []*group{&v.NotReady, &v.Warned, &v.Ready}[rank(vm)]
		in.VMs = append(in.VMs, visible(strings.TrimPrefix(vm.VM.Path, folder)))
		in.plus(sizesOf(vm))
	}
	t, err := template.New("page").Funcs(template.FuncMap{
		"size": binary, "sentence": sentence, "counted": counted, "sizes": sizesOf, "power": powerState, "readiness": readiness,
		"memory":  func(mib int32) string { return binary(int64(mib) << 20) },
		"guest":   func(name string) string { return strings.TrimSuffix(name, " (64-bit)") },
		"below":   func(path, folder string) string { return visible(strings.TrimPrefix(path, folder)) },
		"bytes":   usedBytes,
		"used":    func(s Sizes) string { return s.used() },
		"percent": func(n, total int) string { return fmt.Sprintf("%.3g%%", share(int64(n), int64(total))) },
		"width":   func(n, total int64) string { return fmt.Sprintf("%.3g%%", share(n, total)) },
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
