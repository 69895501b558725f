package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// ErrNotInstalled is returned if this machine does not have the job's program.
var ErrNotInstalled = errors.New("migratekit is not installed")

// TemporaryError is returned if no directory for temporary files can be created.
type TemporaryError struct{ Err error }

func (e *TemporaryError) Error() string { return e.Err.Error() }
func (e *TemporaryError) Unwrap() error { return e.Err }

// MissingToolError reports that nbdkit or its plugin vddk is missing. It is a warning only, because some builds of
// migratekit include both.
type MissingToolError struct{ Problem string }

func (e *MissingToolError) Error() string { return e.Problem }

const (
	// maxText bounds one argument or variable of a process, in bytes: MAX_ARG_STRLEN of Linux, with the end of the string.
	maxText = 128 << 10
	// maxTexts bounds all of them, in bytes: a quarter of the usual 8 MiB of stack, less what the run adds.
	maxTexts = 2<<20 - 64<<10
	pointer  = 8
)

// TooLargeError is returned for a job that no process can be started with.
type TooLargeError struct{ Bytes, Max int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("migratekit's arguments and environment have %d bytes, and a process accepts %d: shorten extra_args and migratekit_environment", e.Bytes, e.Max)
}

func checkSize(job migratekit.Job) error {
	all := 0
	for _, text := range slices.Concat(job.Arguments(), inherit(job)) {
		if len(text) >= maxText {
			return &TooLargeError{len(text), maxText - 1}
		}
		all += len(text) + 1 + pointer
	}
	if all > maxTexts {
		return &TooLargeError{all, maxTexts}
	}
	return nil
}

// Check lists what prevents running a job on this machine: ErrNotInstalled, a TooLargeError or a TemporaryError.
func (m *Machine) Check(job migratekit.Job) []error {
	var problems []error
	if _, err := findProgram(job.Program); err != nil {
		problems = append(problems, err)
	}
	if err := checkSize(job); err != nil {
		problems = append(problems, err)
	}
	temporary, err := makeTemporary(job)
	if err == nil {
		err = os.Remove(temporary)
	}
	if err != nil {
		problems = append(problems, err)
	}
	return problems
}

// CheckTools returns a MissingToolError if the job's program will not find what it needs to read the source's disks. It starts a process,
// once for each PATH.
func (m *Machine) CheckTools(ctx context.Context, job migratekit.Job) error {
	if missing := m.tools.missing(ctx, inherit(job)); missing != "" {
		return &MissingToolError{missing}
	}
	return nil
}

// findProgram returns the path of an executable: name itself if it has a slash, else what PATH has.
func findProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotInstalled, err)
	}
	return path, nil
}

// makeTemporary makes a directory for the temporary files of one run, which migratekit does not remove.
func makeTemporary(job migratekit.Job) (string, error) {
	temporary, err := os.MkdirTemp(job.Environment["TMPDIR"], "vma-migratekit-")
	if err != nil {
		return "", &TemporaryError{fmt.Errorf("make a temporary directory for migratekit: %w", err)}
	}
	return temporary, nil
}

// toolChecks caches results by PATH, because a check starts a process.
type toolChecks struct{ byPath sync.Map }

func (c *toolChecks) missing(ctx context.Context, environment []string) string {
	check, _ := c.byPath.LoadOrStore(lookUp(environment, "PATH"), sync.OnceValue(func() string {
		return missingTool(context.WithoutCancel(ctx), environment)
	}))
	return check.(func() string)() //nolint:forcetypeassert // stored above
}

// dumpTimeout bounds the call that shows whether nbdkit has its plugin.
const dumpTimeout = 10 * time.Second

// missingTool returns what migratekit lacks to read the source's disks, or "". migratekit itself notices only after it created a
// snapshot.
func missingTool(ctx context.Context, environment []string) string {
	ctx, cancel := context.WithTimeout(ctx, dumpTimeout)
	defer cancel()
	path := ""
	for _, directory := range filepath.SplitList(lookUp(environment, "PATH")) {
		if found, err := exec.LookPath(filepath.Join(directory, "nbdkit")); err == nil && filepath.IsAbs(found) {
			path = found
			break
		}
	}
	if path == "" {
		return "nbdkit is not in PATH"
	}
	dump := exec.CommandContext(ctx, path, "vddk", "--dump-plugin")
	dump.Env = environment
	if err := dump.Run(); err != nil {
		return fmt.Sprintf("%s has no plugin vddk (nbdkit vddk --dump-plugin: %v)", path, err)
	}
	return ""
}

func lookUp(environment []string, name string) string {
	i := slices.IndexFunc(environment, func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
	if i < 0 {
		return ""
	}
	return strings.TrimPrefix(environment[i], name+"=")
}
