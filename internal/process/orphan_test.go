package process_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/process"
)

// TestMain makes the test binary a provider that can be killed, if it is asked to.
func TestMain(m *testing.M) {
	if text := os.Getenv("VMA_TEST_RUN"); text != "" {
		job := script(text)
		job.StopGrace = time.Second
		var held process.Locks
		var err error
		if lock := os.Getenv("VMA_TEST_LOCK"); lock != "" {
			held, err = process.NewMachine(slog.New(slog.DiscardHandler)).Lock(context.Background(), lock)
		}
		if err == nil {
			_, _, err = run(context.Background(), job, held...)
		}
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// orphaned kills a provider that runs the script, and returns the processes that the script wrote to the file pids of dir.
func orphaned(t *testing.T, dir, text string, environment ...string) (pids []string) {
	t.Helper()
	provider := exec.CommandContext(t.Context(), os.Args[0])
	provider.Env = append(append(os.Environ(), "VMA_TEST_RUN="+text, "DIR="+dir), environment...)
	if err := provider.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the script to start", func() bool {
		content, err := os.ReadFile(filepath.Join(dir, "pids"))
		pids = strings.Fields(string(content))
		return err == nil && strings.HasSuffix(string(content), "\n")
	})
	if err := provider.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = provider.Wait()
	return pids
}

// If the provider is killed, migratekit is told to end. If it does not, it is killed after the grace, with the processes that it started.
func TestNoOrphanSurvivesTheProvider(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"one that listens": `trap 'echo told; exit 1' TERM; echo $$ >"$DIR/pids"; while :; do sleep 0.05; done`,
		"a deaf one":       `trap '' TERM; (trap '' TERM; while :; do sleep 0.05; done) & echo $$ $! >"$DIR/pids"; while :; do sleep 0.05; done`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, pid := range orphaned(t, dir, text) {
				eventually(t, "the end of process "+pid, func() bool { return !alive(t, pid) })
			}
		})
	}
}

// alive reports whether a process exists and is not a zombie.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	if _, err := strconv.Atoi(pid); err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-t.Context().Done():
			t.Fatalf("still waiting for %s", what)
		case <-ticker.C:
		}
	}
}

// migratekit may be the child of a script. It still gets the interrupt, and the end of the provider.
func TestMigratekitBehindAScript(t *testing.T) {
	t.Parallel()
	const behind = `echo start; sh -c 'trap ": >\"$DIR/told\"; echo told; exit 1" INT TERM; echo $$ >"$DIR/pids"; while :; do sleep 0.05; done'; exit $?`
	t.Run("interrupted", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		job := script(behind)
		job.Environment = map[string]string{"DIR": dir}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			eventually(t, "the script to start", func() bool { _, err := os.Stat(filepath.Join(dir, "pids")); return err == nil })
			cancel()
		}()
		log, _, err := run(ctx, job)
		if !errors.Is(err, context.Canceled) || !strings.Contains(log, "\ntold\n") {
			t.Errorf("%v\n%s", err, log)
		}
	})
	t.Run("orphaned", func(t *testing.T) {
		t.Parallel()
		dir, temporary := t.TempDir(), t.TempDir()
		pid := orphaned(t, dir, behind, "TMPDIR="+temporary)[0]
		eventually(t, "the end of migratekit", func() bool { return !alive(t, pid) })
		eventually(t, "the end of its temporary files", func() bool {
			left, err := os.ReadDir(temporary)
			return err == nil && len(left) == 0
		})
		if _, err := os.Stat(filepath.Join(dir, "told")); err != nil {
			t.Errorf("it was killed, and never told to end: %v", err)
		}
	})
}

func TestRunEndsWellAllTheSame(t *testing.T) {
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "the script to start", func() bool { _, err := os.Stat(ready); return err == nil })
		cancel()
	}()
	_, outcome, err := run(ctx, script(`
trap 'echo "level=info msg=\"Cutover completed\""; exit 0' INT
: >'`+ready+`'
while :; do sleep 0.05; done
`))
	if err != nil || !outcome.CutOver || outcome.Completed {
		t.Errorf("%+v, %v", outcome, err)
	}
}

// A child that outlives its killed provider for a moment holds the lock until it has ended.
func TestAnOrphanHoldsItsLock(t *testing.T) {
	t.Parallel()
	dir, name := t.TempDir(), "the virtual machine "+rand.Text()
	text := `trap 'sleep 0.5; exit 1' TERM; echo $$ >"$DIR/pids"; while :; do sleep 0.05; done`
	pid := orphaned(t, dir, text, "VMA_TEST_LOCK="+name)[0]
	machine := process.NewMachine(slog.New(slog.DiscardHandler))
	eventually(t, "the lock", func() bool {
		held, err := machine.Lock(t.Context(), name)
		if err == nil && alive(t, pid) {
			t.Error("the child lives on without its lock")
		}
		held.Release()
		return err == nil
	})
}
