package replication

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/nbd"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

func place(environment map[string]string) migratekit.Place {
	return migratekit.Place{Getenv: func(name string) string { return environment[name] }}
}

func TestDisks(t *testing.T) {
	t.Parallel()
	tracking := machine("A/1", "B/1", "C/1").Tracking()
	if got := openStack(false).Disks(tracking); !slices.Equal(got, []int32{2000, 2001, 2002}) {
		t.Errorf("openstack: %v", got)
	}
	if got := exports(2002, 2000, 2009).Disks(tracking); !slices.Equal(got, []int32{2000, 2002}) {
		t.Errorf("nbd: %v", got)
	}
}

// migratekit for OpenStack copies one disk after another and does not log the end of a copy. migratekit for NBD files the change ID after it.
func TestCopied(t *testing.T) {
	t.Parallel()
	began := map[int32]cbt.Kind{2000: cbt.Full, 2001: cbt.Full}
	filed := migratekit.Outcome{ChangeIDs: map[int32]string{2000: "A/2"}}
	for name, test := range map[string]struct {
		target   Target
		evidence Evidence
		want     []int32
	}{
		"openstack, succeeded":                    {openStack(false), Evidence{Succeeded: true, Kinds: began, Last: 2001}, []int32{2000, 2001}},
		"openstack, succeeded, log unreadable":    {openStack(false), Evidence{Succeeded: true, SnapshotSeen: true, Last: -1}, []int32{2000, 2001, 2002}},
		"openstack, succeeded without any trace":  {openStack(false), Evidence{Succeeded: true, Last: -1}, nil},
		"openstack, failed at the second disk":    {openStack(false), Evidence{Kinds: began, Last: 2001}, []int32{2000}},
		"openstack, failed before the first disk": {openStack(false), Evidence{SnapshotSeen: true, Last: -1}, nil},
		"nbd, one disk filed":                     {exports(2000, 2001), Evidence{Outcome: filed, Succeeded: true, Kinds: began, Last: 2001}, []int32{2000}},
		"nbd, nothing filed":                      {exports(2000, 2001), Evidence{Succeeded: true, SnapshotSeen: true, Kinds: began, Last: 2001}, nil},
	} {
		var got []int32
		for _, key := range []int32{2000, 2001, 2002} {
			if test.target.Copied(key, test.evidence) {
				got = append(got, key)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: copied %v, want %v", name, got, test.want)
		}
	}
}

// Exit status 0 alone does not mean that anything was copied.
func TestCompleted(t *testing.T) {
	t.Parallel()
	status := machine("A/1", "B/1")
	for name, test := range map[string]struct {
		target  Target
		outcome migratekit.Outcome
		want    bool
	}{
		"openstack":                 {openStack(false), migratekit.Outcome{Completed: true}, true},
		"openstack, copies only":    {openStack(false), migratekit.Outcome{Copies: logged(true, "[ds] web01/a.vmdk", "[ds] web01/b.vmdk").Copies}, false},
		"openstack, nothing":        {openStack(false), migratekit.Outcome{}, false},
		"a cutover":                 {openStack(true), migratekit.Outcome{CutOver: true}, true},
		"a cutover, first half":     {openStack(true), migratekit.Outcome{Completed: true}, false},
		"nbd":                       {exports(2000, 2001), migratekit.Outcome{Completed: true}, true},
		"nbd, all change IDs filed": {exports(2000, 2001), migratekit.Outcome{ChangeIDs: map[int32]string{2000: "A/2", 2001: "B/2"}}, true},
		"nbd, one change ID filed":  {exports(2000, 2001), migratekit.Outcome{ChangeIDs: map[int32]string{2000: "A/2"}}, false},
	} {
		if got := completed(&Cycle{Target: test.target}, status, test.outcome); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestNBDJob(t *testing.T) {
	t.Parallel()
	uri, err := nbd.ParseURI("nbd://127.0.0.1:10808/web01-0")
	if err != nil {
		t.Fatal(err)
	}
	target := &NBD{Exports: map[int32]nbd.URI{2000: uri}}
	source := Source{Status: machine("A/1", "B/1"), Previous: map[int32]string{2000: "A/1", 2001: "B/1"}}
	job := target.Job(migratekit.Common{}, source)
	if !maps.Equal(job.KnownChangeIDs, map[int32]string{2000: "A/1"}) {
		t.Errorf("known change IDs: %v", job.KnownChangeIDs)
	}
	if line := job.CommandLine(); !strings.Contains(line, "--nbd-targets 2000:nbd://127.0.0.1:10808/web01-0") {
		t.Errorf("one of two disks: %s", line)
	}
	source.Status, source.Previous = machine("A/1"), nil
	job = target.Job(migratekit.Common{}, source)
	if !maps.Equal(job.KnownChangeIDs, map[int32]string{2000: ""}) {
		t.Errorf("known change IDs of a first cycle: %v", job.KnownChangeIDs)
	}
	if line := job.CommandLine(); !strings.Contains(line, "--nbd-export-name web01-0") {
		t.Errorf("the only disk: %s", line)
	}
	if again := target.Job(migratekit.Common{}, source); again.ID == job.ID || job.ID == "" {
		t.Errorf("two runs have the job ID %q", job.ID)
	}
}

// A plan does not connect to exports. An apply connects from where the job runs.
func TestExportsAreVerified(t *testing.T) {
	t.Parallel()
	server, err := nbdtest.Start(nbdtest.Newstyle, map[string]nbdtest.Export{"large": {Size: size}, "small": {Size: size - 1}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	large, err := nbd.ParseURI(server.URI("large"))
	if err != nil {
		t.Fatal(err)
	}
	small, err := nbd.ParseURI(server.URI("small"))
	if err != nil {
		t.Fatal(err)
	}
	source := Source{Status: machine("A/1", "B/1")}
	check := func(target *NBD, place migratekit.Place) error {
		return errors.Join(target.Check(t.Context(), place, source).Errors...)
	}
	good := &NBD{Exports: map[int32]nbd.URI{2000: large, 2001: large}}
	bad := &NBD{Exports: map[int32]nbd.URI{2000: large, 2001: small}}
	here := place(nil)
	here.Dial = (&net.Dialer{}).DialContext
	if err := check(good, here); err != nil {
		t.Error(err)
	}
	if export, ok := errors.AsType[*ExportError](check(bad, here)); !ok || export.Key != 2001 {
		t.Errorf("a small export: %v", check(bad, here))
	}
	if err := check(bad, place(nil)); err != nil {
		t.Errorf("while planning: %v", err)
	}
	unreachable := place(nil)
	refused := errors.New("no route to host")
	unreachable.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, refused }
	if err := check(good, unreachable); !errors.Is(err, refused) {
		t.Errorf("from elsewhere: %v", err)
	}
}

// Two VMs with one export would overwrite each other.
func TestExportsAreClaimed(t *testing.T) {
	t.Parallel()
	claims := newExportClaims()
	check := func(moid, path, uri string) error {
		parsed, err := nbd.ParseURI(uri)
		if err != nil {
			t.Fatal(err)
		}
		status := machine("A/1")
		status.VM.Moid, status.VM.Path = moid, path
		target := &NBD{Exports: map[int32]nbd.URI{2000: parsed}, Claims: claims}
		return errors.Join(target.Check(t.Context(), place(nil), Source{Status: status}).Errors...)
	}
	if err := errors.Join(check("vm-1", "/DC0/vm/a", "nbd://127.0.0.1:10809/x"), check("vm-1", "/DC0/vm/a", "nbd://127.0.0.1:10809/x")); err != nil {
		t.Error(err)
	}
	for _, uri := range []string{"nbd://127.0.0.1:10809/x", "nbd://127.0.0.1/x", "nbd://localhost/x", "nbd://LOCALHOST:10809/x", "nbds://localhost/x"} {
		inUse, ok := errors.AsType[*ExportInUseError](check("vm-2", "/DC0/vm/b", uri))
		if !ok || inUse.Path != "/DC0/vm/a" || inUse.Key != 2000 {
			t.Errorf("%s: %v", uri, inUse)
		}
	}
	if err := check("vm-2", "/DC0/vm/b", "nbd://127.0.0.1/y"); err != nil {
		t.Error(err)
	}
}

// migratekit for NBD targets copies every disk of its snapshot, and fails at the first one without an export.
func TestEveryDiskNeedsAnExport(t *testing.T) {
	t.Parallel()
	status := machine("A/1", "B/1", "C/1")
	status.VM.Disks[2].Mode = "independent_persistent"
	source := Source{Status: cbt.NewStatus(status.VM)}
	found := exports(2000).Check(t.Context(), place(nil), source)
	if err := errors.Join(found.Errors...); err == nil || !strings.Contains(err.Error(), "2001 (Hard disk)") || strings.Contains(err.Error(), "2002") {
		t.Errorf("%v", err)
	}
	if found = exports(2000, 2001).Check(t.Context(), place(nil), source); len(found.Errors) > 0 || len(found.Warnings) != 1 {
		t.Errorf("%+v", found)
	}
}

func TestStallTimeout(t *testing.T) {
	t.Parallel()
	status := machine("A/1")
	if got := stallTimeout(time.Hour, status); got != time.Hour {
		t.Errorf("a small disk: %s", got)
	}
	status.Disks[0].Capacity = 2_800_000_000_000 // 2 % at 10 MB/s are 5600 s
	if got := stallTimeout(time.Hour, status); got != 5600*time.Second {
		t.Errorf("a large disk: %s", got)
	}
}

// Every network card needs a mapping for a cutover, and a mapping without a card has no effect. Case does not matter.
func TestNetworkCards(t *testing.T) {
	t.Parallel()
	vm := &vsphere.VM{Path: "/DC0/vm/web01", Cards: []vsphere.NetworkCard{{Label: "Network adapter 1", MAC: "00:50:56:aa:bb:01"}, {Label: "Network adapter 2", MAC: "00:50:56:aa:bb:02"}}}
	mapping := func(macs ...string) (mappings []migratekit.NetworkMapping) {
		for _, mac := range macs {
			mappings = append(mappings, migratekit.NetworkMapping{MAC: mac})
		}
		return mappings
	}
	for name, test := range map[string]struct {
		cutover          bool
		macs             []string
		errors, warnings int
	}{
		"all":                      {true, []string{"00:50:56:AA:BB:01", "00:50:56:aa:bb:02"}, 0, 0},
		"one without a mapping":    {true, []string{"00:50:56:aa:bb:01"}, 1, 0},
		"weeks before the cutover": {false, []string{"00:50:56:aa:bb:01"}, 0, 1},
		"a mapping without a card": {true, []string{"00:50:56:aa:bb:01", "00:50:56:aa:bb:02", "00:50:56:aa:bb:03"}, 0, 1},
		"no mappings are written":  {false, nil, 0, 0},
		"both":                     {true, []string{"00:50:56:aa:bb:03"}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := &OpenStack{OpenStack: migratekit.OpenStack{Cutover: test.cutover, NetworkMappings: mapping(test.macs...)}}
			var found Findings
			target.checkCards(vm, &found)
			if len(found.Errors) != test.errors || len(found.Warnings) != test.warnings {
				t.Errorf("%+v", found)
			}
		})
	}
}
