package openstack

import (
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
)

func startCloud(t *testing.T) *openstacktest.Cloud {
	t.Helper()
	cloud := openstacktest.Start()
	t.Cleanup(cloud.Close)
	return cloud
}

func newClient(t *testing.T, variables map[string]string) *Client {
	t.Helper()
	login, ok := FromEnvironment(func(name string) string { return variables[name] })
	if !ok {
		t.Fatal("no login")
	}
	return NewClient(login, "test")
}

// Whatever form a login has, migratekit gets the one that it accepts.
func TestEnvironmentIsCanonical(t *testing.T) {
	t.Parallel()
	cloud := startCloud(t)
	url := map[string]string{"OS_AUTH_URL": cloud.AuthURL(), "OS_REGION_NAME": openstacktest.Region}
	password := map[string]string{"OS_USERID": openstacktest.UserID, "OS_PASSWORD": openstacktest.Password, "OS_PROJECT_ID": openstacktest.ProjectID}
	for name, test := range map[string]struct{ given, want map[string]string }{
		"names and one domain": {
			map[string]string{"OS_USERNAME": openstacktest.UserName, "OS_PASSWORD": openstacktest.Password, "OS_DOMAIN_NAME": openstacktest.Domain, "OS_PROJECT_NAME": openstacktest.Project},
			password,
		},
		"the file that Horizon offers": {
			map[string]string{
				"OS_USERNAME": openstacktest.UserName, "OS_PASSWORD": openstacktest.Password, "OS_USER_DOMAIN_NAME": openstacktest.Domain, "OS_PROJECT_DOMAIN_ID": openstacktest.DomainID,
				"OS_PROJECT_ID": openstacktest.ProjectID, "OS_PROJECT_NAME": openstacktest.Project, "OS_INTERFACE": "public", "OS_IDENTITY_API_VERSION": "3",
			},
			password,
		},
		"a user's ID with the underscore": {
			map[string]string{"OS_USER_ID": openstacktest.UserID, "OS_PASSWORD": openstacktest.Password, "OS_PROJECT_NAME": openstacktest.Project, "OS_PROJECT_DOMAIN_NAME": openstacktest.Domain},
			password,
		},
		"both domains": {
			map[string]string{"OS_USERNAME": openstacktest.UserName, "OS_PASSWORD": openstacktest.Password, "OS_DOMAIN_NAME": openstacktest.Domain, "OS_DOMAIN_ID": openstacktest.DomainID, "OS_PROJECT_ID": openstacktest.ProjectID},
			password,
		},
		"an application credential": {
			map[string]string{"OS_APPLICATION_CREDENTIAL_ID": openstacktest.Credential, "OS_APPLICATION_CREDENTIAL_SECRET": openstacktest.CredentialSecret, "OS_PROJECT_ID": "ignored"},
			map[string]string{"OS_APPLICATION_CREDENTIAL_ID": openstacktest.Credential, "OS_APPLICATION_CREDENTIAL_SECRET": openstacktest.CredentialSecret},
		},
		"an application credential by name": {
			map[string]string{"OS_APPLICATION_CREDENTIAL_NAME": openstacktest.CredentialName, "OS_APPLICATION_CREDENTIAL_SECRET": openstacktest.CredentialSecret, "OS_USERNAME": openstacktest.UserName, "OS_USER_DOMAIN_NAME": openstacktest.Domain},
			map[string]string{"OS_USERID": openstacktest.UserID, "OS_APPLICATION_CREDENTIAL_NAME": openstacktest.CredentialName, "OS_APPLICATION_CREDENTIAL_SECRET": openstacktest.CredentialSecret},
		},
		"a password beside a credential": {
			map[string]string{"OS_APPLICATION_CREDENTIAL_ID": "x", "OS_USERID": openstacktest.UserID, "OS_PASSWORD": openstacktest.Password, "OS_PROJECT_ID": openstacktest.ProjectID},
			password,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given, want := maps.Clone(url), maps.Clone(url)
			maps.Copy(given, test.given)
			maps.Copy(want, test.want)
			got, err := newClient(t, given).Environment(t.Context())
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("%v, %v\nwant %v", got, err, want)
			}
		})
	}
}

func TestCloudOfCloudsYAML(t *testing.T) {
	cloud := startCloud(t)
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	content := "clouds:\n  landing:\n    region_name: " + openstacktest.Region + "\n    auth:\n      auth_url: " + cloud.AuthURL() +
		"\n      username: " + openstacktest.UserName + "\n      password: " + openstacktest.Password +
		"\n      project_name: " + openstacktest.Project + "\n      user_domain_name: " + openstacktest.Domain + "\n      project_domain_name: " + openstacktest.Domain + "\n"
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OS_CLIENT_CONFIG_FILE", file)
	environment, err := newClient(t, map[string]string{"OS_CLOUD": "landing"}).Environment(t.Context())
	if err != nil || environment["OS_USERID"] != openstacktest.UserID || environment["OS_PROJECT_ID"] != openstacktest.ProjectID {
		t.Errorf("%v, %v", environment, err)
	}
	if _, err := newClient(t, map[string]string{"OS_CLOUD": "elsewhere"}).Environment(t.Context()); !isLoginError(err, "elsewhere") {
		t.Error(err)
	}
}

func isLoginError(err error, word string) bool {
	login, ok := errors.AsType[*LoginError](err)
	return ok && strings.Contains(login.Error(), word)
}

// Forms that cannot be used are refused by name, without a call.
func TestLoginIsRefusedByName(t *testing.T) {
	t.Parallel()
	cloud := startCloud(t)
	for variable, remove := range map[string]bool{
		"OS_TOKEN": false, "OS_PASSCODE": false, "OS_SYSTEM_SCOPE": false, "OS_ACCESS_TOKEN": false,
		"OS_AUTH_URL": true, "OS_USERNAME": true, "OS_PASSWORD": true,
	} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			environment := cloud.Environment()
			if environment[variable] = "x"; remove {
				delete(environment, variable)
			}
			if _, err := newClient(t, environment).Environment(t.Context()); !isLoginError(err, variable) {
				t.Error(err)
			}
		})
	}
	t.Run("OS_CACERT", func(t *testing.T) {
		t.Parallel()
		environment := cloud.Environment()
		environment["OS_CACERT"] = t.TempDir()
		if _, err := newClient(t, environment).Environment(t.Context()); !isLoginError(err, "OS_CACERT") {
			t.Error(err)
		}
	})
}

// A refusal is told from an outage.
func TestErrorsOfTheCloud(t *testing.T) {
	t.Parallel()
	cloud := startCloud(t)
	wrong := cloud.Environment()
	wrong["OS_PASSWORD"] = "wrong"
	elsewhere := cloud.Environment()
	elsewhere["OS_REGION_NAME"] = "Nowhere"
	for name, environment := range map[string]map[string]string{"password": wrong, "region": elsewhere} {
		if _, err := newClient(t, environment).Volumes(t.Context()); !is[*AuthError](err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	before := cloud.Calls()["POST /identity/v3/auth/tokens"]
	refused := newClient(t, wrong)
	for range 20 {
		_, _ = refused.Volumes(t.Context())
	}
	if n := cloud.Calls()["POST /identity/v3/auth/tokens"] - before; n != 1 {
		t.Errorf("a refused password was sent %d times", n)
	}
	page := cloud.Environment()
	page["OS_AUTH_URL"] = strings.TrimSuffix(cloud.AuthURL(), "/identity/v3") + "/dashboard/v3"
	if _, err := newClient(t, page).Volumes(t.Context()); !is[*AuthError](err) {
		t.Errorf("an address that is no Keystone: %v", err)
	}
	nobody := cloud.Environment()
	nobody["OS_AUTH_URL"] = "http://127.0.0.1:1/v3"
	if _, err := newClient(t, nobody).Volumes(t.Context()); !is[*UnreachableError](err) {
		t.Error(err)
	}
	cloud.Answer(http.StatusServiceUnavailable)
	client := newClient(t, cloud.Environment())
	for range 10 {
		if _, err := client.Volumes(t.Context()); !is[*UnreachableError](err) {
			t.Error(err)
		}
	}
	if logins := cloud.Calls()["POST /identity/v3/auth/tokens"]; logins > 4 {
		t.Errorf("%d logins during an outage", logins)
	}
	client.session.until, client.lists = time.Time{}, client.lists.anew() // later
	cloud.Answer(0)
	if _, err := client.Volumes(t.Context()); err != nil {
		t.Error(err)
	}
}

// A certificate is verified, unless the login is insecure. cacert_file is trusted beside the system's roots.
func TestCertificate(t *testing.T) {
	t.Parallel()
	cloud := openstacktest.StartTLS()
	t.Cleanup(cloud.Close)
	open := func(name, value string) (*Client, error) {
		environment := cloud.Environment()
		environment[name] = value
		client := newClient(t, environment)
		_, err := client.Volumes(t.Context())
		return client, err
	}
	if _, err := open("", ""); !is[*TrustError](err) {
		t.Errorf("an unknown certificate: %v", err)
	}
	if _, err := open("OS_INSECURE", "true"); err != nil {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, cloud.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := open("OS_CACERT", file)
	if err != nil {
		t.Fatal(err)
	}
	if trusted, err := client.TrustedCAs(t.Context()); err != nil || string(trusted) != string(cloud.CA()) {
		t.Errorf("%s, %v", trusted, err)
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// All pages are read, and only migratekit's volumes are returned. An expired token is renewed.
func TestVolumes(t *testing.T) {
	t.Parallel()
	cloud := startCloud(t)
	cloud.SetPageSize(2)
	cloud.AddVolume(openstacktest.Volume{Name: "foreign"})
	for _, name := range []string{"c", "a", "b"} {
		cloud.AddVolume(openstacktest.Volume{Name: name, Status: "available", SizeGiB: 3, Servers: []string{"s1"}, Metadata: map[string]string{
			"migrate_kit": "true", "vm": "vm-" + name, "disk": "2000", "change_id": "e/1", "vma_cycle_ended_at": "2026-11-26T01:02:03Z",
		}})
	}
	client := newClient(t, cloud.Environment())
	for range 2 {
		volumes, err := client.Volumes(t.Context())
		if err != nil || len(volumes) != 3 {
			t.Fatalf("%v, %v", volumes, err)
		}
		first := volumes[0]
		if first.Name != "a" || first.VMMoid != "vm-a" || first.DeviceKey != "2000" || first.ChangeID != "e/1" || first.SizeGiB != 3 ||
			first.Status != "available" || len(first.AttachedTo) != 1 || first.CycleEndedAt != "2026-11-26T01:02:03Z" {
			t.Errorf("%+v", first)
		}
		cloud.ExpireTokens()
		client.lists = client.lists.anew()
	}
	if logins := cloud.Calls()["POST /identity/v3/auth/tokens"]; logins != 2 {
		t.Errorf("%d logins", logins)
	}
}

// What is set beside a cloud wins over its entry, with all that belongs together: an ID of the entry does not win over a name that is set.
func TestCloudEntryIsFilledByGroups(t *testing.T) {
	entry := "clouds:\n  prod:\n    region_name: R\n    auth:\n      auth_url: https://keystone\n      user_id: entry-user\n      password: entry-password\n      project_id: entry-project\n      project_domain_id: entry-domain\n"
	file := filepath.Join(t.TempDir(), "clouds.yaml")
	if err := os.WriteFile(file, []byte(entry), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OS_CLIENT_CONFIG_FILE", file)
	for name, test := range map[string]struct{ given, want Login }{
		"nothing": {Login{}, Login{UserID: "entry-user", Password: "entry-password", ProjectID: "entry-project"}},
		"a project by name": {
			Login{ProjectName: "migration", ProjectDomainName: "d"}, Login{UserID: "entry-user", Password: "entry-password", ProjectName: "migration", ProjectDomainName: "d"},
		},
		"a user by name": {
			Login{UserName: "me", UserDomainName: "d", Password: "mine"}, Login{UserName: "me", UserDomainName: "d", Password: "mine", ProjectID: "entry-project"},
		},
		"an application credential": {
			Login{ApplicationCredentialID: "c", ApplicationCredentialSecret: "s"}, Login{UserID: "entry-user", ApplicationCredentialID: "c", ApplicationCredentialSecret: "s", ProjectID: "entry-project"},
		},
	} {
		test.given.Cloud = "prod"
		got, err := test.given.complete()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got.UserID != test.want.UserID || got.UserName != test.want.UserName || got.Password != test.want.Password || got.ProjectID != test.want.ProjectID || got.ProjectName != test.want.ProjectName ||
			got.ApplicationCredentialID != test.want.ApplicationCredentialID || (test.want.ProjectDomainName != "" && (got.ProjectDomainName != test.want.ProjectDomainName || got.ProjectDomainID != "")) || got.Region != "R" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
