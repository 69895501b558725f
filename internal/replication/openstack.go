package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/openstack"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

var _ Target = (*OpenStack)(nil)

// OpenStack copies to Cinder volumes, and boots a server from them at the cutover. migratekit keeps its own change IDs.
type OpenStack struct {
	migratekit.OpenStack
	// Cloud is the project to copy to; nil if no login is configured.
	Cloud *openstack.Client
	// V2VBegan is true if a cutover that failed may have run virt-v2v.
	V2VBegan bool

	// environment and trustedCAs are the login for migratekit, once Check has logged in.
	environment map[string]string
	trustedCAs  []byte
}

const (
	poweredOn  = "poweredOn"
	poweredOff = "poweredOff"
)

// Disks implements Target: migratekit copies all disks.
func (t *OpenStack) Disks(tracking cbt.Tracking) []int32 {
	var keys []int32
	for _, disk := range tracking.Disks {
		keys = append(keys, disk.Key)
	}
	return keys
}

// Check implements Target.
func (t *OpenStack) Check(ctx context.Context, place migratekit.Place, source Source) Findings {
	var f Findings
	t.logIn(ctx, place, &f)
	if t.environment != nil {
		t.checkProject(ctx, source.Status.VM, &f)
	}
	t.checkCards(source.Status.VM, &f)
	problems := untrackableDisks(source.Status, t.Disks(source.Status.Tracking()),
		"migratekit copies every disk to OpenStack, so give it a form that can be tracked, or detach it for the migration")
	if len(problems) > 0 {
		f.Errors = append(f.Errors, &ImpossibleError{Problems: problems})
	}
	t.warnGrown(source, &f)
	if t.Final() {
		t.warnCutover(source.Status, &f)
	}
	return f
}

// logIn takes the login for migratekit. An outage is only a warning, except for a cutover. After the warning, migratekit gets the variables as they are
// configured, if it accepts them.
func (t *OpenStack) logIn(ctx context.Context, place migratekit.Place, f *Findings) {
	if t.Cloud == nil {
		f.Errors = append(f.Errors, &EnvironmentError{migratekit.CheckOpenStack(place.Getenv)})
		return
	}
	environment, err := t.Cloud.Environment(ctx)
	if err == nil {
		t.trustedCAs, err = t.Cloud.TrustedCAs(ctx)
	}
	if err == nil {
		t.environment = environment
		return
	}
	planning := place.Dial == nil
	if outage, ok := errors.AsType[*openstack.UnreachableError](err); !ok || t.Final() ||
		(!planning && !migratekit.CheckOpenStack(place.Getenv).None()) {
		f.Errors = append(f.Errors, &CloudError{Err: err})
	} else {
		f.warn(SubjectNone, "OpenStack Unreachable", unreachableText, outage)
	}
}

// checkProject looks for what the replication refers to. What a cutover needs is a warning before it, so that mistakes show early.
func (t *OpenStack) checkProject(ctx context.Context, vm *vsphere.VM, f *Findings) {
	request := openstack.Request{
		Cutover: t.Cutover, AvailabilityZone: t.AvailabilityZone, VolumeType: t.VolumeType, FlavorID: t.FlavorID, SecurityGroupIDs: t.SecurityGroupIDs,
		CPUs: int(vm.CPUs), MemoryMB: int(vm.MemoryMB),
	}
	for _, mapping := range t.NetworkMappings {
		request.Networks = append(request.Networks, openstack.NetworkRequest{NetworkID: mapping.NetworkID, SubnetID: mapping.SubnetID, IP: mapping.IP})
	}
	problems, err := t.Cloud.Check(ctx, request)
	if outage, ok := errors.AsType[*openstack.UnreachableError](err); ok && !t.Final() {
		f.warn(SubjectNone, "OpenStack Unreachable", unreachableText, outage)
		return
	}
	if err != nil {
		f.Errors = append(f.Errors, &CloudError{Err: err})
		return
	}
	for _, problem := range problems {
		if problem.Error {
			f.Errors = append(f.Errors, &TargetError{At: problem.At, Text: problem.Text})
			continue
		}
		f.warnTarget(problem.At, "%s", problem.Text)
	}
}

// warnTarget warns about an attribute inside openstack.
func (f *Findings) warnTarget(at []any, format string, args ...any) {
	f.warn(SubjectTarget, "OpenStack May Not Fit the Cutover", format, args...)
	f.Warnings[len(f.Warnings)-1].At = at
}

// checkCards compares the mappings with the VM's network cards: a card without a mapping ends a cutover of migratekit before it begins.
func (t *OpenStack) checkCards(vm *vsphere.VM, f *Findings) {
	if len(t.NetworkMappings) == 0 {
		return
	}
	mapped := map[string]bool{}
	for _, mapping := range t.NetworkMappings {
		mapped[strings.ToLower(mapping.MAC)] = true
	}
	var without []string
	known := map[string]bool{}
	for _, card := range vm.Cards {
		known[card.MAC] = true
		if !mapped[card.MAC] {
			without = append(without, fmt.Sprintf("%s (%s)", card.Label, card.MAC))
		}
	}
	at := []any{"network_mappings"}
	if len(without) > 0 {
		text := fmt.Sprintf("%s has network cards without a mapping: %s. migratekit maps every card: add a mapping for each.", vm.Path, strings.Join(without, ", "))
		if t.Cutover {
			f.Errors = append(f.Errors, &TargetError{At: at, Text: text})
		} else {
			f.warnTarget(at, "%s", text)
		}
	}
	for i, mapping := range t.NetworkMappings {
		if !known[strings.ToLower(mapping.MAC)] {
			f.warnTarget([]any{"network_mappings", i, "mac"}, "%q has no network card with the MAC address %s, so this mapping has no effect.", vm.Path, mapping.MAC)
		}
	}
}

const unreachableText = "OpenStack cannot be reached, so nothing about the target was checked: %s. A cutover is refused until it can be reached."

func (t *OpenStack) warnGrown(source Source, f *Findings) {
	var grown []string
	for _, disk := range source.Status.Disks {
		if before := source.Sizes[disk.Key]; before > 0 && disk.Capacity > before {
			grown = append(grown, fmt.Sprintf("%s from %d to %d bytes", disk, before, disk.Capacity))
		}
	}
	if len(grown) > 0 {
		f.warn(SubjectVM, "Disks Grew Since the Last Cycle",
			"Disks of %q are larger than at their last copy: %s. migratekit does not extend their volumes: extend them in OpenStack before this cycle.",
			source.Status.VM.Path, strings.Join(grown, ", "))
	}
}

func (t *OpenStack) warnCutover(status *cbt.Status, f *Findings) {
	vm := status.VM
	if len(status.Disks) > 1 && (t.RunV2V == nil || *t.RunV2V) {
		f.warn(SubjectVM, "virt-v2v Converts the First Disk Only",
			"%q has %d disks, and migratekit runs virt-v2v for the first one only. A guest whose system uses several disks may not boot. Convert it by hand, and set run_v2v to false.",
			vm.Path, len(status.Disks))
	}
	if t.V2VBegan && t.RunV2V != nil && !*t.RunV2V {
		f.warn(SubjectCutover, "virt-v2v May Have Run Already",
			"An earlier cutover of %q failed and may have converted its first disk in part. With run_v2v = false, this one copies that disk without converting it. Check that the server boots, or set run_v2v to true.", vm.Path)
	}
	if vm.Windows && vm.PowerState == poweredOn && !vm.ToolsRunning {
		f.warn(SubjectVM, "Windows Guest Without VMware Tools",
			"VMware Tools do not run in %q, so the cutover cannot shut down Windows cleanly. Install or start them, or shut down the guest by hand before the apply.", vm.Path)
	}
	f.warn(SubjectCutover, "Source Will Be Shut Down",
		"This apply shuts down %q, copies the remaining changes and boots the new server. It cannot be undone.", vm.Path)
}

// Job implements Target.
func (t *OpenStack) Job(common migratekit.Common, _ Source) migratekit.Job {
	if t.environment != nil {
		common.Unset, common.TrustedCAs = []string{"OS_"}, t.trustedCAs
		common.Environment = maps.Clone(common.Environment)
		maps.DeleteFunc(common.Environment, func(name, _ string) bool { return strings.HasPrefix(name, "OS_") })
		if common.Environment == nil {
			common.Environment = map[string]string{}
		}
		maps.Copy(common.Environment, t.environment)
	}
	return migratekit.NewOpenStackJob(common, t.OpenStack)
}

// Copied implements Target. The log does not say when a copy ends, but disks are copied one after another: when the next
// copy begins, the one before is complete.
func (t *OpenStack) Copied(key int32, e Evidence) bool {
	_, began := e.Kinds[key]
	return (e.Succeeded && (began || e.SnapshotSeen)) || (began && key != e.Last)
}

// Final implements Target.
func (t *OpenStack) Final() bool { return t.Cutover }
