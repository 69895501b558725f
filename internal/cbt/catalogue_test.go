package cbt_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

// The guide lists each code with its severity, title and cure, and the catalogue has each rule.
func TestGuideListsEveryCode(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../templates/guides/assessment.md.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{}
	for _, f := range cbt.Catalogue() {
		if codes[f.Code] {
			t.Errorf("%s is there twice", f.Code)
		}
		codes[f.Code] = true
		row := "| `" + f.Code + "` | " + string(f.Severity) + ": " + f.Title + " | " + strings.ToUpper(f.Cure[:1]) + f.Cure[1:] + ". |\n"
		if !strings.Contains(string(guide), row) {
			t.Errorf("the guide has no row %s", row)
		}
	}
	if rows := strings.Count(string(guide), "\n| `"); rows != len(codes) {
		t.Errorf("the guide has %d rows for %d codes", rows, len(codes))
	}
	for _, code := range declaredCodes(t) {
		if !codes[code] {
			t.Errorf("%s is not in the catalogue", code)
		}
	}
}

// declaredCodes returns the codes of all rules in catalogue.go.
func declaredCodes(t *testing.T) (codes []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "catalogue.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if !ok || len(literal.Elts) != 4 {
			return true
		}
		if code, ok := literal.Elts[1].(*ast.BasicLit); ok {
			text, _ := strconv.Unquote(code.Value)
			codes = append(codes, text)
		}
		return true
	})
	if len(codes) < 30 {
		t.Fatalf("only %d rules found", len(codes))
	}
	return codes
}
