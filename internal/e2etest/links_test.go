package e2etest

import (
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	fenced  = regexp.MustCompile("(?s)```.*?```")
	// anchored has the anchors that the documentation tool writes itself.
	anchored = regexp.MustCompile(`<a id="([^"]+)">`)
)

// No page links to a page or a heading that is not there.
func TestNoLinkIsDead(t *testing.T) {
	t.Parallel()
	pages := []string{"README.md", ".github/CONTRIBUTING.md"}
	err := filepath.WalkDir("docs", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			pages = append(pages, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range pages {
		for _, match := range link.FindAllStringSubmatch(fenced.ReplaceAllString(read(t, page), ""), -1) {
			target, err := url.Parse(match[1])
			if err != nil || target.Scheme != "" {
				continue
			}
			links++
			file := filepath.Join(filepath.Dir(page), target.Path)
			if target.Path == "" {
				file = page
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s, which is not there", page, match[1])
				continue
			}
			if target.Fragment != "" && !slices.Contains(anchors(read(t, file)), target.Fragment) {
				t.Errorf("%s links to %s, and that page has no such heading", page, match[1])
			}
		}
	}
	if links < 80 {
		t.Errorf("only %d links found", links)
	}
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchors returns the anchors of a page's headings.
func anchors(text string) (all []string) {
	for _, match := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		all = append(all, strings.ReplaceAll(strings.ToLower(notInAnchors.ReplaceAllString(match[1], "")), " ", "-"))
	}
	for _, match := range anchored.FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}
