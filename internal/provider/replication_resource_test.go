package provider_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

const gib = 1 << 30

func serveNBD(t *testing.T, exports map[string]nbdtest.Export) *nbdtest.Server {
	t.Helper()
	server, err := nbdtest.Start(nbdtest.Newstyle, exports)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

func replicationConfig(lines string) string {
	return fmt.Sprintf("resource \"vma_replication\" \"web\" {\n  vm_path = %q\n%s\n}\n", webPath, lines)
}

func replica(name string, value knownvalue.Check) statecheck.StateCheck {
	return statecheck.ExpectKnownValue("vma_replication.web", tfjsonpath.New(name), value)
}

func replicaAction(a plancheck.ResourceActionType) resource.ConfigPlanChecks {
	return resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectResourceAction("vma_replication.web", a)}}
}

func lastCycle(kind string, bytes int64, disks map[string]knownvalue.Check) knownvalue.Check {
	return knownvalue.ObjectPartial(map[string]knownvalue.Check{
		"kind": knownvalue.StringExact(kind), "changed_bytes": knownvalue.Int64Exact(bytes), "disks": knownvalue.MapExact(disks),
	})
}

func disk(kind string, bytes int64) knownvalue.Check {
	return knownvalue.ObjectExact(map[string]knownvalue.Check{
		"kind": knownvalue.StringExact(kind), "changed_bytes": knownvalue.Int64Exact(bytes),
	})
}

// If vCenter cannot report what changed, the whole disk counts as changed (fact 12).
func TestReplicationUnreadableTracking(t *testing.T) {
	t.Parallel()
	e, vm, config := oneDisk(t)
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{Config: config(`triggers = { run = "1" }`)},
			{
				PreConfig: func() { vm.MakeUnreadable(2000) },
				Config:    config(`triggers = { run = "2" }`),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("last_cycle", lastCycle("incremental", gib, map[string]knownvalue.Check{"2000": disk("incremental", gib)})),
				},
			},
		},
	})
}

// A full cycle that enables CBT, no change without a trigger, incremental cycles by triggers, and a CBT reset.
func TestReplicationNBD(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}, {Size: 2 * gib}}})
	server := serveNBD(t, map[string]nbdtest.Export{"web01-0": {Size: gib}, "web01-1": {Size: 2 * gib}})
	config := func(run string) string {
		return e.provider() + replicationConfig(fmt.Sprintf(`
  nbd      = { exports = { "2000" = %q, "2001" = %q } }
  triggers = { run = %q }`, server.URI("web01-0"), server.URI("web01-1"), run))
	}
	planned := func(first, second string) statecheck.StateCheck {
		return replica("planned_cycle", knownvalue.MapExact(map[string]knownvalue.Check{
			"2000": knownvalue.StringRegexp(regexp.MustCompile(first)), "2001": knownvalue.StringRegexp(regexp.MustCompile(second)),
		}))
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{
				Config: config("1"),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("status", knownvalue.StringExact("replicated")),
					replica("cbt_enabled", knownvalue.Bool(true)),
					replica("cycles", knownvalue.Int64Exact(1)),
					replica("change_ids", knownvalue.MapSizeExact(2)),
					replica("last_cycle", knownvalue.ObjectPartial(map[string]knownvalue.Check{
						"changed_bytes_reason": knownvalue.Null(), "duration_seconds": knownvalue.NotNull(), "bytes_per_second": knownvalue.Int64Func(func(n int64) error {
							if n <= 0 {
								return fmt.Errorf("%d bytes per second", n)
							}
							return nil
						}),
					})),
					planned("^full: no change ID yet$", "^full: no change ID yet$"),
					replica("last_cycle", lastCycle("full", 3*gib, map[string]knownvalue.Check{"2000": disk("full", gib), "2001": disk("full", 2*gib)})),
				},
			},
			{Config: config("1"), PlanOnly: true},
			{
				PreConfig: func() {
					vm.Write(2000, 0, 65536)
					vm.Write(2000, 900<<20, 4096) // on a later page, after an empty one
				},
				Config:           config("2"),
				ConfigPlanChecks: replicaAction(plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("cycles", knownvalue.Int64Exact(2)),
					planned("^incremental$", "^incremental$"),
					replica("last_cycle", lastCycle("incremental", 65536+4096, map[string]knownvalue.Check{"2000": disk("incremental", 65536+4096), "2001": disk("incremental", 0)})),
				},
			},
			{ // CBT is reset: the plan announces it, and the next cycle is full
				PreConfig:        func() { vm.ResetTracking() },
				Config:           config("2"),
				ConfigPlanChecks: replicaAction(plancheck.ResourceActionUpdate),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("cycles", knownvalue.Int64Exact(3)),
					planned("^full: epoch changed from .* to ", "^full: epoch changed"),
					replica("last_cycle", lastCycle("full", 3*gib, map[string]knownvalue.Check{"2000": disk("full", gib), "2001": disk("full", 2*gib)})),
				},
			},
		},
	})
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
	runs := e.runs(t)
	if len(runs) != 3 {
		t.Fatalf("migratekit ran %d times, want 3", len(runs))
	}
	uri := func(name string) string { return server.URI(name) }
	got := runs[0].Args
	i := slices.Index(got, "--job-id")
	want := []string{
		"migrate", "--vmware-endpoint", e.URL.Host, "--vmware-username", vspheretest.Username, "--vmware-password", vspheretest.Password,
		"--vmware-path", webPath, "--nbd-targets", "2000:" + uri("web01-0") + ",2001:" + uri("web01-1"), "--job-id", got[i+1],
	}
	if !slices.Equal(got, want) {
		t.Errorf("arguments\n%q\nwant\n%q", got, want)
	}
	env := runs[0].Env
	port := strings.TrimSuffix(uri("")[strings.LastIndex(uri(""), ":")+1:], "/")
	if env["NBD_LOCAL_PORT"] != port || env["MIGRATEKIT_JOB_ID"] != got[i+1] || !strings.HasPrefix(env["CLOUDSTACK_API_URL"], "http://127.0.0.1:") ||
		env["CLOUDSTACK_API_KEY"] == "" || env["CLOUDSTACK_SECRET_KEY"] == "" {
		t.Errorf("environment: %v", env)
	}
	if !runs[0].NoInput {
		t.Error("standard input is not /dev/null")
	}
	if _, err := os.Stat(env["TMPDIR"]); !os.IsNotExist(err) {
		t.Errorf("TMPDIR %s is still there: %v", env["TMPDIR"], err)
	}
	logs, _ := filepath.Glob(filepath.Join(e.dir, "logs", "*.log"))
	if len(logs) != 3 {
		t.Errorf("logs: %v", logs)
	}
	for _, log := range logs {
		if info, err := os.Stat(log); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", log, info.Mode(), err)
		}
	}
}

// migratekit keeps its change IDs in Cinder. The provider reads them from the snapshot.
func TestReplicationOpenStack(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	vm := e.addVM(t, vspheretest.Spec{Path: webPath, Disks: []vspheretest.Disk{{Size: gib}}})
	e.SetPageSize(gib) // one page covers a disk
	var incremental atomic.Bool
	e.env[migratekittest.Pause] = e.pauseUntilMeasured(t, &incremental)
	config := func(run, more string) string {
		return e.provider() + replicationConfig(fmt.Sprintf(`
  openstack = {
    availability_zone = "nova"
    volume_type       = "ssd"
    disk_bus_type     = "virtio"
    enable_qemu_guest_agent = true
    flavor_id         = "f1"
    network_mappings  = [{ mac = "00:50:56:aa:bb:cc", network_id = "n1", subnet_id = "s1", ip = "10.0.0.5" }]
    security_group_ids = ["g1", "g2"]
    run_v2v           = false
  }
  compression_method = "zlib"
  extra_args         = ["--vz-unsafe-volume-by-name"]
  triggers           = { run = %q }
  %s`, run, more))
	}
	resource.UnitTest(t, resource.TestCase{
		ProtoV6ProviderFactories: e.factories(t),
		Steps: []resource.TestStep{
			{
				Config: config("1", ""),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("status", knownvalue.StringExact("replicated")),
					replica("last_cycle", lastCycle("full", gib, map[string]knownvalue.Check{"2000": disk("full", gib)})),
				},
			},
			{
				PreConfig: func() { vm.Write(2000, 4096, 8192); incremental.Store(true) },
				Config:    config("2", ""),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("last_cycle", lastCycle("incremental", 8192, map[string]knownvalue.Check{"2000": disk("incremental", 8192)})),
				},
			},
			{
				Config: config("2", "cutover = true"),
				ConfigStateChecks: []statecheck.StateCheck{
					replica("status", knownvalue.StringExact("cut_over")),
					replica("cycles", knownvalue.Int64Exact(3)),
				},
			},
			{Config: config("2", ""), ExpectError: regexp.MustCompile(`Invalid cutover`)},
			{ // the source may be deleted
				PreConfig: func() { must(t, vm.Destroy()) },
				Config:    config("2", "cutover = true"),
				PlanOnly:  true,
			},
		},
	})
	runs := e.runs(t)
	if len(runs) != 3 {
		t.Fatalf("migratekit ran %d times, want 3", len(runs))
	}
	source := []string{
		"--vmware-endpoint", e.URL.Host, "--vmware-username", vspheretest.Username, "--vmware-password", vspheretest.Password,
		"--vmware-path", webPath, "--compression-method", "zlib", "--availability-zone", "nova", "--volume-type", "ssd",
		"--disk-bus-type", "virtio", "--enable-qemu-guest-agent=true",
	}
	migrate := slices.Concat([]string{"migrate"}, source, []string{"--vz-unsafe-volume-by-name"})
	cutover := slices.Concat([]string{"cutover"}, source, []string{
		"--flavor", "f1", "--network-mapping", "mac=00:50:56:aa:bb:cc,network-id=n1,subnet-id=s1,ip=10.0.0.5",
		"--security-groups", "g1,g2", "--run-v2v=false", "--vz-unsafe-volume-by-name",
	})
	for i, want := range [][]string{migrate, migrate, cutover} {
		if !slices.Equal(runs[i].Args, want) {
			t.Errorf("run %d: arguments\n%q\nwant\n%q", i+1, runs[i].Args, want)
		}
	}
	if runs[0].Env["OS_AUTH_URL"] != e.env["OS_AUTH_URL"] {
		t.Error("OS_AUTH_URL did not reach migratekit")
	}
}

// pauseUntilMeasured makes each copy last until the provider has measured its snapshot, as a real copy would.
// The provider reads the change IDs, and in an incremental cycle also the changed areas.
func (e *estate) pauseUntilMeasured(t *testing.T, incremental *atomic.Bool) string {
	t.Helper()
	file := filepath.Join(e.dir, "pause")
	ours := func(r *http.Request) bool { return strings.HasPrefix(r.UserAgent(), "terraform-provider-vma/") }
	var read, queried atomic.Bool
	e.Intercept(&vspheretest.Interceptor{Method: "CreateSnapshot_Task", Before: func(_ http.ResponseWriter, r *http.Request) bool {
		if !ours(r) {
			read.Store(false)
			queried.Store(false)
			must(t, os.WriteFile(file, nil, 0o600))
		}
		return false
	}})
	resume := func(done *atomic.Bool) func(http.ResponseWriter, *http.Request) bool {
		return func(_ http.ResponseWriter, r *http.Request) bool {
			if ours(r) {
				done.Store(true)
				if read.Load() && (queried.Load() || !incremental.Load()) {
					_ = os.Remove(file)
				}
			}
			return false
		}
	}
	e.Intercept(&vspheretest.Interceptor{Method: "RetrievePropertiesEx", After: resume(&read)})
	e.Intercept(&vspheretest.Interceptor{Method: "QueryChangedDiskAreas", After: resume(&queried)})
	return file
}
