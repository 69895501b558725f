package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// cli runs a real Terraform with the providers that were just built.
type cli struct {
	program, bin, dir string
	env, extra        []string
	estate            *estate
}

func newCLI(ctx context.Context, dir string, e *estate) (*cli, error) {
	program, err := exec.LookPath("terraform")
	if err != nil {
		if program, err = exec.LookPath("tofu"); err != nil {
			return nil, errors.New("neither terraform nor tofu is in PATH")
		}
	}
	c := &cli{program: program, bin: filepath.Join(dir, "bin"), dir: dir, estate: e}
	for name, source := range map[string]string{"terraform-provider-vma": ".", "terraform-provider-nothing": "./internal/bench/nothing"} {
		build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(c.bin, name), source)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return nil, fmt.Errorf("build %s: %w", name, err)
		}
	}
	config := filepath.Join(dir, "terraformrc")
	overrides := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"vma-project/vma\" = %q\n    \"vma-project/nothing\" = %q\n  }\n  direct {}\n}\n", c.bin, c.bin)
	c.env = append(os.Environ(),
		"TF_CLI_CONFIG_FILE="+config, "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1", "TF_CLI_ARGS=-no-color",
		"VSPHERE_SERVER="+e.Server, "VSPHERE_THUMBPRINT="+e.Thumbprint,
		"VSPHERE_USER="+vspheretest.Username, "VSPHERE_PASSWORD="+vspheretest.Password,
	)
	return c, os.WriteFile(config, []byte(overrides), 0o600)
}

// work creates a directory with a configuration.
func (c *cli) work(name, configuration string) (string, error) {
	dir := filepath.Join(c.dir, name)
	const head = "terraform {\n  required_providers {\n    vma     = { source = \"vma-project/vma\" }\n    nothing = { source = \"vma-project/nothing\" }\n  }\n}\n"
	return dir, errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "main.tf"), []byte(head+configuration), 0o600))
}

// measured is the cost of a Terraform run.
type measured struct {
	wall     time.Duration
	cpu      time.Duration // of Terraform and its providers
	calls    map[string]int
	sessions int
	memory   int64 // highest peak resident set of a provider, in bytes; 0 if unknown
}

func (m measured) total() int {
	n := 0
	for _, calls := range m.calls {
		n += calls
	}
	return n
}

// run measures Terraform several times: the median wall time, and the most calls and memory of any run.
func (c *cli) run(ctx context.Context, times int, dir string, args ...string) (measured, error) {
	return c.runTo(ctx, 0, times, dir, args...)
}

// runTo is run for a command that must end with the given exit status.
func (c *cli) runTo(ctx context.Context, status, times int, dir string, args ...string) (measured, error) {
	all := make([]measured, times)
	for i := range all {
		var before counts
		if err := c.estate.ask(ctx, "counts", &before); err != nil {
			return measured{}, err
		}
		var output bytes.Buffer
		command := exec.CommandContext(ctx, c.program, args...)
		command.Dir, command.Env = dir, append(slices.Clone(c.env), c.extra...)
		command.Stdout, command.Stderr = &output, &output
		watching, stop := context.WithCancel(ctx)
		memory := c.watchMemory(watching)
		begun := time.Now()
		err := command.Run()
		all[i].wall = time.Since(begun)
		stop()
		all[i].memory = <-memory
		all[i].cpu = command.ProcessState.UserTime() + command.ProcessState.SystemTime()
		if command.ProcessState.ExitCode() != status {
			said := output.String()
			return measured{}, fmt.Errorf("terraform %s: %w: … %s", strings.Join(args, " "), err, said[max(0, len(said)-500):])
		}
		var after counts
		if err := c.estate.ask(ctx, "counts", &after); err != nil {
			return measured{}, err
		}
		all[i].calls, all[i].sessions = after.Calls, after.Sessions
	}
	slices.SortFunc(all, func(a, b measured) int { return int(a.wall - b.wall) })
	median := all[times/2]
	for _, m := range all {
		if median.memory = max(median.memory, m.memory); m.total() > median.total() {
			median.calls = m.calls
		}
		median.sessions = max(median.sessions, m.sessions)
	}
	return median, nil
}

// watchMemory sends the highest resident set of the providers' processes when the context ends (Linux only).
func (c *cli) watchMemory(ctx context.Context) <-chan int64 {
	peak := make(chan int64, 1)
	go func() {
		highest := int64(0)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				peak <- highest
				return
			case <-ticker.C:
			}
			processes, _ := filepath.Glob("/proc/[0-9]*")
			for _, process := range processes {
				if exe, err := os.Readlink(filepath.Join(process, "exe")); err == nil && filepath.Dir(exe) == c.bin {
					highest = max(highest, highWater(process))
				}
			}
		}
	}()
	return peak
}

func highWater(process string) int64 {
	status, _ := os.ReadFile(filepath.Join(process, "status")) // the process may have ended
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kilobytes, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(kilobytes, 10, 64)
	return n << 10
}
