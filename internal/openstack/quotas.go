package openstack

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/quotasets"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/limits"
	novaquotas "github.com/gophercloud/gophercloud/v2/openstack/compute/v2/quotasets"
	networkquotas "github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/quotas"
)

// quota is one limit of the project; a negative one is none.
type quota struct {
	what        string
	limit, used int
}

// The quotas, by service. RAM is in MiB.
const (
	quotaVolumes   = "volumes"
	quotaGigabytes = "gigabytes"
	quotaInstances = "instances"
	quotaCores     = "cores"
	quotaRAM       = "MiB of RAM"
	quotaPorts     = "ports"
)

// The services that have quotas.
const (
	ofCinder = iota
	ofNova
	ofNeutron
)

func (l *lists) listQuotas(ctx context.Context, c *Client, service int) ([]quota, error) {
	return l.quotas[service].get(ctx, func() ([]quota, error) {
		s, err := c.open(ctx)
		if err != nil {
			return nil, err
		}
		readers := []func(context.Context, *session) ([]quota, error){cinderQuotas, novaQuotas, neutronQuotas}
		quotas, err := readers[service](ctx, s)
		if gophercloud.ResponseCodeIs(err, http.StatusNotFound) { // this cloud does not tell
			return []quota{}, nil
		}
		if err != nil {
			return nil, classifyList("quotas of "+[]string{"Cinder", "Nova", "Neutron"}[service], err)
		}
		return quotas, nil
	})
}

func cinderQuotas(ctx context.Context, s *session) ([]quota, error) {
	client, err := s.service("Cinder", openstack.NewBlockStorageV3)
	if err != nil {
		return nil, err
	}
	var body struct {
		Set map[string]any `json:"quota_set"`
	}
	if err := quotasets.GetUsage(ctx, client, s.projectID).ExtractInto(&body); err != nil {
		return nil, err
	}
	var quotas []quota
	for name, value := range body.Set { // "volumes", "gigabytes_ssd"
		fields, _ := value.(map[string]any)
		limit, ok := fields["limit"].(float64)
		used, _ := fields["in_use"].(float64)
		reserved, _ := fields["reserved"].(float64)
		what, kind, typed := strings.Cut(name, "_")
		if !ok || (what != quotaVolumes && what != quotaGigabytes) {
			continue
		}
		if typed {
			what += ofType(kind)
		}
		quotas = append(quotas, quota{what, int(limit), int(used + reserved)})
	}
	slices.SortFunc(quotas, func(a, b quota) int { return strings.Compare(a.what, b.what) })
	return quotas, nil
}

func ofType(kind string) string { return " of the type " + kind }

func novaQuotas(ctx context.Context, s *session) ([]quota, error) {
	client, err := s.service("Nova", openstack.NewComputeV2)
	if err != nil {
		return nil, err
	}
	found, err := limits.Get(ctx, client, nil).Extract()
	if gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		detail, err := novaquotas.GetDetail(ctx, client, s.projectID).Extract()
		if err != nil {
			return nil, err
		}
		return []quota{
			{quotaInstances, detail.Instances.Limit, detail.Instances.InUse + detail.Instances.Reserved},
			{quotaCores, detail.Cores.Limit, detail.Cores.InUse + detail.Cores.Reserved},
			{quotaRAM, detail.RAM.Limit, detail.RAM.InUse + detail.RAM.Reserved},
		}, nil
	}
	if err != nil {
		return nil, err
	}
	all := found.Absolute
	return []quota{
		{quotaInstances, all.MaxTotalInstances, all.TotalInstancesUsed},
		{quotaCores, all.MaxTotalCores, all.TotalCoresUsed},
		{quotaRAM, all.MaxTotalRAMSize, all.TotalRAMUsed},
	}, nil
}

func neutronQuotas(ctx context.Context, s *session) ([]quota, error) {
	client, err := s.service("Neutron", openstack.NewNetworkV2)
	if err != nil {
		return nil, err
	}
	found, err := networkquotas.GetDetail(ctx, client, s.projectID).Extract()
	if err != nil {
		return nil, err
	}
	return []quota{{quotaPorts, found.Port.Limit, found.Port.Used + found.Port.Reserved}}, nil
}

// needs are what the VMs that this process has seen need beyond what the project has, by managed object ID.
type needs struct {
	mu   sync.Mutex
	byVM map[string]Request
}

// add remembers a request, and returns all.
func (n *needs) add(request Request) []Request {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byVM == nil {
		n.byVM = map[string]Request{}
	}
	n.byVM[request.Moid] = request
	all := make([]Request, 0, len(n.byVM))
	for _, each := range n.byVM {
		all = append(all, each)
	}
	return all
}

// need returns what a VM needs of each quota, without what the project has by now.
func (r Request) need(known *facts) map[string]int {
	need := map[string]int{}
	var all []Volume
	for _, disk := range r.Disks {
		found := Of(known.volumes, r.Name, r.Moid, disk.Key)
		if len(found) == 0 {
			for _, kind := range []string{"", ofType(typeName(known.types, r.VolumeType))} {
				need[quotaVolumes+kind]++
				need[quotaGigabytes+kind] += disk.sizeGiB()
			}
		}
		all = append(all, found...)
	}
	if r.FlavorID == "" || ServerOf(all) != "" {
		return need
	}
	need[quotaInstances] = 1
	for _, flavor := range known.flavors {
		if flavor.id == r.FlavorID {
			need[quotaCores], need[quotaRAM] = flavor.cpus, flavor.memoryMB
		}
	}
	need[quotaPorts] = r.newPorts
	return need
}

func isOfVolumes(what string) bool {
	return strings.HasPrefix(what, quotaVolumes) || strings.HasPrefix(what, quotaGigabytes)
}

// typeName returns the name of a volume type that is given by name or ID.
func typeName(types []named, value string) string {
	for _, each := range types {
		if each.id == value {
			return each.name
		}
	}
	return value
}

// checkQuotas compares the quotas with what all VMs need that this process has seen. It reports those that this VM needs something of.
func (r Request) checkQuotas(known *facts, all []Request) []Problem {
	own, sum, several := r.need(known), map[string]int{}, len(all) > 1
	for _, each := range all {
		for what, n := range each.need(known) {
			// A server that is to be booted some day does not stand in the way of a cutover now.
			if isOfVolumes(what) || each.Cutover || !r.Cutover {
				sum[what] += n
			}
		}
	}
	var problems []Problem
	for _, each := range known.quotas {
		if each.limit < 0 || own[each.what] == 0 || each.used+sum[each.what] <= each.limit {
			continue
		}
		who := "this virtual machine needs"
		if several {
			who = fmt.Sprintf("the %d virtual machines seen so far, with this one, need", len(all))
		}
		fails := r.Cutover || isOfVolumes(each.what)
		problems = append(problems, Problem{At: []any{"openstack"}, Error: fails, Text: fmt.Sprintf(
			"The quota of the project is %d %s, of which %d are used, and %s %d more. Raise the quota, or delete what is not needed.", each.limit, each.what, each.used, who, sum[each.what])})
	}
	return problems
}
