package provider_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// titleAt is which argument is the title, of whatever makes a diagnostic.
var titleAt = map[string]int{
	"NewErrorDiagnostic": 0, "NewWarningDiagnostic": 0, "AddError": 0, "AddWarning": 0,
	"NewAttributeErrorDiagnostic": 1, "NewAttributeWarningDiagnostic": 1, "AddAttributeError": 1, "AddAttributeWarning": 1,
	"vmDiagnostic": 0, // what comes after "Unable to"
}

// Whatever title a diagnostic has, the guide on troubleshooting has it too.
func TestTroubleshootingKnowsEveryTitle(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../templates/guides/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	titles := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
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
			if !ok || len(call.Args) <= at {
				return true
			}
			title, fixed := literal(call.Args[at])
			if !fixed {
				return true
			}
			if name == "vmDiagnostic" {
				title = "Unable to " + title
			}
			titles++
			if !strings.Contains(string(guide), "\n## "+title) && !strings.Contains(string(guide), "\n### "+title) {
				t.Errorf("%s: the guide has no %q", file, title)
			}
			return true
		})
	}
	if titles < 30 {
		t.Errorf("only %d titles found: the test does not see them any more", titles)
	}
}

// literal is a string that is written out, or how one begins.
func literal(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return literal(e.X)
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return strings.TrimSpace(text), err == nil
	}
	return "", false
}
