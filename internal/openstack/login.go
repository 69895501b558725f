package openstack

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
)

// Login is how to log in to a project of OpenStack. The fields have the names and the meaning of the OpenStack provider's arguments.
type Login struct {
	// Cloud names an entry of clouds.yaml. The other fields win over the entry.
	Cloud, AuthURL, Region                                                          string
	UserName, UserID, Password                                                      string
	ApplicationCredentialID, ApplicationCredentialName, ApplicationCredentialSecret string
	ProjectID, ProjectName                                                          string
	UserDomainID, UserDomainName, ProjectDomainID, ProjectDomainName                string
	// CACertFile is a PEM file with CAs to trust beside the system's.
	CACertFile string
	Insecure   bool
	// unsupported describes what was given and cannot be used.
	unsupported []string
}

// IsSet reports whether anything is set.
func (l Login) IsSet() bool {
	texts := []string{
		l.Cloud, l.AuthURL, l.Region, l.UserName, l.UserID, l.Password, l.ApplicationCredentialID, l.ApplicationCredentialName, l.ApplicationCredentialSecret,
		l.ProjectID, l.ProjectName, l.UserDomainID, l.UserDomainName, l.ProjectDomainID, l.ProjectDomainName, l.CACertFile,
	}
	return l.Insecure || strings.Join(texts, "") != ""
}

// LoginError lists what is wrong with a Login. Nothing was sent.
type LoginError struct {
	// Missing are the settings that a login needs, as variables of the environment.
	Missing []string
	// Unsupported describe settings that the provider or migratekit cannot use.
	Unsupported []string
}

func (e *LoginError) Error() string { return "the OpenStack login cannot be used: " + e.Problems() }

// Problems lists all problems for a sentence.
func (e *LoginError) Problems() string {
	var all []string
	if len(e.Missing) > 0 {
		all = append(all, "it has no "+strings.Join(e.Missing, ", "))
	}
	return strings.Join(append(all, e.Unsupported...), "; ")
}

// FromEnvironment returns the login that OS_* variables describe. ok is false if there are none.
func FromEnvironment(getenv func(name string) string) (login Login, ok bool) {
	first := func(names ...string) string {
		for _, name := range names {
			if value := getenv(name); value != "" {
				ok = true
				return value
			}
		}
		return ""
	}
	domainID, domainName := first("OS_DOMAIN_ID"), first("OS_DOMAIN_NAME")
	login = Login{
		Cloud: first("OS_CLOUD"), AuthURL: first("OS_AUTH_URL"), Region: first("OS_REGION_NAME"),
		UserName: first("OS_USERNAME"), UserID: first("OS_USERID", "OS_USER_ID"), Password: first("OS_PASSWORD"),
		ApplicationCredentialID:     first("OS_APPLICATION_CREDENTIAL_ID"),
		ApplicationCredentialName:   first("OS_APPLICATION_CREDENTIAL_NAME"),
		ApplicationCredentialSecret: first("OS_APPLICATION_CREDENTIAL_SECRET"),
		ProjectID:                   first("OS_PROJECT_ID", "OS_TENANT_ID"), ProjectName: first("OS_PROJECT_NAME", "OS_TENANT_NAME"),
		UserDomainID: first("OS_USER_DOMAIN_ID"), UserDomainName: first("OS_USER_DOMAIN_NAME"),
		ProjectDomainID: first("OS_PROJECT_DOMAIN_ID"), ProjectDomainName: first("OS_PROJECT_DOMAIN_NAME"),
		CACertFile: first("OS_CACERT"), Insecure: isTrue(first("OS_INSECURE")),
	}
	if login.UserDomainID == "" && login.UserDomainName == "" {
		login.UserDomainID, login.UserDomainName = domainID, domainName
	}
	if login.ProjectDomainID == "" && login.ProjectDomainName == "" {
		login.ProjectDomainID, login.ProjectDomainName = domainID, domainName
	}
	for name, what := range map[string]string{
		"OS_TOKEN": "a token", "OS_AUTH_TOKEN": "a token", "OS_PASSCODE": "a one-time passcode", "OS_SYSTEM_SCOPE": "a system scope",
		"OS_IDENTITY_PROVIDER": "federation (OIDC)", "OS_ACCESS_TOKEN": "federation (OIDC)",
	} {
		if first(name) != "" {
			login.unsupported = append(login.unsupported, fmt.Sprintf("%s is set, and %s is not supported: use a password or an application credential", name, what))
		}
	}
	if kind := first("OS_AUTH_TYPE"); kind != "" && !slices.Contains([]string{"password", "v3password", "v3applicationcredential"}, kind) {
		login.unsupported = append(login.unsupported, fmt.Sprintf("OS_AUTH_TYPE is %q: use password or v3applicationcredential", kind))
	}
	slices.Sort(login.unsupported)
	return login, ok
}

func isTrue(s string) bool {
	return slices.Contains([]string{"1", "true", "yes", "on"}, strings.ToLower(s))
}

// complete returns the login with what clouds.yaml adds, or a LoginError.
func (l Login) complete() (Login, error) {
	if l.Cloud != "" {
		var err error
		if l, err = l.withCloud(); err != nil {
			return l, err
		}
	}
	problem := &LoginError{Unsupported: l.unsupported}
	missing := func(ok bool, variable string) {
		if !ok {
			problem.Missing = append(problem.Missing, variable)
		}
	}
	missing(l.AuthURL != "", "OS_AUTH_URL")
	switch {
	case l.usesCredential():
		missing(l.ApplicationCredentialSecret != "", "OS_APPLICATION_CREDENTIAL_SECRET")
		if l.ApplicationCredentialID == "" {
			missing(l.UserID != "" || l.UserName != "", "OS_USERNAME")
			missing(l.UserID != "" || l.UserDomainID+l.UserDomainName != "", "OS_USER_DOMAIN_NAME")
		}
	default:
		missing(l.UserID != "" || l.UserName != "", "OS_USERNAME")
		missing(l.UserID != "" || l.UserDomainID+l.UserDomainName != "", "OS_USER_DOMAIN_NAME")
		missing(l.Password != "", "OS_PASSWORD")
		missing(l.ProjectID != "" || l.ProjectName != "", "OS_PROJECT_ID")
		missing(l.ProjectID != "" || l.ProjectDomainID+l.ProjectDomainName != "", "OS_PROJECT_DOMAIN_NAME")
	}
	if len(problem.Missing)+len(problem.Unsupported) > 0 {
		return l, problem
	}
	return l, nil
}

// usesCredential reports whether the login uses an application credential. A password wins over it, as it does in migratekit.
func (l Login) usesCredential() bool {
	return l.Password == "" && l.ApplicationCredentialID+l.ApplicationCredentialName != ""
}

// withCloud adds what clouds.yaml has for the cloud.
func (l Login) withCloud() (Login, error) {
	auth, endpoint, trust, err := clouds.Parse(clouds.WithCloudName(l.Cloud))
	if err != nil {
		return l, &LoginError{Unsupported: []string{fmt.Sprintf("cloud is %q: %v", l.Cloud, err)}}
	}
	if auth.TokenID != "" {
		return l, &LoginError{Unsupported: []string{fmt.Sprintf("the entry %q of clouds.yaml has a token: use a password or an application credential", l.Cloud)}}
	}
	if endpoint.Availability != "" && endpoint.Availability != gophercloud.AvailabilityPublic {
		return l, &LoginError{Unsupported: []string{fmt.Sprintf("the entry %q of clouds.yaml has the interface %q, and migratekit uses the public endpoints only", l.Cloud, endpoint.Availability)}}
	}
	if trust != nil && trust.RootCAs != nil && l.CACertFile == "" {
		return l, &LoginError{Unsupported: []string{fmt.Sprintf("the entry %q of clouds.yaml has a cacert: set cacert_file (OS_CACERT) to the same file", l.Cloud)}}
	}
	l.Insecure = l.Insecure || (trust != nil && trust.InsecureSkipVerify)
	// What belongs together comes from one place: an ID of the entry must not win over a name that is set beside it.
	fill(group{&l.AuthURL, auth.IdentityEndpoint})
	fill(group{&l.Region, endpoint.Region})
	fill(group{&l.UserName, auth.Username}, group{&l.UserID, auth.UserID})
	fill(
		group{&l.Password, auth.Password}, group{&l.ApplicationCredentialID, auth.ApplicationCredentialID},
		group{&l.ApplicationCredentialName, auth.ApplicationCredentialName}, group{&l.ApplicationCredentialSecret, auth.ApplicationCredentialSecret},
	)
	fill(group{&l.UserDomainID, auth.DomainID}, group{&l.UserDomainName, auth.DomainName})
	project := gophercloud.AuthScope{}
	if auth.Scope != nil {
		project = *auth.Scope
	}
	fill(group{&l.ProjectID, cmp.Or(auth.TenantID, project.ProjectID)}, group{&l.ProjectName, cmp.Or(auth.TenantName, project.ProjectName)})
	fill(group{&l.ProjectDomainID, project.DomainID}, group{&l.ProjectDomainName, project.DomainName})
	fill(group{&l.ProjectDomainID, l.UserDomainID}, group{&l.ProjectDomainName, l.UserDomainName})
	return l, nil
}

// group is a setting, and its value in clouds.yaml.
type group struct {
	to   *string
	from string
}

// fill takes settings that belong together from clouds.yaml, if none of them is set.
func fill(settings ...group) {
	for _, setting := range settings {
		if *setting.to != "" {
			return
		}
	}
	for _, setting := range settings {
		*setting.to = setting.from
	}
}

// options returns the login in gophercloud's form. The token is renewed when it expires.
func (l Login) options() gophercloud.AuthOptions {
	options := gophercloud.AuthOptions{IdentityEndpoint: l.AuthURL, AllowReauth: true}
	if l.usesCredential() {
		options.ApplicationCredentialID, options.ApplicationCredentialSecret = l.ApplicationCredentialID, l.ApplicationCredentialSecret
		if l.ApplicationCredentialID != "" {
			return options
		}
		options.ApplicationCredentialName = l.ApplicationCredentialName
	} else {
		options.Password = l.Password
		scope := &gophercloud.AuthScope{ProjectID: l.ProjectID}
		if l.ProjectID == "" {
			scope.ProjectName, scope.DomainID, scope.DomainName = l.ProjectName, l.ProjectDomainID, l.ProjectDomainName
			if scope.DomainID != "" {
				scope.DomainName = ""
			}
		}
		options.Scope = scope
	}
	if options.UserID = l.UserID; options.UserID == "" {
		options.Username, options.DomainID, options.DomainName = l.UserName, l.UserDomainID, l.UserDomainName
		if options.DomainID != "" {
			options.DomainName = ""
		}
	}
	return options
}

// readCACert returns the content of cacert_file, nil without one.
func (l Login) readCACert() ([]byte, error) {
	if l.CACertFile == "" {
		return nil, nil
	}
	about, err := os.Stat(l.CACertFile)
	if err == nil && (!about.Mode().IsRegular() || about.Size() > maxCACert) {
		err = fmt.Errorf("%s is not a regular file of at most %d bytes", l.CACertFile, maxCACert)
	}
	if err != nil {
		return nil, &LoginError{Unsupported: []string{"cacert_file (OS_CACERT): " + err.Error()}}
	}
	return os.ReadFile(l.CACertFile)
}

// maxCACert bounds cacert_file, in bytes.
const maxCACert = 16 << 20
