package migratekit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// outputGrace bounds how long output is read on after migratekit ended, where
// something that it started holds the pipe.
const outputGrace = 5 * time.Second

// roomForLog is how much a log may be expected to hold at least, in bytes.
const roomForLog = 64 << 10

// Options say how a job is run.
type Options struct {
	// LogFile is made with mode 0600; its directory is made too.
	LogFile string
	// StopGrace is how long migratekit may take to end after an interrupt: it
	// has a snapshot to remove.
	StopGrace time.Duration
}

// ExitError says that migratekit ended badly.
type ExitError struct {
	// Err is an *exec.ExitError.
	Err error
	// Killed says that it did not end within the grace after an interrupt.
	Killed bool
}

func (e *ExitError) Error() string {
	if e.Killed {
		return "migratekit did not end in time after an interrupt and was killed"
	}
	return fmt.Sprintf("migratekit ended with %v", e.Err)
}

func (e *ExitError) Unwrap() error { return e.Err }

// Run starts a job and waits for its end. It owns the child: a process group
// of its own, a temporary directory of its own, no input, its output in the log
// file without secrets. Where the context ends, the child is interrupted once,
// and killed with its group after the grace; the error then is also that of
// the context. The outcome is what the log said up to the end, whatever the
// error.
func Run(ctx context.Context, job Job, options Options) (Outcome, error) {
	log, err := createLog(options.LogFile, job)
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = log.Close() }()
	temporary, err := os.MkdirTemp(job.Env["TMPDIR"], "vma-migratekit-")
	if err != nil {
		return Outcome{}, fmt.Errorf("make a temporary directory for migratekit: %w", err)
	}
	defer func() { _ = os.RemoveAll(temporary) }() // the guard does it where this process is killed
	read, write, err := os.Pipe()
	if err != nil {
		return Outcome{}, fmt.Errorf("make a pipe for migratekit: %w", err)
	}
	out := &output{log: log}
	out.redact, out.longest = newRedactor(job.Secrets)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(out, read)
	}()

	started, err := supervise(ctx, job, options, temporary, read, write)
	out.started(started)
	_ = write.Close()
	select {
	case <-drained:
	case <-time.After(outputGrace): // somebody else has the pipe, and may keep it for ever
	}
	_ = read.Close()
	outcome := out.end()
	_, _ = fmt.Fprintf(log, "# ended at %s: %s\n", time.Now().UTC().Format(time.RFC3339), ending(err))
	return outcome, err
}

func ending(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return strings.ReplaceAll(err.Error(), "\n", ": ")
}

// supervise runs the child on one thread of the operating system, which it
// holds for the child's whole life: the signal that takes the child down with
// its parent is bound to the thread that started it.
func supervise(ctx context.Context, job Job, options Options, temporary string, read, output *os.File) (started bool, err error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started, err = child(ctx, job, options, temporary, read, output)
	}()
	<-ended
	return started, err
}

func child(ctx context.Context, job Job, options Options, temporary string, read, output *os.File) (started bool, err error) {
	env := map[string]string{}
	maps.Copy(env, job.Env)
	env["TMPDIR"] = temporary
	cmd := exec.CommandContext(ctx, job.Program, job.Args...) //nolint:gosec // running this program is what the package is for
	cmd.Env = environ(env)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return interrupt(cmd.Process) }
	cmd.WaitDelay = max(options.StopGrace, 1) // 0 would mean for ever
	if err := ctx.Err(); err != nil {
		return false, err
	}
	guard, err := startGuard(ctx, options.StopGrace, temporary, read)
	if err != nil {
		return false, err
	}
	defer guard.dismiss()
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("start migratekit: %w", err)
	}
	guard.watch(cmd.Process.Pid)
	err = cmd.Wait()
	killGroup(cmd.Process) // what it started and left
	var exit *exec.ExitError
	switch {
	case err == nil, cmd.ProcessState != nil && cmd.ProcessState.Success():
		return true, nil // also where it was interrupted, and came to its end all the same
	case errors.As(err, &exit):
		err = &ExitError{Err: exit, Killed: ctx.Err() != nil && wasKilled(exit)}
	default:
		err = fmt.Errorf("wait for migratekit: %w", err)
	}
	if ctx.Err() != nil { // Wait tells the exit status only
		return true, fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return true, err
}

// CheckPlaces makes sure that a log can be written in a directory, which is made
// too, and that there is a place for temporary files, in TMPDIR of the environment
// that is added: Run would find out only after others have prepared what it is to
// copy.
func CheckPlaces(logs string, added map[string]string) error {
	if err := os.MkdirAll(logs, 0o700); err != nil {
		return fmt.Errorf("make the directory for migratekit's log: %w", err)
	}
	file, err := os.CreateTemp(logs, ".writable-")
	if err != nil {
		return fmt.Errorf("write to the directory for migratekit's log: %w", err)
	}
	_, err = file.Write(make([]byte, roomForLog)) // a full disk makes files, and fills none
	temporary, noPlace := os.MkdirTemp(added["TMPDIR"], "vma-migratekit-")
	if noPlace == nil {
		noPlace = os.Remove(temporary)
	}
	return errors.Join(err, noPlace, file.Close(), os.Remove(file.Name()))
}

// createLog makes the log file, which must not exist, with a header.
func createLog(path string, job Job) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory for migratekit's log: %w", err)
	}
	file, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make migratekit's log: %w", err)
	}
	_, err = fmt.Fprintf(file, "# started at %s\n# %s\n", time.Now().UTC().Format(time.RFC3339), job.Redact(job.commandLine()))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write migratekit's log: %w", err), file.Close())
	}
	return file, nil
}

// commandLine is the job on one line, for a reader.
func (j Job) commandLine() string {
	words := []string{j.Program}
	for _, arg := range j.Args {
		if arg == "" || strings.ContainsFunc(arg, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
			arg = strconv.Quote(arg)
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}
