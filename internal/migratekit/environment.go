package migratekit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrNotInstalled says that there is no such program to run.
var ErrNotInstalled = errors.New("migratekit is not installed")

// FindProgram gives the path of the executable: name where it has a slash in
// it, else what PATH has under it. The error is ErrNotInstalled.
func FindProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNotInstalled, err)
	}
	return path, nil
}

// MissingOpenStack lists what migratekit for OpenStack will miss in its
// environment, which it finds out only after it made a snapshot.
func MissingOpenStack(added map[string]string) []string {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			value, ok := added[name]
			if !ok {
				value = os.Getenv(name)
			}
			return value != ""
		})
	}
	var missing []string
	if !has("OS_AUTH_URL") {
		missing = append(missing, "OS_AUTH_URL")
	}
	if has("OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_NAME") {
		if !has("OS_APPLICATION_CREDENTIAL_SECRET") {
			missing = append(missing, "OS_APPLICATION_CREDENTIAL_SECRET")
		}
		return missing // it belongs to a project already
	}
	if !has("OS_USERNAME", "OS_USERID", "OS_USER_ID") {
		missing = append(missing, "OS_USERNAME")
	}
	if !has("OS_PASSWORD") {
		missing = append(missing, "OS_PASSWORD")
	}
	switch {
	case has("OS_PROJECT_ID", "OS_TENANT_ID"):
	case !has("OS_PROJECT_NAME", "OS_TENANT_NAME"):
		missing = append(missing, "OS_PROJECT_ID or OS_PROJECT_NAME")
	case !has("OS_DOMAIN_NAME", "OS_DOMAIN_ID", "OS_USER_DOMAIN_NAME", "OS_USER_DOMAIN_ID", "OS_PROJECT_DOMAIN_NAME", "OS_PROJECT_DOMAIN_ID"):
		missing = append(missing, "OS_DOMAIN_NAME or OS_DOMAIN_ID")
	}
	return missing
}

// dumpTimeout bounds the question whether nbdkit has its plugin.
const dumpTimeout = 10 * time.Second

// MissingTools says what migratekit will miss that reads the source's disks:
// nbdkit, or its plugin vddk; "" where nothing is missing. It finds that out
// only after it made a snapshot. It may bring its own all the same.
func MissingTools(ctx context.Context, added map[string]string) string {
	ctx, cancel := context.WithTimeout(ctx, dumpTimeout)
	defer cancel()
	env := environ(added)
	path := lookIn(env, "nbdkit")
	if path == "" {
		return "nbdkit is not in PATH"
	}
	dump := exec.CommandContext(ctx, path, "vddk", "--dump-plugin") //nolint:gosec // found in the practitioner's PATH
	dump.Env = env
	if err := dump.Run(); err != nil {
		return fmt.Sprintf("%s has no plugin vddk (nbdkit vddk --dump-plugin: %v)", path, err)
	}
	return ""
}

// lookIn finds a program in the PATH of an environment, "" where it has none.
func lookIn(env []string, name string) string {
	i := slices.IndexFunc(env, func(pair string) bool { return strings.HasPrefix(pair, "PATH=") })
	if i < 0 {
		return ""
	}
	for _, directory := range filepath.SplitList(strings.TrimPrefix(env[i], "PATH=")) {
		if path, err := exec.LookPath(filepath.Join(directory, name)); err == nil && filepath.IsAbs(path) {
			return path
		}
	}
	return ""
}

// ownVariables are the beginnings of variables that are the provider's own, or
// Terraform's for its providers.
var ownVariables = []string{"VSPHERE_", "TMPDIR=", "PLUGIN_", "TF_PLUGIN_", "TF_REATTACH_"}

// environ is the environment of the child: that of this process, without what
// is the provider's own, and what was added.
func environ(added map[string]string) []string {
	var env []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		_, replaced := added[name]
		if replaced || slices.ContainsFunc(ownVariables, func(own string) bool { return strings.HasPrefix(pair, own) }) {
			continue
		}
		env = append(env, pair)
	}
	for name, value := range added {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}
