package openstack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
)

// furnished returns a cloud with something of each kind.
func furnished(t *testing.T) *openstacktest.Cloud {
	t.Helper()
	return startCloud(t).Add(openstacktest.Flavor, "f1", "m1.small").Add(openstacktest.Network, "n1", "lan").Add(openstacktest.Network, "n2", "dmz").
		AddSubnet("s1", "n1", "10.0.0.0/24", "10.0.0.1").AddSubnet("s2", "n2", "10.1.0.0/24", "10.1.0.1").Add(openstacktest.SecurityGroup, "g1", "web")
}

func fine() Request {
	return Request{
		Cutover: true, AvailabilityZone: "nova", VolumeType: "ssd", FlavorID: "f1", SecurityGroupIDs: []string{"g1"},
		Networks: []NetworkRequest{{"00:50:56:00:00:01", "n1", "s1", "10.0.0.5"}, {"00:50:56:00:00:02", "n2", "s2", ""}},
		Name:     "web01", Moid: "vm-1", Disks: []DiskRequest{{2000, "Hard disk 1", 10 << 30}},
	}
}

// Each mistake is found at its attribute, says what exists instead, and is an error for what needs it now.
func TestCheck(t *testing.T) {
	t.Parallel()
	client := newClient(t, furnished(t).Environment())
	for name, test := range map[string]struct {
		change func(r *Request)
		at     string
		text   string
		always bool // an error without a cutover, too
	}{
		"zone":                   {func(r *Request) { r.AvailabilityZone = "mars" }, "[openstack availability_zone]", `no availability zone of Cinder "mars". It has nova.`, true},
		"volume type":            {func(r *Request) { r.VolumeType = "hdd" }, "[openstack volume_type]", "(ssd)", true},
		"flavor":                 {func(r *Request) { r.FlavorID = "f2" }, "[openstack flavor_id]", "f1 (m1.small)", false},
		"the name of a flavor":   {func(r *Request) { r.FlavorID = "m1.small" }, "[openstack flavor_id]", `write "f1"`, false},
		"a small flavor":         {func(r *Request) { r.CPUs = 8 }, "[openstack flavor_id]", "2 CPUs and 4096 MiB, and the source has 8 CPUs", false},
		"network":                {func(r *Request) { r.Networks[0].NetworkID = "n9" }, "[openstack network_mappings 0 network_id]", "n1 (lan)", false},
		"subnet":                 {func(r *Request) { r.Networks[1].SubnetID = "s9" }, "[openstack network_mappings 1 subnet_id]", "s2 (subnet of n2 10.1.0.0/24)", false},
		"subnet of another":      {func(r *Request) { r.Networks[1].SubnetID = "s1" }, "[openstack network_mappings 1 subnet_id]", "belongs to the network n1", false},
		"address out of range":   {func(r *Request) { r.Networks[0].IP = "10.1.0.5" }, "[openstack network_mappings 0 ip]", "10.0.0.0/24", false},
		"address of the gateway": {func(r *Request) { r.Networks[0].IP = "10.0.0.1" }, "[openstack network_mappings 0 ip]", "gateway", false},
		"one address twice":      {func(r *Request) { r.Networks[1] = r.Networks[0] }, "[openstack network_mappings 1 ip]", "mapping 0", false},
		"security group":         {func(r *Request) { r.SecurityGroupIDs = []string{"g1", "g2"} }, "[openstack security_group_ids 1]", "g1 (web)", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, cutover := range []bool{true, false} {
				request := fine()
				test.change(&request)
				request.Cutover = cutover
				report, err := client.Check(t.Context(), request)
				if err != nil || len(report.Problems) == 0 {
					t.Fatalf("%v, %v", report, err)
				}
				first := report.Problems[0]
				if fmt.Sprint(first.At) != test.at || !strings.Contains(first.Text, test.text) || first.Error != ((cutover && name != "a small flavor") || test.always) {
					t.Errorf("cutover %t: %+v", cutover, first)
				}
			}
		})
	}
}

// The lists are read once for all VMs, and only those that are needed.
func TestCheckCountsItsCalls(t *testing.T) {
	t.Parallel()
	cloud := furnished(t)
	client := newClient(t, cloud.Environment())
	for range 200 {
		if report, err := client.Check(t.Context(), fine()); err != nil || len(report.Problems) > 0 {
			t.Fatalf("%v, %v", report, err)
		}
	}
	total := 0
	for _, n := range cloud.Calls() {
		total += n
	}
	if total > 14+1+2 { // one flavor, two networks
		t.Errorf("%d calls: %v", total, cloud.Calls())
	}
	cloud = furnished(t)
	if _, err := newClient(t, cloud.Environment()).Check(t.Context(), Request{VolumeType: "ssd"}); err != nil {
		t.Fatal(err)
	}
	for address := range cloud.Calls() {
		if strings.Contains(address, "/network/") || strings.Contains(address, "/compute/") {
			t.Errorf("called %s for nothing", address)
		}
	}
}

// What may not be read is not checked, and an outage is an error of its own.
func TestCheckWithoutRights(t *testing.T) {
	t.Parallel()
	cloud := furnished(t)
	cloud.Forbid(openstacktest.SecurityGroup)
	request := fine()
	request.SecurityGroupIDs = []string{"unknown"}
	report, err := newClient(t, cloud.Environment()).Check(t.Context(), request)
	if err != nil || len(report.Problems) != 1 || report.Problems[0].Error || !strings.HasPrefix(report.Problems[0].Text, "Not everything was checked: the security groups could not be listed: ") {
		t.Errorf("%+v, %v", report, err)
	}
	client := newClient(t, cloud.Environment())
	if _, err := client.Environment(t.Context()); err != nil {
		t.Fatal(err)
	}
	cloud.Answer(http.StatusBadGateway)
	if _, err := client.Check(t.Context(), request); !is[*UnreachableError](err) {
		t.Error(err)
	}
}
