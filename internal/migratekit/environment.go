package migratekit

import "slices"

// MissingOpenStack lists the variables that migratekit for OpenStack needs and does not have. migratekit itself
// notices only after it created a snapshot.
func MissingOpenStack(getenv func(name string) string) []string {
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return getenv(name) != "" })
	}
	var missing []string
	if !has("OS_AUTH_URL") {
		missing = append(missing, "OS_AUTH_URL")
	}
	if has("OS_APPLICATION_CREDENTIAL_ID", "OS_APPLICATION_CREDENTIAL_NAME") {
		if !has("OS_APPLICATION_CREDENTIAL_SECRET") {
			missing = append(missing, "OS_APPLICATION_CREDENTIAL_SECRET")
		}
		return missing // an application credential belongs to a project already
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
