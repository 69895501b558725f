package migratekit_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// Something that left the process group may keep the pipe for ever; nobody waits
// for it.
func TestRunDoesNotWaitForADaemon(t *testing.T) {
	t.Parallel()
	pid := filepath.Join(t.TempDir(), "pid")
	outcome, err := migratekit.Run(t.Context(), script("setsid sh -c 'echo $$ >"+pid+"; exec sleep 600' &\n"+
		"while [ ! -s "+pid+" ]; do sleep 0.01; done\necho 'msg=\"Migration completed\"'\n"), options(t))
	if err != nil || !outcome.Completed {
		t.Errorf("%+v, %v", outcome, err)
	}
	daemon, err := strconv.Atoi(strings.TrimSpace(read(t, pid)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil {
		t.Errorf("Run returned only when the daemon had ended: %v", err)
	}
}
