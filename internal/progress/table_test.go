package progress

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
)

func TestSeen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	file := func(vm, status string, pid int, started, updated time.Duration) File {
		return File{Kind: KindCycle, VMPath: vm, Status: status, PID: pid, StartedAt: now.Add(-started), UpdatedAt: now.Add(-updated)}
	}
	seen := Seen([]File{
		file("old", "replicated", 1, 3*time.Hour, 2*time.Hour), file("dead", StatusRunning, 2, time.Hour, time.Second), file("silent", StatusRunning, 1, 2*time.Hour, time.Minute),
		file("new", "failed", 1, time.Minute, time.Second), file("running", StatusRunning, 1, 4*time.Hour, time.Second),
	}, now, func(pid int) bool { return pid == 1 })
	var got []string
	for _, f := range seen {
		got = append(got, f.VMPath+" "+f.Status)
	}
	if want := "running running,new failed,dead lost,silent lost,old replicated"; strings.Join(got, ",") != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	reason := "migratekit failed\x1b[2J: no space"
	files := []File{
		{Status: StatusRunning, VMPath: "/DC0/vm/prod/web01", Percent: 42.5, Bytes: new(int64(3 << 30)), TotalBytes: new(int64(10 << 30)), BytesPerSecond: new(int64(50 << 20)), SecondsLeft: new(int64(143))},
		{Status: "failed", VMPath: "/DC0/vm/prod/db01", Percent: 7, Error: &reason},
	}
	table := Table(files, 160, 40)
	for _, want := range []string{"/DC0/vm/prod/web01", "████████░░░░░░░░░░░░", "42.5%", "3.0 GiB of 10.0 GiB", "50.0 MiB/s", "2m23s", "migratekit failed?[2J: no space"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if small := Table(append(files, files...), 80, 7); !strings.Contains(small, "and 2 more") {
		t.Errorf("a small terminal:\n%s", small)
	}
	lines := strings.Split(strings.TrimSpace(Lines(files, "")), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "running") || !strings.Contains(lines[1], "no space") || strings.Contains(lines[1], "\x1b") {
		t.Errorf("%q", lines)
	}
	for _, width := range []int{80, 100, 120, 200} {
		for line := range strings.Lines(Table(files, width, 40)) {
			if n := text.StringWidthWithoutEscSequences(strings.TrimRight(line, "\n")); n > width {
				t.Errorf("%d columns for a terminal of %d: %s", n, width, line)
			}
		}
	}
	if got := Lines(nil, "logs"); got != "no cycles in logs\n" {
		t.Errorf("%q", got)
	}
}

// Other files of the directory, and those that cannot be read, are left out.
func TestReadDirectory(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	for name, content := range map[string]string{
		"a.json": `{"kind":"cycle","status":"running","vm_path":"/a"}`, "b.json": `{"x":1}`, "f.json": `{"kind":"other","status":"running"}`,
		"g.json": `{"kind":"cycle","status":"running","vm_path":"/g","percent":1e308}`, "c.json": `{`, "d.log": "text", "e.json.new": `{"kind":"cycle","status":"running"}`,
	} {
		if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := ReadDirectory(directory)
	if err != nil || len(files) != 2 || files[0].VMPath != "/a" || files[1].Percent != 100 {
		t.Errorf("%+v, %v", files, err)
	}
	if _, err := ReadDirectory(filepath.Join(directory, "none")); err == nil {
		t.Error("a directory that does not exist")
	}
}
