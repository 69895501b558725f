package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// out tells the story on standard output, and everything else in a log.
type out struct {
	log    *os.File
	colors bool
}

func newOut() (*out, error) {
	log, err := os.CreateTemp("", "vma-demo-*.log")
	if err != nil {
		return nil, err
	}
	return &out{log: log, colors: term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""}, nil
}

func (o *out) print(style, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	_, _ = io.WriteString(o.log, line+"\n")
	if o.colors && style != "" {
		line = "\x1b[" + style + "m" + line + "\x1b[0m"
	}
	fmt.Println(line)
}

const (
	bold  = "1"
	cyan  = "36"
	faint = "2"
)

func (o *out) heading(title string) { o.print(bold, "\n=== %s", title) }

func (o *out) step(n int, title string) { o.print(bold, "%d. %s", n, title) }

func (o *out) command(line string) { o.print(cyan, "   $ %s", line) }

// maxLine keeps a line of output on one line of a terminal.
const maxLine = 100

// result shows the lines that matter, and what they mean. It fails if a line is not in the output: then the story is not true.
func (o *out) result(output string, shows []string, means string) error {
	for _, text := range shows {
		line, ok := find(output, text)
		if !ok {
			return fmt.Errorf("the output has no line with %q; see %s", text, o.log.Name())
		}
		if runes := []rune(line); len(runes) > maxLine {
			line = string(runes[:maxLine]) + "…"
		}
		o.print("", "   | %s", line)
	}
	o.print(faint, "   → %s", means)
	return nil
}

// find returns the first line that has a text, without the frame that Terraform draws and the spaces that it aligns with.
func find(output, text string) (string, bool) {
	for line := range strings.SplitSeq(output, "\n") {
		if line = strings.Join(strings.Fields(strings.Trim(line, "│╷╵ ")), " "); strings.Contains(line, text) {
			return line, true
		}
	}
	return "", false
}
