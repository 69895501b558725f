package process_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A process that left the group may keep the pipe open.
func TestRunDoesNotWaitForADaemon(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(t.TempDir(), "pid")
	_, outcome, err := run(t.Context(), script("setsid sh -c 'echo $$ >"+pid+"; exec sleep 600' &\n"+
		"while [ ! -s "+pid+" ]; do sleep 0.01; done\necho 'msg=\"Migration completed\"'\n"))
	if err != nil || !outcome.Completed {
		t.Errorf("%+v, %v", outcome, err)
	}
	content, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil {
		t.Errorf("Run returned only when the daemon had ended: %v", err)
	}
}
