package provider_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

const serverConfig = `openstack = {
    availability_zone = "nova"
    flavor_id = "f"
    network_mappings = [{ mac = "00:50:56:a1:b2:c3", network_id = "n", subnet_id = "s" }]
  }
  cutover = true`

// openStackVariables returns what a run of migratekit got of OpenStack.
func openStackVariables(environment map[string]string) map[string]string {
	got := maps.Clone(environment)
	maps.DeleteFunc(got, func(name, _ string) bool { return !strings.HasPrefix(name, "OS_") })
	return got
}

// migratekit gets the login in the form that it accepts, whatever form was given where. The sources are not mixed.
func TestOpenStackLogin(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	block := fmt.Sprintf(`openstack = {
    auth_url            = %q
    region              = %q
    user_name           = %q
    password            = %q
    user_domain_name    = %q
    project_name        = %q
    project_domain_name = %q
  }`, e.cloud.AuthURL(), openstacktest.Region, openstacktest.UserName, openstacktest.Password, openstacktest.Domain, openstacktest.Project, openstacktest.Domain)
	cycle := func(run, provider string) string {
		return provider + replicationConfig("openstack = {}\ntriggers = { run = "+run+" }")
	}
	fromVariables := cycle("1", e.provider())
	for name := range openStackVariables(e.env) {
		delete(e.env, name)
	}
	e.env["OS_REGION_NAME"], e.env["OS_CLOUD"] = "Elsewhere", "elsewhere" // of another source
	fromBlock := cycle("2", e.provider(block))
	wrong := cycle("3", e.provider(strings.ReplaceAll(block, openstacktest.Password, "wr0ng-s3cret")))
	token := cycle("3", e.provider(strings.Replace(block, "password  ", "password = null #", 1)))
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: fromVariables},
			{Config: fromBlock},
			{Config: wrong, ExpectError: words("Unable to Log In to OpenStack")},
			{Config: token, ExpectError: words("it has no OS_PASSWORD")},
		},
	})
	want := map[string]string{
		"OS_AUTH_URL": e.cloud.AuthURL(), "OS_REGION_NAME": openstacktest.Region, "OS_USERID": openstacktest.UserID,
		"OS_PASSWORD": openstacktest.Password, "OS_PROJECT_ID": openstacktest.ProjectID,
	}
	runs := e.runs(t)
	if len(runs) != 2 {
		t.Fatalf("migratekit ran %d times", len(runs))
	}
	for _, run := range runs {
		if got := openStackVariables(run.Env); !maps.Equal(got, want) {
			t.Errorf("migratekit got %v\nwant %v", got, want)
		}
	}
}

// If OpenStack cannot be reached, a cycle goes on with a warning, and a cutover does not begin.
func TestOpenStackUnreachable(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{PreConfig: func() { e.cloud.Refuse(http.MethodGet, "/os-quota-sets/", http.StatusServiceUnavailable) }, Config: e.provider() + replicationConfig("openstack = {}")},
			// In a form that migratekit does not accept, the login cannot be passed on.
			{Config: strings.ReplaceAll(e.provider(), "OS_DOMAIN_NAME =", fmt.Sprintf("OS_PROJECT_DOMAIN_NAME = %q\n    OS_USER_DOMAIN_NAME =", openstacktest.Domain)) + replicationConfig("openstack = {}\ntriggers = { run = 2 }"), PlanOnly: true, ExpectNonEmptyPlan: true, PreConfig: func() { e.cloud.Answer(http.StatusServiceUnavailable) }},
			{Config: e.provider() + replicationConfig(serverConfig), ExpectError: words("Unable to Connect to OpenStack")},
			{PreConfig: func() { e.cloud.Answer(0); e.cloud.Refuse(http.MethodGet, "/os-quota-sets/", 0) }, Config: e.provider() + replicationConfig(serverConfig)},
		},
	})
	var commands []string
	for _, run := range e.runs(t) {
		commands = append(commands, run.Args[0])
	}
	if !slices.Equal(commands, []string{"migrate", "cutover"}) {
		t.Errorf("runs: %v", commands)
	}
}

func TestOpenStackVolumesDataSource(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.cloud.AddVolume(openstacktest.Volume{Name: "foreign", Status: "available"})
	e.cloud.AddVolume(openstacktest.Volume{ID: "v1", Name: "web01-2000", Status: "in-use", SizeGiB: 3, Servers: []string{"s1"}, Metadata: map[string]string{
		"migrate_kit": "true", "vm": "vm-42", "disk": "2000", "change_id": "a/1",
	}})
	config := "data \"vma_openstack_volumes\" \"all\" {}\n"
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{
				Config: e.provider() + config,
				ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownValue("data.vma_openstack_volumes.all", tfjsonpath.New("volumes"),
					knownvalue.ListExact([]knownvalue.Check{knownvalue.ObjectExact(map[string]knownvalue.Check{
						"id": knownvalue.StringExact("v1"), "name": knownvalue.StringExact("web01-2000"), "status": knownvalue.StringExact("in-use"),
						"size_gib": knownvalue.Int64Exact(3), "vm_moid": knownvalue.StringExact("vm-42"), "device_key": knownvalue.StringExact("2000"),
						"change_id": knownvalue.StringExact("a/1"), "cycle_ended_at": knownvalue.Null(),
						"attached_to": knownvalue.ListExact([]knownvalue.Check{knownvalue.StringExact("s1")}),
					})}))},
			},
			{PreConfig: func() { e.cloud.Answer(http.StatusBadGateway) }, Config: e.provider() + config, ExpectError: words("Unable to Connect to OpenStack")},
		},
	})
}

// All mistakes of a plan are shown at once, each at its attribute: as errors of a cutover, and as warnings before it.
func TestOpenStackMistakes(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	config := func(cutover bool) string {
		return e.provider() + replicationConfig(fmt.Sprintf(`openstack = {
    availability_zone  = "nova"
    flavor_id          = "huge"
    security_group_ids = ["g1", "nobody"]
    network_mappings   = [
      { mac = "00:50:56:a1:b2:c1", network_id = "n", subnet_id = "s1" },
      { mac = "00:50:56:a1:b2:c2", network_id = "n9", subnet_id = "s" },
      { mac = "00:50:56:a1:b2:c3", network_id = "n1", subnet_id = "s1", ip = "10.9.9.9" },
      { mac = "00:50:56:a1:b2:c4", network_id = "n1", subnet_id = "s1", ip = "10.0.0.1" },
    ]
  }
  cutover = %t`, cutover))
	}
	step := func(attribute string) resource.TestStep {
		return resource.TestStep{Config: config(true), PlanOnly: true, ExpectError: words("Invalid openstack." + attribute)}
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			step("flavor_id"), step("security_group_ids[1]"), step("network_mappings[0].subnet_id"), step("network_mappings[1].network_id"),
			step("network_mappings[2].ip"), step("network_mappings[3].ip"),
			{Config: config(false)}, // weeks before the cutover
		},
	})
}

// Without a login, as on HCP Terraform, a plan relies on the state and warns. The apply needs one.
func TestPlanWithoutALogin(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	cycle := func(run int) string {
		return e.provider() + replicationConfig(fmt.Sprintf("openstack = { availability_zone = \"mars\" }\ntriggers = { run = %d }", run))
	}
	refused := cycle(1)
	for name := range openStackVariables(e.env) {
		delete(e.env, name)
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: refused, PlanOnly: true, ExpectError: words("no availability zone of Cinder")},
			{Config: cycle(1), PlanOnly: true, ExpectNonEmptyPlan: true},
			{Config: cycle(1), ExpectError: words("Missing OpenStack Environment")},
		},
	})
	e.untouched(t)
}
