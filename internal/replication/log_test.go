package replication

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A full log drops its oldest lines and says so. No line is cut.
func TestLogIsCapped(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "run.log")
	log, err := createLog(path)
	if err != nil {
		t.Fatal(err)
	}
	log.max = 10_000
	for i := range 5000 {
		log.write(fmt.Sprintf("line %04d", i))
	}
	log.close()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	if len(content) > 10_100 || !strings.HasPrefix(lines[0], "# ") || !strings.Contains(lines[0], "older lines were dropped") || lines[len(lines)-1] != "line 4999" {
		t.Errorf("%d bytes, from %q to %q", len(content), lines[0], lines[len(lines)-1])
	}
	for i, line := range lines[1:] {
		if len(line) != len("line 0000") {
			t.Errorf("line %d: %q", i, line)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestLogPath(t *testing.T) {
	t.Parallel()
	name := filepath.Base(logPath("/logs", "a/b\\c:%2f"+strings.Repeat("ä", 200)))
	if len(name) > 255 || strings.ContainsAny(name, `/\:%`) || !strings.HasPrefix(name, "a_b_c__2f") {
		t.Errorf("%q", name)
	}
}
