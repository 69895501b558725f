package migratekit

import (
	"slices"
	"strings"
)

// OpenStackProblems are what is wrong with the environment that migratekit for OpenStack will have. migratekit itself fails only after it
// created a snapshot.
type OpenStackProblems struct {
	// Missing are the variables that it needs.
	Missing []string
	// Unsupported describe variables that it ignores or does not accept, so that the login would fail.
	Unsupported []string
}

// None reports whether there are no problems.
func (p OpenStackProblems) None() bool { return len(p.Missing)+len(p.Unsupported) == 0 }

// CheckOpenStack checks the OS_* variables for what migratekit accepts: a password, or an application credential; a user's name
// with a domain, or a user's ID without one; and a project, unless the application credential or the system scope tells it.
func CheckOpenStack(getenv func(name string) string) OpenStackProblems {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return getenv(name) != "" })
	}
	var p OpenStackProblems
	missing := func(name string) { p.Missing = append(p.Missing, name) }
	unsupported := func(text string) { p.Unsupported = append(p.Unsupported, text) }
	// ignored reports variables that somebody sets in place of what is missing.
	ignored := func(use string, names ...string) {
		for _, name := range names {
			if has(name) {
				unsupported(name + " is ignored by migratekit: use " + use)
			}
		}
	}
	if !has("OS_AUTH_URL") {
		missing("OS_AUTH_URL")
		ignored("OS_AUTH_URL and the other variables", "OS_CLOUD")
	}
	if has("OS_CACERT") && !has("SSL_CERT_FILE") {
		unsupported("OS_CACERT is ignored by migratekit: use SSL_CERT_FILE")
	}
	if value := getenv("OS_INSECURE"); value != "" && value != "true" {
		unsupported("OS_INSECURE must be exactly true")
	}
	if has("OS_DOMAIN_ID") && has("OS_DOMAIN_NAME") {
		unsupported("OS_DOMAIN_ID and OS_DOMAIN_NAME exclude each other: use one of them")
	}
	password := has("OS_PASSWORD", "OS_PASSCODE") // wins over an application credential
	byID, byName := has("OS_APPLICATION_CREDENTIAL_ID"), has("OS_APPLICATION_CREDENTIAL_NAME")
	if !password && (byID || byName) && !has("OS_APPLICATION_CREDENTIAL_SECRET") {
		missing("OS_APPLICATION_CREDENTIAL_SECRET")
	}
	if !password && byID {
		return p
	}
	switch {
	case has("OS_USERID"):
		if has("OS_DOMAIN_ID", "OS_DOMAIN_NAME") {
			unsupported("OS_USERID must not have a domain beside it: remove OS_DOMAIN_ID and OS_DOMAIN_NAME")
		}
	case has("OS_USERNAME"):
		if !has("OS_DOMAIN_ID", "OS_DOMAIN_NAME") {
			missing("OS_DOMAIN_NAME or OS_DOMAIN_ID")
			ignored("OS_DOMAIN_NAME or OS_DOMAIN_ID", "OS_USER_DOMAIN_NAME", "OS_USER_DOMAIN_ID", "OS_PROJECT_DOMAIN_NAME", "OS_PROJECT_DOMAIN_ID")
		}
	default:
		missing("OS_USERNAME")
		ignored("OS_USERID", "OS_USER_ID")
	}
	if !password && !byName {
		missing("OS_PASSWORD")
		ignored("OS_PASSWORD or an application credential", "OS_TOKEN", "OS_AUTH_TOKEN")
	}
	if !byName && !has("OS_SYSTEM_SCOPE") {
		switch {
		case has("OS_PROJECT_ID", "OS_TENANT_ID"):
		case !has("OS_PROJECT_NAME", "OS_TENANT_NAME"):
			missing("OS_PROJECT_ID or OS_PROJECT_NAME")
		case has("OS_USERID"): // a name needs a domain, which a user's ID forbids
			missing("OS_PROJECT_ID")
		}
	}
	return p
}

// String lists the problems for a sentence.
func (p OpenStackProblems) String() string {
	var all []string
	if len(p.Missing) > 0 {
		all = append(all, "it has no "+strings.Join(p.Missing, ", "))
	}
	return strings.Join(append(all, p.Unsupported...), "; ")
}
