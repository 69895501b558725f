package provider_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"

	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// words returns a pattern that allows line breaks between words.
func words(text string) *regexp.Regexp {
	parts := strings.Fields(text)
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile(strings.Join(parts, `\s+`))
}

func (e *estate) refused(t *testing.T, config, want string) {
	t.Helper()
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps:                    []resource.TestStep{{Config: config, PlanOnly: true, ExpectError: words(want)}},
	})
}

// untouched fails the test if vCenter was changed or migratekit was started.
func (e *estate) untouched(t *testing.T) {
	t.Helper()
	for _, method := range []string{"ReconfigVM_Task", "CreateSnapshot_Task", "RemoveSnapshot_Task"} {
		if n := e.Calls()[method]; n > 0 {
			t.Errorf("%s was called %d times", method, n)
		}
	}
	if runs := e.runs(t); len(runs) > 0 {
		t.Error("migratekit was started")
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}})
	t.Cleanup(func() { e.untouched(t) })
	cbt := func(lines string) string { return e.provider() + "resource \"vma_cbt\" \"web\" {\n" + lines + "\n}\n" }
	exports := func(list string) string {
		return e.provider() + replicationConfig(fmt.Sprintf("nbd = { exports = { %s } }", list))
	}
	good := fmt.Sprintf("nbd = { exports = { \"2000\" = %q } }", server.URI("web01-0"))
	openstack := "openstack = { availability_zone = \"nova\" }"
	moid := fmt.Sprintf("vm_moid = %q", vm.Moid())
	tests := map[string]struct{ config, want string }{
		"no name of the VM":              {cbt(""), "Exactly one of these attributes must be configured: [vm_path,vm_uuid,vm_moid]"},
		"two names of the VM":            {cbt("vm_path = \"/DC0/vm/a\"\n" + moid), "Exactly one of these attributes must be configured: [vm_path,vm_uuid,vm_moid]"},
		"two names, data source":         {e.provider() + "data \"vma_cbt_status\" \"x\" {\nvm_path = \"/DC0/vm/a\"\n" + moid + "\n}", "Exactly one of these attributes must be configured: [vm_path,vm_uuid,vm_moid]"},
		"a relative path":                {cbt(`vm_path = "DC0/vm/prod/web01"`), "\"DC0/vm/prod/web01\" is not absolute"},
		"a path without its vm folder":   {cbt(`vm_path = "/DC0/web01"`), "Invalid vm_path"},
		"a path that leads to a folder":  {cbt(`vm_path = "/DC0/vm/prod"`), "\"/DC0/vm/prod\" is a Folder, not a virtual machine"},
		"a path that leads nowhere":      {cbt(`vm_path = "/DC0/vm/prod/web99"`), "Virtual Machine Not Found"},
		"no UUID":                        {cbt(`vm_uuid = "web01"`), "\"web01\" is not a UUID"},
		"no managed object ID":           {cbt(`vm_moid = "/DC0/vm/web01"`), "Invalid vm_moid"},
		"on_destroy":                     {cbt("vm_path = \"/DC0/vm/a\"\non_destroy = \"remove\""), "on_destroy"},
		"both targets":                   {e.provider() + replicationConfig(good+"\n"+openstack), "Exactly one of these attributes must be configured: [openstack,nbd]"},
		"no target":                      {e.provider() + replicationConfig(""), "Exactly one of these attributes must be configured: [openstack,nbd]"},
		"an invalid NBD URI":             {exports(`"2000" = "web01-0"`), "Invalid nbd.exports"},
		"an NBD socket":                  {exports(`"2000" = "nbd+unix:///web01-0?socket=/run/nbd"`), "migratekit connects to 127.0.0.1 only"},
		"an NBD server with TLS":         {exports(`"2000" = "nbds://192.0.2.1:10808/web01-0"`), "migratekit connects to 127.0.0.1 only"},
		"an NBD server elsewhere":        {exports(`"2000" = "nbd://192.0.2.1:10808/web01-0"`), "migratekit connects to 127.0.0.1 only"},
		"two NBD ports":                  {exports(`"2000" = "nbd://127.0.0.1:1/a", "2001" = "nbd://127.0.0.1:2/b"`), "The exports have different ports: 1 (2000); 2 (2001)"},
		"one export for two disks":       {exports(`"2000" = "nbd://127.0.0.1:1/a", "2001" = "nbd://localhost:1/a"`), "The disks 2000 and 2001 have the same export"},
		"an export without a name":       {exports(`"2000" = "nbd://127.0.0.1:1/"`), "has no name of an export"},
		"a comma in an export":           {exports(`"2000" = "nbd://127.0.0.1:1/a,b"`), "Invalid nbd.exports"},
		"no export":                      {exports(""), "exports"},
		"no device key":                  {exports(`"disk1" = "nbd://127.0.0.1:1/a"`), "\"disk1\" is not a device key"},
		"a device key that the VM lacks": {exports(fmt.Sprintf(`"2007" = %q`, server.URI("web01-0"))), "has no disk with the device key 2007; its disks are 2000 (Hard disk 1)"},
		"cutover with nbd":               {e.provider() + replicationConfig(good+"\ncutover = true"), "A cutover is possible with openstack only"},
		"cutover without a server":       {e.provider() + replicationConfig(openstack+"\ncutover = true"), "openstack.flavor_id, openstack.network_mappings"},
		"arguments of the provider":      {e.provider() + replicationConfig(good+"\nextra_args = [\"--vmware-password=x\"]"), "\"--vmware-password\" is set by the provider itself"},
		"stop_grace":                     {e.provider() + replicationConfig(good+"\nstop_grace = \"5\""), "\"5\" is not a duration"},
		"stop_grace of no time":          {e.provider() + replicationConfig(good+"\nstop_grace = \"-5m\""), "\"-5m\" is no time at all"},
		"a timeout of no time":           {e.provider() + replicationConfig(good+"\ntimeouts = { create = \"0s\" }"), "Invalid timeouts.create"},
		"a timeout of less":              {cbt("vm_path = \"/DC0/vm/a\"\n timeouts = { create = \"-5m\" }"), "\"-5m\" is no time at all"},
		"a slash at the end":             {cbt(`vm_path = "/DC0/vm/a/"`), "without it: \"/DC0/vm/a\""},
		"an invalid MAC address":         {e.provider() + replicationConfig(strings.ReplaceAll(openstack, "openstack = {", "openstack = {\n network_mappings = [{ mac = \"m\", network_id = \"n\", subnet_id = \"s\" }]\n")), "\"m\" is not a MAC address"},
		"compression_method":             {e.provider() + replicationConfig(good+"\ncompression_method = \"gzip\""), "compression_method"},
		"a missing migratekit":           {strings.ReplaceAll(e.provider()+replicationConfig(good), e.migratekit, "/does/not/exist/migratekit"), "Invalid migratekit_path"},
		"OpenStack not configured":       {strings.ReplaceAll(e.provider()+replicationConfig(openstack), "OS_AUTH_URL", "NOT_OS_AUTH_URL"), "it has no OS_AUTH_URL"},
		"wrong credentials":              {strings.ReplaceAll(cbt(`vm_path = "/DC0/vm/a"`), vspheretest.Password, "wrong"), "Check username (VSPHERE_USER) and password (VSPHERE_PASSWORD)"},
		"an untrusted certificate":       {strings.ReplaceAll(cbt(`vm_path = "/DC0/vm/a"`), "thumbprint ", "# "), "or its own fingerprint in thumbprint (VSPHERE_THUMBPRINT)"},
		"an invalid fingerprint":         {strings.ReplaceAll(cbt(`vm_path = "/DC0/vm/a"`), e.Thumbprint(), "12:34"), "Invalid thumbprint"},
		"credentials in the address":     {strings.ReplaceAll(cbt(`vm_path = "/DC0/vm/a"`), e.URL.Host, "https://u:p@"+e.URL.Host), "Invalid vcenter"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.refused(t, test.config, test.want)
		})
	}
}

func TestUnreachableHostEndsWithinItsTimeout(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0") // it accepts connections and never answers
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	config := strings.ReplaceAll(e.provider(), e.URL.Host, listener.Addr().String())
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{{
			Config:      config + "data \"vma_cbt_status\" \"x\" {\n  vm_path = \"/DC0/vm/a\"\n  timeouts = { read = \"300ms\" }\n}\n",
			ExpectError: words("Check vcenter (VSPHERE_SERVER) of the provider"),
		}},
	})
}

// The provider block overrides the environment. Not parallel: the test sets environment variables.
func TestEnvironment(t *testing.T) {
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath})
	ca := filepath.Join(e.dir, "ca.pem")
	must(t, os.WriteFile(ca, e.CA(), 0o600))
	status := "data \"vma_cbt_status\" \"web\" {\n  vm_path = \"" + webPath + "\"\n}\n"
	step := func(config string, want *regexp.Regexp) resource.TestStep {
		return resource.TestStep{Config: config + status, ExpectError: want}
	}
	run := func(steps ...resource.TestStep) {
		resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: e.factories(t), Steps: steps})
	}
	run(step("provider \"vma\" {}\n", words("set it in the provider block, or VSPHERE_SERVER in the environment")))
	t.Setenv("VSPHERE_SERVER", e.URL.Host)
	t.Setenv("VSPHERE_USER", vspheretest.Username)
	run(step("provider \"vma\" {}\n", words("The provider needs password: set it in the provider block, or VSPHERE_PASSWORD")))
	t.Setenv("VSPHERE_PASSWORD", vspheretest.Password)
	run(step("provider \"vma\" {}\n", words("The certificate of vCenter")))
	t.Setenv("VSPHERE_CA_FILE", ca)
	run(step("provider \"vma\" {}\n", nil), step("provider \"vma\" {\n  password = \"wrong\"\n}\n", words("Unable to Log In to vCenter")))
	t.Setenv("VSPHERE_CA_FILE", "")
	t.Setenv("VSPHERE_THUMBPRINT", e.Thumbprint())
	run(step("provider \"vma\" {}\n", nil))
	t.Setenv("VSPHERE_THUMBPRINT", "")
	t.Setenv("VSPHERE_ALLOW_UNVERIFIED_SSL", "true")
	run(step("provider \"vma\" {}\n", nil), step("provider \"vma\" {\n  insecure = false\n}\n", words("The certificate of vCenter")))
	t.Setenv("VSPHERE_ALLOW_UNVERIFIED_SSL", "perhaps")
	run(step("provider \"vma\" {}\n", words("The environment variable VSPHERE_ALLOW_UNVERIFIED_SSL is \"perhaps\"")))

	t.Setenv("VSPHERE_ALLOW_UNVERIFIED_SSL", "YES")
	t.Setenv("VSPHERE_USER", vspheretest.Username+"\n")
	t.Setenv("VSPHERE_PASSWORD", vspheretest.Password+"\r\n")
	const emptyStrings = "provider \"vma\" {\n  vcenter = \"\"\n  username = \"\"\n  password = \"\"\n  thumbprint = \"\"\n  ca_file = \"\"\n  migratekit_path = \"\"\n}\n"
	run(step("provider \"vma\" {}\n", nil), step(emptyStrings, nil))
	t.Setenv("VSPHERE_PASSWORD", "\n")
	run(step("provider \"vma\" {}\n", words("The provider needs password")))
	t.Setenv("VSPHERE_PASSWORD", "pass\nword")
	run(step("provider \"vma\" {}\n", words("The value of password (VSPHERE_PASSWORD in the environment) has a control character")))
	t.Setenv("VSPHERE_PASSWORD", vspheretest.Password)
	t.Setenv("VSPHERE_ALLOW_UNVERIFIED_SSL", "")
	t.Setenv("VSPHERE_THUMBPRINT", "sha256 Fingerprint="+e.Thumbprint()+"\n")
	run(step("provider \"vma\" {}\n", nil))
	for variable, value := range map[string]string{"VSPHERE_THUMBPRINT": "12:34", "VSPHERE_SERVER": "http://vcenter.example.org", "VSPHERE_CA_FILE": e.dir} {
		before := os.Getenv(variable)
		t.Setenv(variable, value)
		run(step("provider \"vma\" {}\n", words(variable)))
		t.Setenv(variable, before)
	}
}

// A vm_uuid is the BIOS UUID. If it is the instance UUID of a VM, the error gives that VM's BIOS UUID.
func TestInstanceUUIDInPlaceOfTheBIOSUUID(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	const instance, bios = "50111111-2222-3333-4444-555555555555", "42111111-2222-3333-4444-555555555555"
	e.addVM(t, vspheretest.Spec{Path: webPath}).SetIdentity(instance, bios)
	e.refused(t, e.provider()+"resource \"vma_cbt\" \"web\" {\n  vm_uuid = \""+instance+"\"\n}\n", bios)
}

// A plan with unknown provider configuration neither connects nor fails.
func TestUnknownConfiguration(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath})
	e.cloud.Add(openstacktest.VolumeType, "t", e.URL.Host)
	config := "resource \"terraform_data\" \"host\" {\n  input = \"" + e.URL.Host + "\"\n}\n" +
		strings.ReplaceAll(e.provider(), fmt.Sprintf("%q", e.URL.Host), "terraform_data.host.output") +
		cbtConfig("") + replicationConfig("openstack = { volume_type = terraform_data.host.output }")
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config, PlanOnly: true, ExpectNonEmptyPlan: true},
			{Config: config},
		},
	})
	if len(e.runs(t)) != 1 {
		t.Errorf("migratekit ran %d times", len(e.runs(t)))
	}
}
