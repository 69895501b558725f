package process_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/process"
)

// script returns a job that runs a shell script instead of migratekit.
func script(text string) migratekit.Job {
	return migratekit.Job{
		Program:   "/bin/sh",
		Args:      []migratekit.Arg{{Value: "-c"}, {Value: text}, {Value: "sh"}, {Value: "--vmware-password"}, {Value: "s3cr3t!", Secret: true}},
		StopGrace: time.Minute,
	}
}

// run also returns the log.
func run(ctx context.Context, job migratekit.Job, held ...*os.File) (log string, outcome migratekit.Outcome, err error) {
	var lines strings.Builder
	outcome, err = process.NewMachine(slog.New(slog.DiscardHandler)).Run(ctx, job, migratekit.Sink{
		Line: func(text string) { lines.WriteString(text + "\n") },
	}, held)
	return lines.String(), outcome, err
}

func TestRunReadsTheLog(t *testing.T) {
	t.Parallel()
	log, outcome, err := run(t.Context(), script(`
printf '\r\033[Kcopying 50%%\r\033[Kcopying 100%%\n'
echo 'time="2026-11-23T02:09:03Z" level=info msg="Starting full copy" disk="[ds] vm/vm.vmdk" vm=name' >&2
echo 'vm=name disk="[ds 2] vm/vm_1.vmdk" msg="Starting incremental copy" level=info' >&2
echo 'level=error msg="Error reading progress: file already closed"' >&2
echo 'nbdkit password=s3cr3t! and in a URL s3cr3t%21' >&2
echo 'time="x" level=info msg="Migration completed"' >&2
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []migratekit.Copy{{Disk: "[ds] vm/vm.vmdk", Full: true}, {Disk: "[ds 2] vm/vm_1.vmdk"}}
	if !outcome.Completed || !slices.Equal(outcome.Copies, want) {
		t.Errorf("outcome %+v", outcome)
	}
	for _, secret := range []string{"s3cr3t!", "s3cr3t%21", "\x1b["} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	for _, part := range []string{"# started at ", "/bin/sh -c", "--vmware-password ********", "Starting full copy", "# ended at "} {
		if !strings.Contains(log, part) {
			t.Errorf("the log has no %q:\n%s", part, log)
		}
	}
}

func TestRunGivesTheLastLines(t *testing.T) {
	t.Parallel()
	_, outcome, err := run(t.Context(), script(`i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo "line $i s3cr3t!"; done; exit 1`))
	var exit *process.ExitError
	if !errors.As(err, &exit) || exit.Killed {
		t.Fatalf("error %v", err)
	}
	if len(outcome.Tail) != 20 || outcome.Tail[0] != "line 81 ********" || outcome.Tail[19] != "line 100 ********" {
		t.Errorf("tail %q", outcome.Tail)
	}
	if outcome.Completed {
		t.Error("a failing run is completed")
	}
}

// An interrupt reaches migratekit once, and processes that it started end with it.
func TestRunInterrupts(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	ready := filepath.Join(t.TempDir(), "ready")
	go func() {
		defer cancel()
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for range ticker.C {
			if _, err := os.Stat(ready); err == nil || t.Context().Err() != nil {
				return
			}
		}
	}()
	log, _, err := run(ctx, script(`
trap 'echo interrupted; kill $!; exit 1' INT
sleep 600 &
: >'`+ready+`'
wait
`))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	var exit *process.ExitError
	if !errors.As(err, &exit) || exit.Killed {
		t.Errorf("error %v", err)
	}
	if strings.Count(log, "\ninterrupted\n") != 1 {
		t.Errorf("log:\n%s", log)
	}
}

func TestRunKillsTheDeaf(t *testing.T) {
	t.Parallel()
	job := script(`trap '' INT; while :; do sleep 1; done`)
	job.StopGrace = 50 * time.Millisecond
	for timeout := 200 * time.Millisecond; ; timeout *= 2 { // until it is long enough for the script to set its trap
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		_, _, err := run(ctx, job)
		cancel()
		exit, ok := errors.AsType[*process.ExitError](err)
		if !errors.Is(err, context.DeadlineExceeded) || t.Context().Err() != nil {
			t.Fatalf("error %v", err)
		}
		if ok && exit.Killed {
			return
		}
	}
}

// A process that outlives migratekit and keeps the output open is killed.
func TestRunLeavesNobodyBehind(t *testing.T) {
	t.Parallel()
	log, _, err := run(t.Context(), script(`sleep 600 & echo "child $!"; exit 0`))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(log, "\nchild ")
	pid, _, _ := strings.Cut(after, "\n")
	eventually(t, "the end of process "+pid, func() bool { return !alive(t, pid) })
}

func TestRunKeepsTheChosenTemporaryDirectoryClean(t *testing.T) {
	t.Parallel()
	chosen := t.TempDir()
	record := filepath.Join(t.TempDir(), "record")
	job := script("printf %s \"$TMPDIR\" >" + record + "; touch \"$TMPDIR/left\"")
	job.Environment = map[string]string{"TMPDIR": chosen}
	_, _, err := run(t.Context(), job)
	if used, _ := os.ReadFile(record); err != nil || filepath.Dir(string(used)) != chosen {
		t.Errorf("%s, %v", used, err)
	}
	if left, err := os.ReadDir(chosen); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestRunEnvironment(t *testing.T) {
	t.Setenv("VSPHERE_PASSWORD", "of the provider")
	t.Setenv("OS_REGION_NAME", "inherited")
	job := script(`env; [ -d "$TMPDIR" ] && : >"$TMPDIR/migratekit-1"; cat; exit 0`)
	job.Environment = map[string]string{"OS_AUTH_URL": "http://given"}
	log, _, err := run(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"OS_AUTH_URL=http://given", "OS_REGION_NAME=inherited", "TMPDIR="} {
		if !strings.Contains(log, want) {
			t.Errorf("the environment has no %s", want)
		}
	}
	if strings.Contains(log, "VSPHERE_PASSWORD") {
		t.Error("the environment has the provider's own variables")
	}
	_, after, _ := strings.Cut(log, "TMPDIR=")
	dir, _, _ := strings.Cut(after, "\n")
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

// A job can leave variables of this process out, and trust certificates beside the system's.
func TestRunUnsetsAndTrusts(t *testing.T) {
	t.Setenv("OS_REGION_NAME", "inherited")
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, []byte("the system's\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", roots)
	job := script(`env; cat "$SSL_CERT_FILE"`)
	job.Environment, job.Unset, job.TrustedCAs = map[string]string{"OS_AUTH_URL": "http://given"}, []string{"OS_"}, []byte("ours")
	log, _, err := run(t.Context(), job)
	if err != nil || strings.Contains(log, "inherited") || !strings.Contains(log, "OS_AUTH_URL=http://given") || !strings.Contains(log, "ours\nthe system's\n") {
		t.Errorf("%v\n%s", err, log)
	}
}

func TestCheckFindsTheProgram(t *testing.T) {
	t.Parallel()
	machine := process.NewMachine(slog.New(slog.DiscardHandler))
	check := func(program string) error {
		return errors.Join(machine.Check(migratekit.Job{Program: program})...)
	}
	if err := check(filepath.Join(t.TempDir(), "migratekit")); !errors.Is(err, process.ErrNotInstalled) {
		t.Errorf("error %v", err)
	}
	if err := check("sh"); errors.Is(err, process.ErrNotInstalled) {
		t.Errorf("error %v", err)
	}
}

func TestCheckFindsNoPlaceForTemporaryFiles(t *testing.T) {
	t.Parallel()
	job := script("exit 0")
	job.Environment = map[string]string{"TMPDIR": filepath.Join(t.TempDir(), "missing")}
	err := errors.Join(process.NewMachine(slog.New(slog.DiscardHandler)).Check(job)...)
	if _, ok := errors.AsType[*process.TemporaryError](err); !ok {
		t.Errorf("error %v", err)
	}
}

// If a very long line is split inside a secret, neither part shows a piece of it.
func TestRunCutsLongLines(t *testing.T) {
	t.Parallel()
	log, outcome, err := run(t.Context(), script(`
for i in 1 2 3; do head -c 70000 /dev/zero | sed 's/\x00/s3cr3t! /g'; printf "%${i}s" x; done
printf '\nmsg="Migration completed"\r\r\n'
`))
	if err != nil {
		t.Fatal(err)
	}
	log = strings.ReplaceAll(log, "********", "")
	for part := range strings.FieldsSeq(log[strings.Index(log, "\n"):]) {
		if strings.Contains("s3cr3t!", part) && len(part) > 1 {
			t.Errorf("the log has %q, a part of the secret", part)
			break
		}
	}
	if !outcome.Completed {
		t.Error("the end was not noticed")
	}
	for _, line := range outcome.Tail {
		if len(line) > 600 {
			t.Errorf("a line of %d bytes for a diagnostic", len(line))
		}
	}
}

func TestCheckFindsMissingTools(t *testing.T) {
	t.Parallel()
	install := func(script string) map[string]string {
		directory := t.TempDir()
		if script != "" {
			if err := os.WriteFile(filepath.Join(directory, "nbdkit"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		return map[string]string{"PATH": directory}
	}
	for name, test := range map[string]struct{ script, want string }{
		"no nbdkit":     {"", "nbdkit is not in PATH"},
		"no plugin":     {"exit 1", "has no plugin vddk"},
		"all there":     {`[ "$1 $2" = "vddk --dump-plugin" ]`, ""},
		"another error": {"kill -9 $$", "signal: killed"},
	} {
		job := script("exit 0")
		job.Environment = install(test.script)
		err := process.NewMachine(slog.New(slog.DiscardHandler)).CheckTools(t.Context(), job)
		missing, found := errors.AsType[*process.MissingToolError](err)
		if found != (test.want != "") || (found && !strings.Contains(missing.Problem, test.want)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRunStopsAStalledCopy(t *testing.T) {
	t.Parallel()
	job := script(`echo 'msg="Starting full copy" disk=a'; printf '\rFull copy  10%% [=>'; while :; do sleep 0.05; done`)
	job.StallTimeout = 200 * time.Millisecond
	_, outcome, err := run(t.Context(), job)
	stalled, ok := errors.AsType[*process.StalledError](err)
	if !ok || errors.Is(err, context.Canceled) || stalled.After != job.StallTimeout || !outcome.Started {
		t.Errorf("%+v, %v", outcome, err)
	}
}

// What no process accepts is found before anything is changed.
func TestCheckFindsWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	machine := process.NewMachine(slog.New(slog.DiscardHandler))
	for name, test := range map[string]struct {
		count, size int
		fits        bool
	}{"a long one": {1, 100 << 10, true}, "too long": {1, 128 << 10, false}, "many": {10, 100 << 10, true}, "too many": {30, 100 << 10, false}} {
		job := script("exit 0")
		for range test.count {
			job.Args = append(job.Args, migratekit.Arg{Value: strings.Repeat("x", test.size)})
		}
		var found []*process.TooLargeError
		for _, problem := range machine.Check(job) {
			if large, ok := errors.AsType[*process.TooLargeError](problem); ok {
				found = append(found, large)
			}
		}
		_, outcome, err := run(t.Context(), job)
		if (len(found) == 0) != test.fits || outcome.Started != test.fits || (err == nil) != test.fits {
			t.Errorf("%s: %v; started %t, %v", name, found, outcome.Started, err)
		}
	}
}

// Two runs never work on one VM, even from two processes.
func TestLock(t *testing.T) {
	t.Parallel()
	machine, name, other := process.NewMachine(slog.New(slog.DiscardHandler)), "the virtual machine "+rand.Text(), "the export "+rand.Text()
	held, err := machine.Lock(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	running := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = machine.Run(ctx, script("echo up; while :; do sleep 0.05; done"), migratekit.Sink{Line: func(text string) {
			if text == "up" {
				close(running)
			}
		}}, held)
	}()
	<-running
	_, err = machine.Lock(t.Context(), other, name)
	if locked, ok := errors.AsType[*process.LockedError](err); !ok || locked.What != name || !strings.Contains(locked.Owner, fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("%v", err)
	}
	cancel()
	<-ended
	held.Release()
	if held, err = machine.Lock(t.Context(), other, name); err != nil {
		t.Error(err)
	}
	held.Release()
}
