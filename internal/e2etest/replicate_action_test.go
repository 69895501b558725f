package e2etest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
)

const nightly = `
action "vma_replicate" "web" {
  config {
    vm_path              = "/DC0/vm/web01"
    on_leftover_snapshot = "remove"
    openstack            = { availability_zone = "nova" }
  }
}
`

// Nightly increments by the action are no diff and no drift. A cutover is planned from them: its limits know the last night.
func TestNightlyIncrements(t *testing.T) {
	t.Parallel()
	c := newCrossing(t)
	c.needs("1.14.0")
	c.configure(1, false)
	c.terraform(0, "apply", "-auto-approve")
	configuration := read(t, filepath.Join(c.dir, "main.tf"))
	c.write(filepath.Join(c.dir, "main.tf"), configuration+nightly)
	const block = 1 << 20
	c.vm.Write(2000, 0, 64*block)
	for night := range 5 {
		output := c.terraform(0, "apply", "-auto-approve", "-invoke=action.vma_replicate.web")
		if !strings.Contains(output, "was incremental and copied") {
			t.Fatalf("night %d:\n%s", night, output)
		}
		c.terraform(0, "plan", "-detailed-exitcode")
		c.terraform(0, "plan", "-detailed-exitcode", "-refresh-only")
	}
	for _, volume := range c.cloud.Volumes() {
		if volume.Metadata["vma_cycle_bytes"] != "0" || volume.Metadata["vma_cycle_ended_at"] == "" || volume.Status != "available" {
			t.Errorf("%+v", volume)
		}
	}
	if got := c.attribute("vma_replication.web", "cycles"); got != 1.0 {
		t.Errorf("%v cycles in state", got)
	}
	c.configure(1, true)
	limited := strings.Replace(read(t, filepath.Join(c.dir, "main.tf")), "cutover  ", "cutover_limits = { max_age = \"1h\", max_changed_bytes = 0 }\n  cutover  ", 1)
	c.write(filepath.Join(c.dir, "main.tf"), limited)
	c.terraform(0, "apply", "-auto-approve")
	if got := c.attribute("vma_replication.web", "status"); got != "cut_over" {
		t.Errorf("status %v", got)
	}
}

// Progress is in Terraform's output. An interrupt is a failure, with cleanup, and so is a failed cycle.
func TestReplicateAction(t *testing.T) {
	t.Parallel()
	c := newCrossing(t)
	c.needs("1.14.0")
	invoke := []string{"apply", "-auto-approve", "-invoke=action.vma_replicate.web"}
	c.write(filepath.Join(c.dir, "main.tf"), requiresVMA+strings.Replace(nightly, "availability_zone = \"nova\"", "volume_type = \"golden\"", 1))
	if output := c.terraform(1, invoke...); !strings.Contains(output, "Invalid openstack.volume_type") {
		t.Errorf("a mistake:\n%s", output)
	}
	c.write(filepath.Join(c.dir, "main.tf"), requiresVMA+nightly)
	output := c.terraform(0, invoke...)
	for _, want := range []string{"Starting migratekit", "Disk copied", "was full and copied 2147483648 bytes"} {
		if !strings.Contains(output, want) {
			t.Errorf("%q is not in:\n%s", want, output)
		}
	}
	c.env[migratekittest.Fail] = "2000"
	if output := c.terraform(1, invoke...); !strings.Contains(words(output), "The next apply does not repeat a failed action") {
		t.Errorf("a failure:\n%s", output)
	}
	delete(c.env, migratekittest.Fail)
	reached, release := holdCopy(c.scene)
	apply := c.start(invoke...)
	apply.until(reached)
	apply.interrupt()
	if got := apply.wait(); got != 1 || !strings.Contains(apply.output.String(), "Replication Interrupted") {
		t.Errorf("exit status %d:\n%s", got, apply.output.String())
	}
	release()
	for _, volume := range c.cloud.Volumes() {
		if volume.Status != "available" {
			t.Errorf("%s is %s", volume.Name, volume.Status)
		}
	}
	if left := c.vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}
