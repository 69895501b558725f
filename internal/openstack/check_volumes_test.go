package openstack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
)

const here = "helper"

// copied is a volume of the disk 2000 of fine, as migratekit leaves it.
func copied() Volume {
	return Volume{
		ID: "v1", Name: "web01-2000", Status: "available", Type: "ssd", SizeGiB: 10, VMMoid: "vm-1", DeviceKey: "2000", ChangeID: "A/1", Bootable: true, UEFI: true,
	}
}

// What is wrong with a volume is found before migratekit is started, with the cure.
func TestCheckVolumes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(v *Volume, r *Request)
		want    string // part of the text, "" for no problem
		warning bool
	}{
		"fine":                          {func(*Volume, *Request) {}, "", false},
		"too small":                     {func(v *Volume, _ *Request) { v.SizeGiB = 9 }, "openstack volume set --size 10 v1", false},
		"larger":                        {func(v *Volume, _ *Request) { v.SizeGiB = 11 }, "", false},
		"not bootable":                  {func(v *Volume, _ *Request) { v.Bootable = false }, "openstack volume set --bootable v1", false},
		"a run died before that":        {func(v *Volume, _ *Request) { v.Bootable, v.ChangeID = false, "" }, "", false},
		"no UEFI":                       {func(v *Volume, r *Request) { v.UEFI, r.EFI = false, true }, "hw_firmware_type=uefi", false},
		"no UEFI, and no need":          {func(v *Volume, _ *Request) { v.UEFI = false }, "", false},
		"another type":                  {func(v *Volume, _ *Request) { v.Type = "hdd" }, `has the type "hdd"`, true},
		"error":                         {func(v *Volume, _ *Request) { v.Status = "error" }, "openstack volume show v1", false},
		"reserved":                      {func(v *Volume, r *Request) { v.Status, r.Starts = "reserved", true }, "--state available --detached v1", false},
		"extending":                     {func(v *Volume, _ *Request) { v.Status = "extending" }, "wait until it is available", true},
		"detaching, at plan":            {func(v *Volume, _ *Request) { v.Status = "detaching" }, `is "detaching"`, true},
		"detaching, at the start":       {func(v *Volume, r *Request) { v.Status, r.Starts = "detaching", true }, `is "detaching"`, false},
		"attached here by us":           {func(v *Volume, _ *Request) { v.AttachedTo, v.RunServer = []string{here}, here }, "", false},
		"attached here, server unknown": {func(v *Volume, _ *Request) { v.AttachedTo, v.RunStartedAt = []string{here}, "2026-11-26T01:02:03Z" }, "", false},
		"attached here by a killed":     {func(v *Volume, r *Request) { v.AttachedTo, r.Unfinished = []string{here}, true }, "", false},
		"attached here, unknown":        {func(v *Volume, _ *Request) { v.AttachedTo = []string{here} }, "by a run that is not known", false},
		"attached here, to detach":      {func(v *Volume, r *Request) { v.AttachedTo, r.Detach = []string{here}, true }, "", false},
		"attached elsewhere":            {func(v *Volume, r *Request) { v.AttachedTo, r.Detach = []string{"s2"}, true }, "is attached to the server s2", false},
		"attached here and there":       {func(v *Volume, r *Request) { v.AttachedTo, r.Detach = []string{here, "s2"}, true }, "is attached to the server", false},
		"attached, place is unknown":    {func(v *Volume, r *Request) { v.AttachedTo, r.Host = []string{here}, nil }, "The apply fails unless it runs there", true},
	} {
		request, volume := fine(), copied()
		request.Host = func(context.Context) (string, error) { return here, nil }
		test.change(&volume, &request)
		volume.Status = cmp.Or(volume.Status, "available")
		known := &facts{own: []Volume{volume}, types: []named{{"7a", "ssd"}}, host: here}
		if request.Host == nil {
			known.host = ""
		}
		problems := request.checkVolumes(known)
		if test.want == "" {
			if len(problems) > 0 {
				t.Errorf("%s: %v", name, problems)
			}
			continue
		}
		if len(problems) != 1 || !strings.Contains(problems[0].Text, test.want) || problems[0].Error == test.warning {
			t.Errorf("%s: %+v", name, problems)
		}
	}
	request := fine()
	if problems := request.checkVolumes(&facts{own: []Volume{copied(), copied()}}); len(problems) != 1 || !strings.Contains(problems[0].Text, "several volumes") {
		t.Errorf("two volumes: %v", problems)
	}
}

// Quotas are compared with what all VMs need that were seen, without what exists by now. What a cycle needs is an error, what a cutover needs only with one.
func TestCheckQuotas(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limit        func(q *openstacktest.Quotas)
		want         string
		needsCutover bool
	}{
		"volumes":             {func(q *openstacktest.Quotas) { q.Volumes = 1 }, "1 volumes, of which 0 are used, and the 2 virtual machines seen so far, with this one, need 2 more", false},
		"gigabytes":           {func(q *openstacktest.Quotas) { q.Gigabytes = 19 }, "19 gigabytes, of which 0 are used", false},
		"gigabytes of a type": {func(q *openstacktest.Quotas) { q.TypeGigabytes = map[string]int{"ssd": 19} }, "19 gigabytes of the type ssd", false},
		"instances":           {func(q *openstacktest.Quotas) { q.Instances = 1 }, "1 instances", true},
		"cores":               {func(q *openstacktest.Quotas) { q.Cores = 3 }, "3 cores", true},
		"memory":              {func(q *openstacktest.Quotas) { q.RAM = 8191 }, "8191 MiB of RAM", true},
		"ports":               {func(q *openstacktest.Quotas) { q.Ports = 3 }, "3 ports", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, cutover := range []bool{true, false} {
				cloud := furnished(t)
				cloud.SetQuotas(test.limit)
				client := newClient(t, cloud.Environment())
				first, second := fine(), fine()
				second.Name, second.Moid = "web02", "vm-2"
				for i := range second.Networks {
					second.Networks[i].MAC, second.Networks[i].IP = fmt.Sprintf("00:50:56:00:01:0%d", i), ""
				}
				first.Cutover, second.Cutover = cutover, cutover
				for range 2 { // Terraform plans a replacement twice
					if report, err := client.Check(t.Context(), first); err != nil || len(report.Problems) > 0 {
						t.Fatalf("one: %+v, %v", report, err)
					}
				}
				report, err := client.Check(t.Context(), second)
				if err != nil || len(report.Problems) != 1 || !strings.Contains(report.Problems[0].Text, test.want) || report.Problems[0].Error != (cutover || !test.needsCutover) {
					t.Errorf("cutover %t, two: %+v, %v", cutover, report, err)
				}
				// The first one has its volume by now.
				cloud.AddVolume(openstacktest.Volume{
					Name: "web01-2000", Status: "available", SizeGiB: 1, Type: "ssd", Bootable: true, Metadata: map[string]string{"migrate_kit": "true", "vm": "vm-1", "disk": "2000"},
				})
				client.lists = client.lists.anew()
				report, err = client.Check(t.Context(), second)
				if err != nil || (name == "gigabytes" && len(report.Problems) > 0) {
					t.Errorf("one has its volume: %+v, %v", report, err)
				}
			}
		})
	}
	// What servers of some day need is not in the way of a cutover now.
	cloud := furnished(t)
	cloud.SetQuotas(func(q *openstacktest.Quotas) { q.Instances = 1 })
	client := newClient(t, cloud.Environment())
	later, now := fine(), fine()
	later.Name, later.Moid, later.Cutover = "web02", "vm-2", false
	if _, err := client.Check(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if report, err := client.Check(t.Context(), now); err != nil || len(report.Problems) > 0 {
		t.Errorf("a cutover beside a cycle: %+v, %v", report, err)
	}
	// A cloud without the limits of Nova has its quotas.
	cloud = furnished(t)
	cloud.Refuse(http.MethodGet, "/limits", http.StatusNotFound)
	cloud.SetQuotas(func(q *openstacktest.Quotas) { q.Cores = 1 })
	if report, err := newClient(t, cloud.Environment()).Check(t.Context(), fine()); err != nil || len(report.Problems) != 1 || !strings.Contains(report.Problems[0].Text, "1 cores") {
		t.Errorf("without limits: %+v, %v", report, err)
	}
	cloud = furnished(t)
	cloud.Forbid(openstacktest.VolumeQuota)
	report, err := newClient(t, cloud.Environment()).Check(t.Context(), fine())
	if err != nil || len(report.Problems) != 1 || report.Problems[0].Error {
		t.Errorf("forbidden: %+v, %v", report, err)
	}
}

// A port with the card's MAC is used as it is, so it must be free and fit.
func TestCheckPorts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		port openstacktest.Port
		at   string
		text string
	}{
		"fits":                                {openstacktest.Port{Network: "n1", Subnet: "s1", MAC: "00:50:56:00:00:01", IP: "10.0.0.5", Groups: []string{"g1"}}, "", ""},
		"of a server":                         {openstacktest.Port{Network: "n1", Subnet: "s1", MAC: "00:50:56:00:00:01", IP: "10.0.0.5", Groups: []string{"g1"}, Owner: "compute:nova", Device: "x"}, "0 mac", "belongs to x"},
		"another address":                     {openstacktest.Port{Network: "n1", Subnet: "s1", MAC: "00:50:56:00:00:01", IP: "10.0.0.6", Groups: []string{"g1"}}, "0 ip", "has the address 10.0.0.6"},
		"another subnet":                      {openstacktest.Port{Network: "n1", Subnet: "s9", MAC: "00:50:56:00:00:01", IP: "10.0.0.5", Groups: []string{"g1"}}, "0 subnet_id", "no address in the subnet s1"},
		"other groups":                        {openstacktest.Port{Network: "n1", Subnet: "s1", MAC: "00:50:56:00:00:01", IP: "10.0.0.5", Groups: []string{"g9"}}, "security_group_ids", "the security groups g9"},
		"the same address, written otherwise": {openstacktest.Port{Network: "n1", Subnet: "s1", MAC: "00:50:56:00:00:01", IP: "::ffff:10.0.0.5", Groups: []string{"g1"}}, "", ""},
		"address is taken":                    {openstacktest.Port{Network: "n1", Subnet: "s1", MAC: "fa:16:3e:00:00:01", IP: "10.0.0.5"}, "0 ip", "10.0.0.5 is taken by the port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cloud := furnished(t)
			cloud.AddPort(test.port)
			report, err := newClient(t, cloud.Environment()).Check(t.Context(), fine())
			switch {
			case err != nil:
				t.Fatal(err)
			case test.at == "" && len(report.Problems) == 0:
			case len(report.Problems) != 1 || !strings.Contains(fmt.Sprint(report.Problems[0].At...), strings.ReplaceAll(test.at, " ", "")) && !strings.Contains(fmt.Sprint(report.Problems[0].At), test.at),
				!strings.Contains(report.Problems[0].Text, test.text), !report.Problems[0].Error:
				t.Errorf("%+v", report.Problems)
			}
		})
	}
}

// A server of the same name is a warning, and so is a token that ends too early, before the cutover.
func TestCheckServerAndToken(t *testing.T) {
	t.Parallel()
	cloud := furnished(t)
	cloud.AddServer(openstacktest.Server{Name: "web01", Status: "ACTIVE"})
	client := newClient(t, cloud.Environment())
	for _, cutover := range []bool{true, false} {
		request := fine()
		request.Cutover, request.Copying = cutover, 2*time.Hour // a token lives for one
		report, err := client.Check(t.Context(), request)
		if err != nil || len(report.Problems) != 2 || report.Problems[0].Error || !strings.Contains(report.Problems[0].Text, `a server "web01" already`) ||
			report.Problems[1].Error != cutover || !strings.Contains(report.Problems[1].Text, "a copy takes 2h0m0s") {
			t.Errorf("cutover %t: %+v, %v", cutover, report, err)
		}
	}
}

// When migratekit starts, its machine must be a server of the project. A plan does not ask.
func TestCheckHost(t *testing.T) {
	t.Parallel()
	cloud := furnished(t)
	client := newClient(t, cloud.Environment())
	for name, test := range map[string]struct {
		host string
		err  error
		want bool
	}{
		"a server":             {openstacktest.Helper, nil, true},
		"of another project":   {"elsewhere", nil, false},
		"no metadata service":  {"", errors.New("timeout"), false},
		"a metadata of others": {"", nil, false},
	} {
		request := fine()
		request.Host = func(context.Context) (string, error) { return test.host, test.err }
		if _, err := client.Check(t.Context(), request); err != nil {
			t.Errorf("%s, at plan: %v", name, err)
		}
		request.Starts = true
		report, err := client.Check(t.Context(), request)
		if is[*HostError](err) == test.want || (test.want && (err != nil || report.Host != test.host)) {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
	}
}

// migratekit connects to three services, also for a cycle that needs only one.
func TestCheckEndpoints(t *testing.T) {
	t.Parallel()
	for _, service := range []string{"block-storage", "compute", "network"} {
		cloud := furnished(t)
		cloud.RemoveEndpoint(service)
		if _, err := newClient(t, cloud.Environment()).Check(t.Context(), Request{Moid: "vm-1"}); !is[*AuthError](err) {
			t.Errorf("%s: %v", service, err)
		}
	}
}

// Right before a cutover, what may have changed is read again.
func TestCheckReadsAgainBeforeACutover(t *testing.T) {
	t.Parallel()
	cloud := furnished(t)
	client := newClient(t, cloud.Environment())
	if report, err := client.Check(t.Context(), fine()); err != nil || len(report.Problems) > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	cloud.AddPort(openstacktest.Port{Network: "n1", Subnet: "s1", MAC: "fa:16:3e:00:00:01", IP: "10.0.0.5"})
	cloud.SetQuotas(func(q *openstacktest.Quotas) { q.Instances = 0 })
	request := fine()
	request.Starts = true
	report, err := client.Check(t.Context(), request)
	if err != nil || len(report.Problems) != 2 {
		t.Errorf("%+v, %v", report, err)
	}
}

// An outage is waited for only while a volume is about to change.
func TestSettle(t *testing.T) {
	t.Parallel()
	cloud := startCloud(t)
	cloud.AddVolume(openstacktest.Volume{ID: "v1", Name: "web01-2000", Status: "available", Metadata: map[string]string{"migrate_kit": "true", "vm": "vm-1", "disk": "2000", "mine": "kept"}, Servers: []string{openstacktest.Helper}})
	cloud.ChangeVolumes(func(v *openstacktest.Volume) { v.Status = "in-use" })
	client := newClient(t, cloud.Environment())
	volume := func() Volume {
		all, err := client.Settle(t.Context(), "vm-1")
		if err != nil || len(all) != 1 {
			t.Fatalf("%v, %v", all, err)
		}
		return all[0]
	}
	for range 2 { // the second time it is detached already
		if err := client.Detach(t.Context(), volume(), openstacktest.Helper); err != nil {
			t.Fatal(err)
		}
		if got := volume(); got.Status != "available" || len(got.AttachedTo) > 0 {
			t.Errorf("%+v", got)
		}
	}
	began := time.Date(2026, 11, 26, 1, 2, 3, 0, time.UTC)
	for _, marks := range []Marks{Began("s1", began, true), Left().Ended(began, 7).Copied("A/2"), Left()} {
		if err := client.Mark(t.Context(), volume(), marks); err != nil {
			t.Fatal(err)
		}
	}
	// A mark that is added while migratekit has the volume changes nothing else.
	stale := volume()
	if err := client.Mark(t.Context(), stale, Left().Copied("A/3")); err != nil {
		t.Fatal(err)
	}
	if err := client.Add(t.Context(), stale, Began("", began, false)); err != nil {
		t.Fatal(err)
	}
	got := cloud.Volumes()[0].Metadata
	want := map[string]string{"migrate_kit": "true", "vm": "vm-1", "disk": "2000", "mine": "kept", "change_id": "A/3", "vma_cycle_ended_at": "2026-11-26T01:02:03Z", "vma_cycle_started_at": "2026-11-26T01:02:03Z", "vma_cycle_bytes": "7", "vma_cutover_started_at": "2026-11-26T01:02:03Z"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	writes := 0
	for call, n := range cloud.Calls() {
		if strings.HasPrefix(call, http.MethodPut) {
			writes += n
		}
	}
	if writes != 3 { // the last change changed nothing
		t.Errorf("%d writes", writes)
	}
}

// A cut over is told by the server, the source and the marks together.
func TestCutOverTo(t *testing.T) {
	t.Parallel()
	booted := func() (Request, []Volume) {
		request, volume := fine(), copied()
		request.Off = true
		volume.AttachedTo, volume.Root, volume.CutoverStartedAt = []string{"s9"}, true, "2026-11-26T01:02:03Z"
		return request, []Volume{volume}
	}
	for name, test := range map[string]struct {
		change func(r *Request, v *Volume)
		want   string
	}{
		"cut over":       {func(*Request, *Volume) {}, "s9"},
		"source on":      {func(r *Request, _ *Volume) { r.Off = false }, ""},
		"a test boot":    {func(_ *Request, v *Volume) { v.CutoverStartedAt = "" }, ""},
		"on its helper":  {func(_ *Request, v *Volume) { v.RunServer = "s9" }, ""},
		"not its root":   {func(_ *Request, v *Volume) { v.Root = false }, ""},
		"not attached":   {func(_ *Request, v *Volume) { v.AttachedTo = nil }, ""},
		"a disk missing": {func(r *Request, _ *Volume) { r.Disks = append(r.Disks, DiskRequest{Key: 2001}) }, ""},
	} {
		request, volumes := booted()
		test.change(&request, &volumes[0])
		if got := CutOverTo(request.owned(volumes), request.keys(), request.Off); got != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
