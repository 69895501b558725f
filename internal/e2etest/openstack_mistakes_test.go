package e2etest

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// A plan with nine mistakes shows all of them at once, each at its attribute. Before the cutover they are warnings, except for what the next cycle needs.
func TestPlanShowsAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	vcenter, err := vspheretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	macs := []string{"00:50:56:00:00:01", "00:50:56:00:00:02", "00:50:56:00:00:03", "00:50:56:00:00:04", "00:50:56:00:00:05"}
	if _, err := vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/web01", MACs: macs}); err != nil {
		t.Fatal(err)
	}
	w, _ := replicated(t, vcenter, "")
	cloud := w.useOpenStack()
	cloud.Add(openstacktest.Network, "m", "lan").AddSubnet("t", "m", "10.2.0.0/24", "10.2.0.1")
	cloud.AddPort(openstacktest.Port{Network: "n", Subnet: "s", MAC: "fa:16:3e:00:00:01", IP: "10.1.0.7", Owner: "compute:nova", Device: "another"})
	cloud.SetQuotas(func(q *openstacktest.Quotas) { q.Volumes = 0 })
	write := func(cutover bool) {
		w.write(filepath.Join(w.dir, "main.tf"), fmt.Sprintf(requiresVMA+`
resource "vma_replication" "web" {
  vm_path = "/DC0/vm/web01"
  cutover = %t
  openstack = {
    availability_zone  = "nova"
    flavor_id          = "m9.huge"
    security_group_ids = ["nobody"]
    network_mappings = [
      { mac = "00:50:56:00:00:01", network_id = "nowhere", subnet_id = "s" },
      { mac = "00:50:56:00:00:02", network_id = "n", subnet_id = "t" },
      { mac = "00:50:56:00:00:03", network_id = "n", subnet_id = "s", ip = "10.9.9.9" },
      { mac = "00:50:56:00:00:04", network_id = "n", subnet_id = "s", ip = "10.1.0.7" },
      { mac = "00:50:56:99:99:99", network_id = "n", subnet_id = "s" },
    ]
  }
}
`, cutover))
	}
	mistakes := []struct {
		at, text string
		always   bool
	}{
		{"openstack.flavor_id", `no flavor "m9.huge"`, false},
		{"openstack.network_mappings[0].network_id", `no network "nowhere"`, false},
		{"openstack.network_mappings[1].subnet_id", "belongs to the network m", false},
		{"openstack.network_mappings[2].ip", "10.9.9.9 is not in the subnet", false},
		{"openstack.network_mappings[3].ip", "10.1.0.7 is taken by the port", false},
		{"", "no network card with the MAC address 00:50:56:99:99:99", false}, // a warning always
		{"openstack.network_mappings", "network cards without a mapping", false},
		{"openstack.security_group_ids[0]", `no security group "nobody"`, false},
		{"openstack", "The quota of the project is 0 volumes", true},
	}
	write(true)
	output := words(w.terraform(1, "plan"))
	for _, mistake := range mistakes {
		title := "Error: Invalid " + mistake.at + " "
		if !strings.Contains(output, mistake.text) || (mistake.at != "" && !strings.Contains(output, title)) {
			t.Errorf("no %q with %q in\n%s", title, mistake.text, output)
		}
	}
	write(false)
	output = words(w.terraform(1, "plan"))
	if n := len(regexp.MustCompile("Error: ").FindAllString(output, -1)); n != 1 || !strings.Contains(output, "Error: Invalid openstack with") {
		t.Errorf("%d errors before the cutover:\n%s", n, output)
	}
	cloud.SetQuotas(func(q *openstacktest.Quotas) { q.Volumes = -1 })
	w.terraform(0, "plan")
}
