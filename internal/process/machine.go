// Package process runs jobs on this machine. It is the only package that starts processes.
//
// It owns the child: its process group, signals, output and temporary files, and the HTTP services that it calls. It
// knows neither Terraform nor vSphere, nor why a job is run.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// outputGrace bounds how long output is read after migratekit ended, if a process that it started keeps the pipe open.
const outputGrace = 5 * time.Second

// Machine runs jobs on this machine. It is safe for concurrent use.
type Machine struct {
	log      *slog.Logger
	progress *progressServer
	tools    toolChecks
	metadata metadataService
}

// NewMachine returns a Machine. It starts nothing.
func NewMachine(log *slog.Logger) *Machine {
	return &Machine{log: log, progress: newProgressServer(migratekit.ProgressAddress)}
}

// Place describes this machine to a target.
func (m *Machine) Place() migratekit.Place {
	return migratekit.Place{Getenv: os.Getenv, Dial: (&net.Dialer{}).DialContext, Server: m.metadata.serverID}
}

// ExitError is returned if migratekit's exit status was not 0, or a signal ended it.
type ExitError struct {
	// Err is an *exec.ExitError.
	Err error
	// Killed is true if migratekit was killed because it did not end in time after an interrupt.
	Killed bool
}

func (e *ExitError) Error() string {
	if e.Killed {
		return "migratekit did not end in time after an interrupt and was killed"
	}
	return fmt.Sprintf("migratekit ended with %v", e.Err)
}

func (e *ExitError) Unwrap() error { return e.Err }

// Run runs a job to its end. When the context ends, migratekit is interrupted once, and killed with its process group
// after the job's StopGrace; the error then includes the context's. The outcome is valid whatever the error.
//
// held are locks that must outlive this process if it is killed: they end with migratekit.
func (m *Machine) Run(ctx context.Context, job migratekit.Job, sink migratekit.Sink, held Locks) (migratekit.Outcome, error) {
	line := sink.Line
	if line == nil {
		line = func(string) {}
	}
	program, err := findProgram(job.Program)
	if err != nil {
		return migratekit.Outcome{}, err
	}
	temporary, err := makeTemporary(job)
	if err != nil {
		return migratekit.Outcome{}, err
	}
	defer func() { _ = os.RemoveAll(temporary) }() // the guard does it if this process is killed
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	monitor := newStallMonitor(ctx, job, sink, cancel)
	services, err := m.serve(ctx, job, sink, monitor)
	if err != nil {
		return migratekit.Outcome{}, err
	}
	defer services.close()
	read, write, err := os.Pipe()
	if err != nil {
		return migratekit.Outcome{}, fmt.Errorf("make a pipe for migratekit: %w", err)
	}
	own := map[string]string{"TMPDIR": temporary}
	if err := writeTrust(job, temporary, own); err != nil {
		return migratekit.Outcome{}, err
	}
	environment := inherit(job, services.environment, own)
	redactor := migratekit.NewRedactor(job, os.Environ())
	output := migratekit.NewOutput(redactor, line, services.events)
	job.Program = program
	line("# started at " + time.Now().UTC().Format(time.RFC3339))
	line("# " + redactor.Redact(job.CommandLine()))
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(output, read)
	}()

	started, err := supervise(running, child{
		program: program, args: job.Arguments(), environment: environment, stopGrace: job.StopGrace,
		temporary: temporary, output: write, guarded: read, locks: held,
	})
	if stalled := monitor.close(); stalled && ctx.Err() == nil && err != nil {
		err = &StalledError{After: job.StallTimeout, Err: exitOf(err)}
	}
	_ = write.Close()
	select {
	case <-drained:
	case <-time.After(outputGrace):
	}
	_ = read.Close()
	outcome := output.End()
	outcome.Started = started
	services.complete(&outcome)
	line(fmt.Sprintf("# ended at %s: %s", time.Now().UTC().Format(time.RFC3339), describeEnd(err)))
	return outcome, err
}

// exitOf returns how migratekit ended, without the cancellation that made it end.
func exitOf(err error) error {
	if exit, ok := errors.AsType[*ExitError](err); ok {
		return exit
	}
	return err
}

func describeEnd(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return strings.ReplaceAll(err.Error(), "\n", ": ")
}

// ownVariables are the prefixes of variables that belong to the provider, or to Terraform's protocol with it.
var ownVariables = []string{"VSPHERE_", "TMPDIR=", "PLUGIN_", "TF_PLUGIN_", "TF_REATTACH_"}

// inherit returns the environment of this process without the provider's own variables and those that the job does not inherit, plus the job's and the
// added ones. Later additions win.
func inherit(job migratekit.Job, added ...map[string]string) []string {
	all := map[string]string{}
	dropped := append(slices.Clone(ownVariables), job.Unset...)
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if !slices.ContainsFunc(dropped, func(prefix string) bool { return strings.HasPrefix(pair, prefix) }) {
			all[name] = value
		}
	}
	maps.Copy(all, job.Environment)
	for _, variables := range added {
		maps.Copy(all, variables)
	}
	environment := make([]string, 0, len(all))
	for name, value := range all {
		environment = append(environment, name+"="+value)
	}
	slices.Sort(environment)
	return environment
}
