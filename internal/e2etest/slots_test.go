package e2etest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
)

// hold makes copies wait until the returned function is called.
func (f *fleet) hold() (release func()) {
	pause := filepath.Join(f.t.TempDir(), "pause")
	f.write(pause, "")
	f.env[migratekittest.Pause] = pause
	return func() { f.must(os.Remove(pause)) }
}

// waiting waits until n cycles wait for others, according to the log.
func (f *fleet) waiting(log string, n int) {
	f.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		content, _ := os.ReadFile(log)
		if strings.Count(string(content), "Waiting for other cycles to end") >= n {
			return
		}
		select {
		case <-f.t.Context().Done():
			f.t.Fatal("the cycles do not wait")
		case <-ticker.C:
		}
	}
}

func (f *fleet) started() int {
	f.t.Helper()
	runs, err := migratekittest.Invocations(f.runs)
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	return len(runs)
}

// No more cycles run at once than the provider allows, and all of them end well.
func TestConcurrencyIsLimited(t *testing.T) {
	t.Parallel()
	const n, total = 20, 5
	f := newFleet(t, n)
	// The timeout of a cycle begins with its slot: those that wait do not run out of it.
	f.configure(fmt.Sprintf("concurrency = { total = %d, per_host = 100 }", total), "1", "", nil)
	log := filepath.Join(f.dir, "log")
	f.env["TF_LOG_PROVIDER"], f.env["TF_LOG_PATH"] = "INFO", log
	release := f.hold()
	apply := f.start("apply", "-auto-approve", "-parallelism=50")
	f.waiting(log, n-total)
	f.reaches(total)
	if got := f.started(); got != total {
		t.Errorf("%d migratekits run at once, and %d are allowed", got, total)
	}
	release()
	apply.wait()
	if statuses, _ := f.statuses(); len(statuses["replicated"]) != n {
		t.Errorf("%v\n%s", statuses, apply.output.String())
	}
}

// Ctrl-C ends waiting at once: what waited is as before, and what ran continues with the next apply.
func TestInterruptWhileWaiting(t *testing.T) {
	t.Parallel()
	const n = 6
	f := newFleet(t, n)
	f.configure("concurrency = { total = 2 }", "1", "", nil)
	log := filepath.Join(f.dir, "log")
	f.env["TF_LOG_PROVIDER"], f.env["TF_LOG_PATH"] = "INFO", log
	release := f.hold()
	apply := f.start("apply", "-auto-approve")
	f.waiting(log, n-2)
	f.reaches(2)
	apply.interrupt()
	apply.wait()
	release()
	statuses, tainted := f.statuses()
	if len(statuses["interrupted"]) != 2 || len(statuses) != 1 || len(tainted) > 0 {
		t.Errorf("%v, tainted %v\n%s", statuses, tainted, apply.output.String())
	}
	f.terraform(0, "apply", "-auto-approve")
	if statuses, _ := f.statuses(); len(statuses["replicated"]) != n {
		t.Errorf("%v", statuses)
	}
	// The same with later cycles, whose state stays.
	f.configure("concurrency = { total = 2 }", "2", "", nil)
	f.must(os.Remove(log))
	release = f.hold()
	before := f.started()
	apply = f.start("apply", "-auto-approve")
	f.waiting(log, n-2)
	f.reaches(before + 2)
	apply.interrupt()
	apply.wait()
	release()
	if statuses, _ := f.statuses(); len(statuses["interrupted"]) != 2 || len(statuses["replicated"]) != n-2 {
		t.Errorf("%v\n%s", statuses, apply.output.String())
	}
}

// A create that continues a failed first cycle, and is interrupted while it waits, keeps what it inherited.
func TestInterruptOfAContinuedCreate(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, "vm000", "vm001")
	f.configure("concurrency = { total = 1 }", "1", "", nil)
	f.env[migratekittest.Fail] = "2001"
	f.terraform(1, "apply", "-auto-approve", "-parallelism=1")
	delete(f.env, migratekittest.Fail)
	f.configure("concurrency = { total = 1 }", "2", "", nil)
	log := filepath.Join(f.dir, "log")
	f.env["TF_LOG_PROVIDER"], f.env["TF_LOG_PATH"] = "INFO", log
	before := f.started()
	release := f.hold()
	apply := f.start("apply", "-auto-approve")
	f.waiting(log, 1)
	f.reaches(before + 1)
	apply.interrupt()
	apply.wait()
	release()
	if text := apply.output.String(); strings.Contains(text, "inconsistent") {
		t.Errorf("a bug is reported:\n%s", text)
	}
	f.terraform(0, "apply", "-auto-approve")
	for _, name := range f.names {
		if got := f.copies(name); got["2000"] != "incremental" || got["2001"] != "full" {
			t.Errorf("%s was copied %v", name, got)
		}
	}
}

// reaches waits until n migratekits have been started in all.
func (f *fleet) reaches(n int) {
	f.t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for f.started() < n {
		select {
		case <-f.t.Context().Done():
			f.t.Fatalf("%d migratekits were started", f.started())
		case <-ticker.C:
		}
	}
}
