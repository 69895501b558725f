package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

// Markdown writes an assessment for a job summary or a merge request. scope says what was assessed, such as a folder.
func Markdown(assessed cbt.Assessed, scope string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	s, folder := Summarize(assessed), commonFolder(assessed.VMs)
	line("# Migration readiness of %s\n", escape(scope))
	line("**%d of %s can be migrated** (%d %%). %s", s.Ready, counted(s.Total, "virtual machine"), int(share(int64(s.Ready), int64(s.Total))), leftOut(s))
	line("Their disks have %s, %s.", binary(s.Capacity), s.used())
	if n := len(assessed.Unreadable); n > 0 {
		line("\n%s could not be read.", counted(n, "virtual machine"))
	}
	for _, part := range []struct {
		severity cbt.Severity
		title    string
	}{{cbt.Error, "What to do first"}, {cbt.Warning, "What to check"}, {cbt.Info, "What to know"}} {
		found := kinds(assessed.VMs, part.severity, folder)
		if len(found) == 0 {
			continue
		}
		line("\n## %s\n\n| Virtual machines | Finding | What to do |\n|---:|---|---|", part.title)
		for _, k := range found {
			line("| %d | %s (`%s`) | %s |", k.VMs, escape(k.Title), k.Code, escape(sentence(k.Cure)))
		}
	}
	hosts, datastores := places(assessed.VMs)
	placesTable(line, "host", "Host", hosts)
	placesTable(line, "datastore", "Datastore", datastores)
	if len(assessed.VMs) == 0 {
		return b.String()
	}
	line("\n## Virtual machines\n\nAll paths are below %s.\n\n| Virtual machine | Ready | Findings | Disks | Capacity | Used |\n|---|---|---|---:|---:|---:|", escape(folder))
	for _, vm := range worstFirst(assessed.VMs) {
		ready := "yes"
		if !vm.Ready() {
			ready = "**no**"
		}
		size := sizesOf(vm)
		line("| %s | %s | %s | %d | %s | %s |", escape(strings.TrimPrefix(vm.VM.Path, folder)), ready, strings.Join(slices.Sorted(maps.Keys(codes(vm))), ", "), len(vm.Disks), binary(size.Capacity), usedBytes(size))
	}
	return b.String()
}

func leftOut(s Summary) string {
	if s.LeftOut == 0 {
		return ""
	}
	return counted(s.LeftOut, "system virtual machine") + " left out."
}

func placesTable(line func(string, ...any), name, heading string, all []place) {
	if len(all) == 0 {
		return
	}
	line("\n## Capacity by %s\n\n| %s | Virtual machines | Capacity | Used |\n|---|---:|---:|---:|", name, heading)
	for _, p := range all {
		line("| %s | %d | %s | %s |", escape(p.Name), p.VMs, binary(p.Capacity), usedBytes(p.Sizes))
	}
}

// escape makes Markdown show a text as it is, in a table too: without links, mentions and references.
func escape(text string) string {
	var b strings.Builder
	for _, r := range visible(text) {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case strings.ContainsRune("@:#", r):
			fmt.Fprintf(&b, "&#%d;", r)
		case strings.ContainsRune("\\`*_[]|~$", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return strings.ReplaceAll(b.String(), "www.", "www&#46;")
}
