package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// The troubles of a fleet: VMs that are blocked (in six ways), whose first copy fails, and that disappear between plan and apply.
const (
	fleetBlocked = 12
	fleetFailing = 4
	fleetGone    = 2
)

func fleetPath(i int) string { return fmt.Sprintf("/DC0/vm/fleet/vm%04d", i) }

// fleet is the VMs of the fleet scene, in the vCenter process.
type fleet struct {
	vcenter *vspheretest.VCenter
	vms     []*vspheretest.Machine
}

// add makes the fleet. The VMs that fail have a second disk, whose copies fail.
func (f *fleet) add(n int) error {
	for i := range n {
		disks := []vspheretest.Disk{{}}
		if i >= fleetBlocked && i < fleetBlocked+fleetFailing {
			disks = append(disks, vspheretest.Disk{})
		}
		vm, err := f.vcenter.AddVM(vspheretest.Spec{Path: fleetPath(i), Disks: disks})
		if err != nil {
			return err
		}
		f.vms = append(f.vms, vm)
	}
	var errs []error
	for i, vm := range f.vms[:fleetBlocked] {
		switch i % 6 {
		case 0:
			vm.SetTemplate(true)
		case 1:
			vm.SetHardware("vmx-04")
		case 2:
			vm.SetConnectionState(types.VirtualMachineConnectionStateDisconnected)
		case 3:
			vm.DisableMethod("CreateSnapshot_Task", "backup")
		case 4:
			errs = append(errs, vm.Rename(fmt.Sprintf("elsewhere%d", i)))
		case 5:
			errs = append(errs, vm.AddSnapshot("nightly", ""))
		}
	}
	return errors.Join(errs...)
}

// vanish deletes VMs.
func (f *fleet) vanish() error {
	var errs []error
	for _, vm := range f.vms[len(f.vms)-fleetGone:] {
		errs = append(errs, vm.Destroy())
	}
	return errors.Join(errs...)
}

// mend ends all troubles.
func (f *fleet) mend() error {
	var errs []error
	for i, vm := range f.vms[:fleetBlocked] {
		vm.SetTemplate(false)
		vm.SetHardware("vmx-19")
		vm.SetConnectionState(types.VirtualMachineConnectionStateConnected)
		vm.EnableMethods()
		if i%6 == 4 {
			errs = append(errs, vm.Rename(filepath.Base(fleetPath(i))))
		}
		errs = append(errs, vm.RemoveSnapshots())
	}
	for i := len(f.vms) - fleetGone; i < len(f.vms); i++ {
		_, err := f.vcenter.AddVM(vspheretest.Spec{Path: fleetPath(i)})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// migrated replicates a fleet to OpenStack, 50 at a time, with VMs that are blocked, fail and disappear, and checks what becomes of each.
func (b *bench) migrated(ctx context.Context) error {
	if b.fleet == 0 {
		return nil
	}
	if b.fleet < 2*(fleetBlocked+fleetFailing+fleetGone) {
		return fmt.Errorf("-fleet %d is too small", b.fleet)
	}
	if err := b.estate.ask(ctx, fmt.Sprintf("fleet?n=%d", b.fleet), new(int)); err != nil {
		return err
	}
	dir, err := b.cli.work("fleet", fmt.Sprintf(`provider "vma" {
  on_blocked = "warn"
}
resource "vma_replication" "vm" {
  count     = %d
  vm_path   = format("/DC0/vm/fleet/vm%%04d", count.index)
  openstack = {}
}
`, b.fleet))
	if err != nil {
		return err
	}
	program, err := migratekittest.Install(dir)
	if err != nil {
		return err
	}
	fail := migratekittest.Fail + "=2001"
	env := []string{"VMA_MIGRATEKIT_PATH=" + program, "VMA_LOG_DIRECTORY=" + filepath.Join(dir, "logs")}
	cloud := openstacktest.Start()
	defer cloud.Close()
	env = append(env, "HTTP_PROXY="+cloud.URL()) // to the metadata service
	for name, value := range cloud.Environment() {
		env = append(env, name+"="+value)
	}
	defer func() { b.cli.extra = nil }()
	b.cli.extra = append(slices.Clone(env), fail)
	steps := []struct {
		what   string
		before string // a request to the vCenter process
		status int
		args   []string
		left   int // how many are not replicated afterwards
	}{
		{"fleet, plan with blocked VMs", "", 2, []string{"plan", "-detailed-exitcode", "-out", "plan"}, b.fleet},
		{"fleet, apply, 50 at once", "vanish", 1, []string{"apply", "-parallelism=50", "plan"}, fleetBlocked + fleetFailing + fleetGone},
		{"fleet, apply of the rest", "mend", 0, []string{"apply", "-auto-approve", "-parallelism=50"}, 0},
		{"fleet, plan", "", 0, []string{"plan", "-detailed-exitcode"}, 0},
	}
	for _, step := range steps {
		if step.before != "" {
			if err := b.estate.ask(ctx, step.before, new(int)); err != nil {
				return err
			}
		}
		if step.before == "mend" {
			b.cli.extra = env
		}
		m, err := b.cli.runTo(ctx, step.status, 1, dir, step.args...)
		if err != nil {
			return err
		}
		b.row(step.what, b.fleet, m)
		replicated, again, err := b.replicated(ctx, dir)
		if err != nil {
			return err
		}
		if replicated != b.fleet-step.left || again > 0 {
			return fmt.Errorf("%s: %d of %d are replicated, %d disks were copied in full again", step.what, replicated, b.fleet, again)
		}
	}
	return nil
}

// replicated counts the VMs that are replicated, and the first disks of the failing ones that were copied in full a second time.
func (b *bench) replicated(ctx context.Context, dir string) (replicated, again int, err error) {
	show := exec.CommandContext(ctx, b.cli.program, "show", "-json")
	show.Dir, show.Env = dir, b.cli.env
	output, err := show.Output()
	if err != nil {
		return 0, 0, err
	}
	if !bytes.Contains(output, []byte(`"resources"`)) {
		return 0, 0, nil // before the first apply
	}
	var state struct {
		Values struct {
			Root struct {
				Resources []struct {
					Values struct {
						Status    string `json:"status"`
						LastCycle struct {
							Disks map[string]struct{ Kind string } `json:"disks"`
						} `json:"last_cycle"`
					} `json:"values"`
				} `json:"resources"`
			} `json:"root_module"`
		} `json:"values"`
	}
	if err := json.Unmarshal(output, &state); err != nil {
		return 0, 0, err
	}
	for _, resource := range state.Values.Root.Resources {
		if resource.Values.Status != "replicated" {
			continue
		}
		replicated++
		if disks := resource.Values.LastCycle.Disks; len(disks) == 2 && disks["2000"].Kind != "incremental" {
			again++
		}
	}
	return replicated, again, nil
}
