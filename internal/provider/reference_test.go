package provider_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// referencePages are those with a hand-written part that must name each attribute of the resource.
var referencePages = []string{"resources/replication", "resources/cbt"}

var attributeLine = regexp.MustCompile("^- `([a-z0-9_]+)` \\(([^)]+)\\) (.*)$")

// Each optional attribute on each page says what its default is, or where it comes from.
func TestEveryDefaultIsOnAPage(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		optional := false
		for line := range strings.SplitSeq(page.text, "\n") {
			switch {
			case line == "Optional:" || line == "### Optional":
				optional = true
			case strings.HasSuffix(line, ":") || strings.HasPrefix(line, "#"):
				optional = false
			}
			match := attributeLine.FindStringSubmatch(line)
			if !optional || match == nil || slices.Contains([]string{attributeUUID, attributeMoid, attributePath}, match[1]) {
				continue
			}
			says := strings.Contains(strings.ToLower(match[3]), "default") || strings.Contains(match[3], "Environment: `") || strings.Contains(match[3], "Set exactly one of")
			if !says {
				t.Errorf("%s: %s does not say what its default is: %s", page.name, match[1], match[3])
			}
		}
	}
}

const (
	attributePath = "vm_path"
	attributeUUID = "vm_uuid"
	attributeMoid = "vm_moid"
)

// The part before the schema explains each input, so that nobody has to read the alphabet first.
func TestReferencePagesExplainEachInput(t *testing.T) {
	t.Parallel()
	for _, page := range pages(t) {
		if !slices.Contains(referencePages, page.name) {
			continue
		}
		before, schema, _ := strings.Cut(page.text, "\n## Schema\n")
		inputs, _, _ := strings.Cut(schema, "\n### Read-Only\n")
		for line := range strings.SplitSeq(inputs, "\n") {
			if match := attributeLine.FindStringSubmatch(line); match != nil && !regexp.MustCompile("`"+match[1]+`\b`).MatchString(before) {
				t.Errorf("%s: the part before the schema does not name %s", page.name, match[1])
			}
		}
	}
}

type page struct{ name, text string }

// pages returns the generated pages with a schema.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	for _, directory := range []string{"resources", "data-sources", "actions", "list-resources", "."} {
		entries, err := os.ReadDir("../../docs/" + directory)
		must(t, err)
		for _, entry := range entries {
			if entry.IsDir() || !strings.HasSuffix(entry.Name(), ".md") {
				continue
			}
			text, err := os.ReadFile("../../docs/" + directory + "/" + entry.Name())
			must(t, err)
			all = append(all, page{directory + "/" + strings.TrimSuffix(entry.Name(), ".md"), string(text)})
		}
	}
	if len(all) < 9 {
		t.Fatalf("only %d pages", len(all))
	}
	return all
}
