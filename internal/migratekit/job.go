// Package migratekit describes a run of migratekit: its arguments, its
// environment, its output, and the HTTP services that its build for NBD targets calls.
//
// It starts no process, opens no listener, and knows neither Terraform nor vSphere.
package migratekit

import (
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Job is one run of migratekit. It is plain data that survives JSON, so that it can run on another machine.
type Job struct {
	// ID names the run to the change-ID store and in progress reports.
	ID string `json:"id,omitempty"`
	// Program is a path, or a name to look up in PATH.
	Program string `json:"program"`
	Args    []Arg  `json:"args"`
	// Environment is added to the environment of the process that runs the job, and wins over it.
	Environment map[string]string `json:"environment,omitempty"`
	// Unset are the prefixes of variables that the job does not inherit.
	Unset []string `json:"unset,omitempty"`
	// TrustedCAs are certificates in PEM that migratekit trusts beside the system's.
	TrustedCAs []byte `json:"trusted_cas,omitempty"`
	// VMPath is the VM's inventory path.
	VMPath string `json:"vm_path"`
	// KnownChangeIDs has an entry for each disk to copy, by device key: the change ID to copy from, or "".
	// It is nil if migratekit keeps its change IDs elsewhere.
	KnownChangeIDs map[int32]string `json:"known_change_ids"`
	// Exports are the NBD URIs that the run writes to, by device key.
	Exports map[int32]string `json:"exports,omitempty"`
	// Cutover is true if migratekit shuts the source down, and copies once more after that.
	Cutover bool `json:"cutover,omitempty"`
	// StallTimeout is how long a copy may be without progress, 0 for no limit.
	StallTimeout time.Duration `json:"stall_timeout,omitempty"`
	// StopGrace is how long migratekit may take to end after an interrupt, since it has a snapshot to remove.
	StopGrace time.Duration `json:"stop_grace"`
}

// Arg is one argument of the command line.
type Arg struct {
	Value  string `json:"value"`
	Secret bool   `json:"secret,omitempty"`
}

// Arguments returns the arguments as migratekit gets them, secrets included.
func (j Job) Arguments() []string {
	values := make([]string, 0, len(j.Args))
	for _, arg := range j.Args {
		values = append(values, arg.Value)
	}
	return values
}

// CommandLine returns program and arguments on one line for a log. It includes secrets, so it must be redacted.
func (j Job) CommandLine() string {
	words := []string{j.Program}
	for _, arg := range j.Arguments() {
		if arg == "" || strings.ContainsFunc(arg, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
			arg = strconv.Quote(arg)
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}
