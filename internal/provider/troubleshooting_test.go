package provider_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/replication"
)

// titleAt is the position of the title argument of each function that creates a diagnostic.
var titleAt = map[string]int{
	"NewErrorDiagnostic": 0, "NewWarningDiagnostic": 0, "AddError": 0, "AddWarning": 0,
	"NewAttributeErrorDiagnostic": 1, "NewAttributeWarningDiagnostic": 1, "AddAttributeError": 1, "AddAttributeWarning": 1,
	"onVM": 0, "warnBlocked": 1, "warnIfBlocked": 1,
	"vmDiagnostic": 0, // the part after "Unable to"
}

// composed has the titles that end with an attribute name, by their beginning.
var composed = map[string][]string{
	"Missing": {"vcenter", "username", "password"},
	"Invalid": {
		"vcenter", "thumbprint", "insecure", "auto_cbt", "vm_path", "vm_uuid", "vm_moid", "folder", "name", "stop_grace",
		"timeouts.create", "timeouts.read", "timeouts.update", "timeouts.delete", "timeouts.invoke", "timeouts.list", "nbd.exports", "extra_args", "cutover",
	},
	"Unable to": nil, // created by vmDiagnostic, whose calls are collected
}

// otherTitles are those of the framework, its validators and other packages.
var otherTitles = []string{
	"Missing Attribute Configuration", "Invalid Attribute Combination", "Invalid Attribute Value Match", "Invalid Attribute Value",
	"Invalid Attribute Value Length", "Inconsistent dependency lock file", "after an import", "Invalid Attribute Value Time Duration", "Timeout Cannot Be Parsed",
	replication.TextUnchecked, "CBT enablement check failed", "Replication Warning",
}

// The troubleshooting guide must have the title of each diagnostic, and no other.
func TestTroubleshootingKnowsEveryTitle(t *testing.T) {
	t.Parallel()
	titles := map[string]bool{}
	for _, title := range otherTitles {
		titles[title] = true
	}
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, file := range append(files, "../replication/preflight.go", "../replication/openstack.go", "../replication/openstack_cutover.go", "../replication/nbd.go") {
		if !strings.HasSuffix(file, "_test.go") {
			collectTitles(t, file, titles)
		}
	}
	if len(titles) < 40 {
		t.Errorf("only %d titles found: the test does not see them any more", len(titles))
	}
	guide, err := os.ReadFile("../../templates/guides/troubleshooting.md")
	must(t, err)
	_, errors, _ := strings.Cut(string(guide), "\n## Errors and warnings\n") // symptoms come before
	for line := range strings.Lines(errors) {
		heading, ok := strings.CutPrefix(strings.TrimSpace(line), "### ")
		if !ok {
			continue
		}
		for title := range strings.SplitSeq(heading, ", ") {
			if !titles[title] {
				t.Errorf("the guide has %q, which no diagnostic has", title)
			}
			delete(titles, title)
		}
	}
	for _, title := range slices.Sorted(maps.Keys(titles)) {
		t.Errorf("the guide has no %q", title)
	}
}

func collectTitles(t *testing.T, file string, titles map[string]bool) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	must(t, err)
	ast.Inspect(parsed, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		name := ""
		switch function := call.Fun.(type) {
		case *ast.SelectorExpr:
			name = function.Sel.Name
		case *ast.Ident:
			name = function.Name
		}
		at, ok := titleAt[name]
		if name == "warn" && strings.Contains(file, "replication/") {
			at, ok = 1, true
		}
		if !ok || len(call.Args) <= at {
			return true
		}
		title, whole, fixed := literal(call.Args[at])
		attributes, known := composed[title]
		switch {
		case !fixed:
		case name == "vmDiagnostic":
			titles["Unable to "+title] = true
		case whole:
			titles[title] = true
		case !known:
			t.Errorf("%s: it is not known what follows %q", file, title)
		default:
			for _, attribute := range attributes {
				titles[title+" "+attribute] = true
			}
		}
		return true
	})
}

// literal returns a string literal, or the beginning of a concatenation.
func literal(e ast.Expr) (text string, whole, ok bool) {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		text, _, ok := literal(e.X)
		return text, false, ok
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return strings.TrimSpace(text), true, err == nil
	}
	return "", false, false
}
