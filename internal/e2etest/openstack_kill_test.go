package e2etest

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

const killedMAC = "00:50:56:a1:b2:c3"

// crossing is a scene with a VM of two disks that is replicated to OpenStack.
type crossing struct {
	*scene
	cloud *openstacktest.Cloud
}

func newCrossing(t *testing.T) *crossing {
	t.Helper()
	vcenter, err := vspheretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	vm, err := vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/web01", Disks: []vspheretest.Disk{{}, {}}, MACs: []string{killedMAC}})
	if err != nil {
		t.Fatal(err)
	}
	w, steer := replicated(t, vcenter, "")
	c := &crossing{scene: &scene{workspace: w, vcenter: vcenter, vm: vm, steer: steer}, cloud: w.useOpenStack()}
	c.env["TMPDIR"] = t.TempDir()
	c.track()
	return c
}

func (c *crossing) configure(run int, cutover bool) {
	c.write(filepath.Join(c.dir, "main.tf"), fmt.Sprintf(requiresVMA+`
resource "vma_replication" "web" {
  vm_path              = "/DC0/vm/web01"
  on_leftover_snapshot = "remove"
  triggers             = { run = %d }
  cutover              = %t
  openstack = {
    availability_zone = "nova"
    flavor_id         = "f"
    network_mappings  = [{ mac = %q, network_id = "n", subnet_id = "s" }]
  }
}
`, run, cutover, killedMAC))
}

// recorded returns the device keys of the disks whose volumes have a change ID.
func (c *crossing) recorded() map[string]bool {
	keys := map[string]bool{}
	for _, volume := range c.cloud.Volumes() {
		if volume.Metadata["change_id"] != "" {
			keys[volume.Metadata["disk"]] = true
		}
	}
	return keys
}

// TestKilledAtEachStage kills the provider at each stage of a cycle and of a cutover. migratekit leaves its snapshot and its volume as they are. The next apply ends
// well, and copies nothing in full again whose change ID was recorded.
func TestKilledAtEachStage(t *testing.T) {
	t.Parallel()
	call := func(method, path string, after bool) func(*crossing) (<-chan struct{}, func()) {
		return func(c *crossing) (<-chan struct{}, func()) { return c.cloud.Hold(method, path, after) }
	}
	copying := func(c *crossing) (<-chan struct{}, func()) { return holdCopy(c.scene) }
	shutdown := func(c *crossing) (<-chan struct{}, func()) {
		hang := c.vcenter.Hang("ShutdownGuest", 0, 0)
		return c.reach("ShutdownGuest"), hang.Release
	}
	const volumes, attachments = "/volumes", "/os-volume_attachments"
	for _, stage := range []struct {
		name string
		// later is true for a stage of a second cycle or of a cutover after a first cycle.
		later, cutover bool
		hold           func(*crossing) (<-chan struct{}, func())
		// done is true if the cutover is done, so that migratekit does not run again.
		done bool
	}{
		{name: "volume created", hold: call(http.MethodPost, volumes, true)},
		{name: "volume made bootable", hold: call(http.MethodPost, "/action", false)},
		{name: "volume attached", hold: call(http.MethodPost, attachments, true)},
		{name: "first copy", hold: copying},
		{name: "change ID recorded", hold: call(http.MethodPut, volumes+"/", true)},
		{name: "volume detached", hold: call(http.MethodDelete, attachments+"/", false)},
		{name: "later copy", later: true, hold: copying},
		{name: "ports made", later: true, cutover: true, hold: call(http.MethodPost, "/ports", true)},
		{name: "copy before the shutdown", later: true, cutover: true, hold: copying},
		{name: "shutdown", later: true, cutover: true, hold: shutdown},
		{name: "server to be created", later: true, cutover: true, hold: call(http.MethodPost, "/servers", false), done: true},
		{name: "server created", later: true, cutover: true, hold: call(http.MethodPost, "/servers", true), done: true},
		{name: "cutover as the first cycle", cutover: true, hold: copying},
	} {
		t.Run(stage.name, func(t *testing.T) {
			t.Parallel()
			c := newCrossing(t)
			run := 1
			if stage.later {
				c.configure(run, false)
				c.terraform(0, "apply", "-auto-approve")
				run++
			}
			c.configure(run, stage.cutover)
			c.env[migratekittest.KeepSnapshot], c.env[migratekittest.KeepAttached] = "1", "1"
			reached, release := stage.hold(c)
			apply := c.startGroup("apply", "-auto-approve")
			apply.until(reached)
			apply.signalGroup(syscall.SIGKILL)
			apply.wait()
			release()
			c.takeBackup()
			if left := c.processes(); left != "" {
				t.Fatalf("processes left: %s", left)
			}
			for _, name := range []string{migratekittest.KeepSnapshot, migratekittest.KeepAttached, migratekittest.Pause} {
				delete(c.env, name)
			}
			recorded := c.recorded()
			output := c.terraform(0, "apply", "-auto-approve")
			want := map[bool]string{false: "replicated", true: "cut_over"}[stage.cutover]
			if got := c.attribute("vma_replication.web", "status"); got != want {
				t.Errorf("status %v, want %s\n%s", got, want, output)
			}
			if runs, _ := migratekittest.Invocations(filepath.Join(c.steer, "runs")); stage.done && len(runs) != 2 {
				t.Errorf("migratekit ran %d times, want 2", len(runs))
			}
			last, _ := c.attribute("vma_replication.web", "last_cycle").(map[string]any)
			disks, _ := last["disks"].(map[string]any)
			for key, each := range disks {
				if fields, _ := each.(map[string]any); !stage.done && recorded[key] && fields["kind"] != "incremental" {
					t.Errorf("the disk %s was recorded, and copied again: %v", key, fields)
				}
			}
			for _, volume := range c.cloud.Volumes() {
				if (volume.Metadata["vma_cycle_server"] != "" && !stage.done) || (volume.Status != "available") == !stage.cutover || !volume.Bootable {
					t.Errorf("%+v", volume)
				}
			}
			if n := len(c.cloud.Servers()); (n == 1) != stage.cutover {
				t.Errorf("%d servers", n)
			}
			if left := c.vm.Snapshots(); len(left) > 0 {
				t.Errorf("snapshots left: %v", left)
			}
			if again := c.terraform(0, "plan", "-detailed-exitcode"); strings.Contains(again, "Error") {
				t.Error(again)
			}
		})
	}
}

// A cycle that has ended waits for its mark that is on its way: it would name a run that has ended, if it arrived later.
func TestLateMark(t *testing.T) {
	t.Parallel()
	c := newCrossing(t)
	c.configure(1, false)
	marking, mark := c.cloud.Hold("POST", "/metadata", false)
	defer mark()
	apply := c.start("apply", "-auto-approve")
	apply.until(marking)
	ended := func() bool {
		logs, err := filepath.Glob(filepath.Join(c.dir, ".terraform", "vma", "*.log"))
		return err == nil && len(logs) == 1 && strings.Contains(read(t, logs[0]), "Migration completed")
	}
	for !ended() {
		select {
		case <-t.Context().Done():
			t.Fatal("migratekit has not ended")
		case <-time.After(10 * time.Millisecond):
		}
	}
	for began := time.Now(); time.Since(began) < time.Second; time.Sleep(10 * time.Millisecond) {
		for _, volume := range c.cloud.Volumes() {
			if volume.Metadata["vma_cycle_ended_at"] != "" {
				t.Fatal("the cycle is concluded before the mark")
			}
		}
	}
	mark()
	if got := apply.wait(); got != 0 {
		t.Fatalf("exit status %d:\n%s", got, apply.output.String())
	}
	for _, volume := range c.cloud.Volumes() {
		if volume.Metadata["vma_cycle_server"] != "" || volume.Metadata["change_id"] == "" {
			t.Errorf("%+v", volume)
		}
	}
}
