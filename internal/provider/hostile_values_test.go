package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// Values inside collections are refused by attribute, before anything is written, and never as an error in the provider.
func TestHostileValues(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}})
	good := fmt.Sprintf("nbd = { exports = { \"2000\" = %q } }\n", server.URI("web01-0"))
	openstack := func(lines string) string {
		return e.provider() + replicationConfig("openstack = {\n"+lines+"\n}")
	}
	variable := func(line string) string {
		return strings.Replace(e.provider(), "migratekit_environment = {", "migratekit_environment = {\n"+line, 1)
	}
	mapping := func(line string) string {
		fields := map[string]string{"mac": `"00:50:56:a1:b2:c3"`, "network_id": `"n"`, "subnet_id": `"s"`}
		name, value, _ := strings.Cut(line, " = ")
		fields[name] = value
		var lines []string
		for name, value := range fields {
			lines = append(lines, name+" = "+value)
		}
		return openstack("network_mappings = [{ " + strings.Join(lines, ", ") + " }]")
	}
	for name, test := range map[string]struct{ config, want string }{
		"a null argument":               {e.provider() + replicationConfig(good+`extra_args = [null]`), "Element 0 of extra_args is null"},
		"an empty argument":             {e.provider() + replicationConfig(good+`extra_args = [""]`), "extra_args"},
		"an argument with a NUL":        {e.provider() + replicationConfig(good+`extra_args = ["a\u0000b"]`), "control character"},
		"a huge argument":               {e.provider() + replicationConfig(good+`extra_args = [join("", [for i in range(1024) : format("%0128d", i)])]`), "a process accepts"},
		"a null export":                 {e.provider() + replicationConfig(`nbd = { exports = { "2000" = null } }`), "The value of \"2000\" in nbd.exports is null"},
		"an empty export":               {e.provider() + replicationConfig(`nbd = { exports = { "2000" = "" } }`), "Invalid nbd.exports"},
		"a null mapping":                {openstack("network_mappings = [null]"), "Element 0 of openstack.network_mappings is null"},
		"an empty network":              {mapping(`network_id = ""`), "is not an ID"},
		"a comma in a network":          {mapping(`network_id = "a,b"`), "is not an ID"},
		"an equals sign in a subnet":    {mapping(`subnet_id = "ip=10.0.0.1"`), "is not an ID"},
		"an invalid IP":                 {mapping(`ip = "10.0.0"`), "is not an IP address"},
		"a null security group":         {openstack("security_group_ids = [null]"), "Element 0 of openstack.security_group_ids is null"},
		"an empty security group":       {openstack(`security_group_ids = [""]`), "is not an ID"},
		"a comma in a security group":   {openstack(`security_group_ids = ["a,b"]`), "is not an ID"},
		"an empty flavor":               {openstack(`flavor_id = ""`), "is not an ID"},
		"an empty zone":                 {openstack(`availability_zone = ""`), "empty string is not allowed"},
		"a line break in a type":        {openstack(`volume_type = "a\nb"`), "control character"},
		"a null variable":               {variable(`A = null`) + replicationConfig(good), "migratekit_environment"},
		"an impossible variable":        {variable(`"A=B" = "x"`) + replicationConfig(good), "cannot be the name of an environment variable"},
		"an empty variable name":        {variable(`"" = "x"`) + replicationConfig(good), "cannot be the name of an environment variable"},
		"a variable with a NUL":         {variable(`A = "a\u0000"`) + replicationConfig(good), "NUL"},
		"a control character in a path": {e.provider() + "resource \"vma_cbt\" \"x\" {\n  vm_path = \"/DC0/vm/a\\u0000b\"\n}\n", "control character"},
		"stall_timeout of no time":      {e.provider() + replicationConfig(good+`stall_timeout = "0s"`), "is no time at all"},
		"an unknown leftover policy":    {e.provider(`on_leftover_snapshot = "ask"`) + replicationConfig(good), "on_leftover_snapshot"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e.refused(t, test.config, test.want)
		})
	}
}
