package migratekit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
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
