package progress

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// lostAfter is how long a running cycle may be without an update.
const lostAfter = 30 * time.Second

// Seen returns files as they are to be shown at a time: a running cycle whose process is dead, or does not write any more, is lost. Running cycles are first, then the
// newest ones.
func Seen(files []File, now time.Time, alive func(pid int) bool) []File {
	seen := slices.Clone(files)
	for i, f := range seen {
		if f.Status == StatusRunning && (now.Sub(f.UpdatedAt) > lostAfter || !alive(f.PID)) {
			seen[i].Status = StatusLost
		}
	}
	slices.SortFunc(seen, func(a, b File) int {
		if running := cmp.Compare(rank(a), rank(b)); running != 0 {
			return running
		}
		return cmp.Or(b.StartedAt.Compare(a.StartedAt), strings.Compare(a.VMPath, b.VMPath))
	})
	return seen
}

func rank(f File) int {
	if f.Status == StatusRunning {
		return 0
	}
	return 1
}

// Options are those of Show.
type Options struct {
	// Directory is the log directory. Exists is true if it must exist.
	Directory string
	Exists    bool
	// Once shows it once, even on a terminal. JSON writes the files as a list, once.
	Once, JSON bool
}

// refreshEvery is how often a live table is drawn.
const refreshEvery = time.Second

// Show shows the cycles of a log directory: a live table on a terminal until the context ends, else one line for each cycle.
func Show(ctx context.Context, options Options, to *os.File) error {
	live := !options.Once && !options.JSON && term.IsTerminal(int(to.Fd()))
	for {
		files, err := ReadDirectory(options.Directory)
		if errors.Is(err, os.ErrNotExist) && !options.Exists {
			files, err = nil, nil // no cycle has run yet
		}
		if err != nil {
			return err
		}
		seen := Seen(files, time.Now(), isAlive)
		switch {
		case options.JSON:
			return writeJSON(seen, to)
		case !live:
			_, err := io.WriteString(to, Lines(seen, options.Directory))
			return err
		}
		width, height, err := term.GetSize(int(to.Fd()))
		if err != nil {
			width, height = 120, 40
		}
		drawn := Table(seen, width, height)
		if len(seen) == 0 {
			drawn = Lines(nil, options.Directory)
		}
		if _, err := io.WriteString(to, "\x1b[H\x1b[2J"+drawn); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(refreshEvery):
		}
	}
}

func writeJSON(files []File, to io.Writer) error {
	if files == nil {
		files = []File{}
	}
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", "  ")
	return encoder.Encode(files)
}

// Lines has one line for each cycle.
func Lines(files []File, directory string) string {
	if len(files) == 0 {
		return "no cycles in " + printable(directory) + "\n"
	}
	var lines strings.Builder
	for _, f := range files {
		fmt.Fprintf(&lines, "%-11s %5.1f%%  %s", printable(f.Status), f.Percent, printable(f.VMPath))
		for _, detail := range []string{amount(f), speed(f), remaining(f), reason(f)} {
			if detail != "" {
				lines.WriteString("  " + detail)
			}
		}
		lines.WriteString("\n")
	}
	return lines.String()
}

const (
	barWidth  = 20
	minColumn = 12
)

// Table draws the cycles as a table for a terminal of a size. What does not fit is counted.
func Table(files []File, width, height int) string {
	shown := files[:min(len(files), max(height-5, 1))]
	// What the texts leave of the width is for VMs and reasons. If that is too little, there are fewer columns.
	wide := true
	room := width - text.LongestLineLen(render(shown, 0, wide))
	if room < 2*minColumn {
		wide = false
		room = max(width-text.LongestLineLen(render(shown, 0, wide)), 2*minColumn)
	}
	drawn := render(shown, room/2, wide) + "\n"
	if hidden := len(files) - len(shown); hidden > 0 {
		drawn += fmt.Sprintf("and %d more\n", hidden)
	}
	return drawn
}

// render draws the table. VMs and reasons are cut to a width, and bars and rates are left out unless it is wide.
func render(files []File, column int, wide bool) string {
	w := table.NewWriter()
	w.SetStyle(table.StyleLight)
	w.Style().Options.DrawBorder, w.Style().Options.SeparateColumns = false, false
	row := func(vm, status, progress, percent, copied, rate, left, why string) table.Row {
		if wide {
			return table.Row{vm, status, progress, percent, copied, rate, left, why}
		}
		return table.Row{vm, status, percent, left, why}
	}
	w.AppendHeader(row("VM", "STATUS", "PROGRESS", "", "COPIED", "RATE", "LEFT OR END", "REASON"))
	for _, f := range files {
		w.AppendRow(row(cut(printable(f.VMPath), column), statusColor(f.Status).Sprint(printable(f.Status)), bar(f.Percent), fmt.Sprintf("%.1f%%", f.Percent),
			amount(f), speed(f), remaining(f), cut(reason(f), column)))
	}
	return w.Render()
}

func statusColor(status string) text.Colors {
	switch status {
	case StatusRunning:
		return text.Colors{text.FgCyan}
	case "failed", StatusLost:
		return text.Colors{text.FgRed}
	case "interrupted":
		return text.Colors{text.FgYellow}
	}
	return text.Colors{text.FgGreen}
}

func bar(percent float64) string {
	full := max(min(int(percent/100*barWidth), barWidth), 0)
	return strings.Repeat("█", full) + strings.Repeat("░", barWidth-full)
}

// cut shortens a text at its beginning, where paths are alike.
func cut(s string, width int) string {
	runes := []rune(s)
	switch {
	case len(runes) <= width:
		return s
	case width < 1:
		return ""
	}
	return "…" + string(runes[len(runes)-width+1:])
}

// printable replaces what could control a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

func amount(f File) string {
	switch {
	case f.Bytes == nil:
		return ""
	case f.TotalBytes != nil && *f.TotalBytes == 0:
		return "nothing changed"
	case f.TotalBytes == nil:
		return size(*f.Bytes)
	}
	return size(*f.Bytes) + " of " + size(*f.TotalBytes)
}

func speed(f File) string {
	if f.BytesPerSecond == nil {
		return ""
	}
	return size(*f.BytesPerSecond) + "/s"
}

// remaining is the time left of a running cycle, and when another one ended.
func remaining(f File) string {
	switch {
	case f.Status == StatusRunning && f.SecondsLeft != nil:
		return (time.Duration(*f.SecondsLeft) * time.Second).String()
	case f.EndedAt != nil:
		return f.EndedAt.Local().Format("2006-01-02 15:04")
	}
	return ""
}

func reason(f File) string {
	switch {
	case f.Error != nil:
		return printable(*f.Error)
	case f.Status == StatusLost:
		return "no sign of process " + fmt.Sprint(f.PID) + " since " + f.UpdatedAt.Local().Format("01-02 15:04:05")
	}
	return ""
}

// size shows bytes in binary units.
func size(bytes int64) string {
	const unit = 1024
	if bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	value, i := float64(bytes)/unit, 0
	for value >= unit && i < 4 {
		value, i = value/unit, i+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[i])
}
