package replication

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"
	"time"

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
	// Seen is what the last refresh saw of the volumes; nil if that is not known.
	Seen Volumes
	// Renamed is true if migratekit will not find the volumes of the last cycle, because the VM has another name or managed object ID.
	Renamed bool
	// V2VBegan is true if a cutover that failed may have run virt-v2v.
	V2VBegan bool
	// Detach detaches a volume that an unknown run has attached to the machine that migratekit runs on.
	Detach bool
	// Limits restrict a cutover. Last is the last cycle that succeeded according to the state.
	Limits CutoverLimits
	Last   LastCycle

	// environment and trustedCAs are the login for migratekit, once Check has logged in.
	environment map[string]string
	trustedCAs  []byte
	// host is the server that migratekit runs on, set right before the start.
	host string
	// found is what Check found in the project, and report the same right before the start.
	found, report *openstack.Report
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
		t.checkProject(ctx, place, source, &f)
	}
	if f.Done {
		return f
	}
	t.checkCards(source.Status.VM, &f)
	problems := untrackableDisks(source.Status, t.Disks(source.Status.Tracking()),
		"migratekit copies every disk to OpenStack, so give it a form that can be tracked, or detach it for the migration")
	if len(problems) > 0 {
		f.Errors = append(f.Errors, &ImpossibleError{Problems: problems})
	}
	if t.Final() {
		t.checkCutover(source, &f)
	}
	return f
}

// logIn takes the login for migratekit. An outage is only a warning, except for a cutover. After the warning, migratekit gets the variables as they are
// configured, if it accepts them.
func (t *OpenStack) logIn(ctx context.Context, place migratekit.Place, f *Findings) {
	planning := place.Dial == nil
	if t.Cloud == nil {
		if planning {
			f.warn(SubjectNone, "OpenStack Not Checked",
				"No login to OpenStack is configured here, so the project was not read: the plan relies on the state. The apply needs a login. Set openstack in the provider block, or the variables OS_*.")
		} else {
			f.Errors = append(f.Errors, &EnvironmentError{migratekit.CheckOpenStack(place.Getenv)})
		}
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
	if outage, ok := errors.AsType[*openstack.UnreachableError](err); !ok || t.Final() ||
		(!planning && !migratekit.CheckOpenStack(place.Getenv).None()) {
		f.Errors = append(f.Errors, &CloudError{Err: err})
	} else {
		f.warn(SubjectNone, "OpenStack Unreachable", UnreachableText, outage)
	}
}

// checkProject looks for what the replication refers to. What a cutover needs is a warning before it, so that mistakes show early.
func (t *OpenStack) checkProject(ctx context.Context, place migratekit.Place, source Source, f *Findings) {
	request := t.request(source)
	request.Starts, request.Host = place.Dial != nil, place.Server
	report, err := t.Cloud.Check(ctx, request)
	if request.Starts && place.Server != nil {
		t.host, _ = place.Server(ctx) // Check has refused a machine that has none
	}
	if outage, ok := errors.AsType[*openstack.UnreachableError](err); ok && !t.Final() {
		f.warn(SubjectNone, "OpenStack Unreachable", UnreachableText, outage)
		return
	}
	if err != nil {
		f.Errors = append(f.Errors, &CloudError{Err: err})
		return
	}
	t.found = report
	if request.Starts {
		t.report = report
	}
	if report.CutOverTo != "" {
		if t.Final() {
			f.Done = true
			f.warn(SubjectCutover, "Already Cut Over", "%q has been cut over to the server %s, which has its volumes. The apply records that, and copies nothing.", source.Status.VM.Path, report.CutOverTo)
		} else {
			f.Errors = append(f.Errors, &TargetError{At: []any{"cutover"}, Text: fmt.Sprintf(
				"%q has been cut over to the server %s, which has its volumes. For vma_replication, set cutover to true. To copy the source once more, delete that server first. Otherwise remove the resource or the action.", source.Status.VM.Path, report.CutOverTo)})
		}
		return
	}
	for _, problem := range report.Problems {
		if problem.Error {
			f.Errors = append(f.Errors, &TargetError{At: problem.At, Text: problem.Text})
			continue
		}
		f.warnTarget(problem.At, "%s", problem.Text)
		if problem.Unread {
			f.Warnings[len(f.Warnings)-1].Summary = "OpenStack Not Checked"
		}
	}
}

// request describes the copy, and the server of a cutover.
func (t *OpenStack) request(source Source) openstack.Request {
	vm := source.Status.VM
	request := openstack.Request{
		Name: path.Base(vm.Path), Moid: vm.Moid,
		Cutover: t.Cutover, AvailabilityZone: t.AvailabilityZone, VolumeType: t.VolumeType, FlavorID: t.FlavorID, SecurityGroupIDs: t.SecurityGroupIDs,
		CPUs: int(vm.CPUs), MemoryMB: int(vm.MemoryMB), EFI: vm.EFI, Off: vm.PowerState == poweredOff, Unfinished: source.Unfinished, Detach: t.Detach, Copying: t.copying(source),
	}
	for _, disk := range source.Status.Disks {
		request.Disks = append(request.Disks, openstack.DiskRequest{Key: disk.Key, Name: disk.String(), Bytes: disk.Capacity})
	}
	for _, mapping := range t.NetworkMappings {
		request.Networks = append(request.Networks, openstack.NetworkRequest{MAC: mapping.MAC, NetworkID: mapping.NetworkID, SubnetID: mapping.SubnetID, IP: mapping.IP})
	}
	return request
}

// copying estimates how long migratekit needs one token: it logs in once for each disk, and once for a whole cutover. Only full copies count.
func (t *OpenStack) copying(source Source) time.Duration {
	if t.Last.BytesPerSecond <= 0 {
		return 0
	}
	holds, tracking := t.Holds(source.Previous), source.Status.Tracking()
	var longest, sum time.Duration
	for _, disk := range source.Status.Disks {
		if kind, _ := tracking.NextCopy(disk.Key, holds[disk.Key].Epoch); kind == cbt.Full {
			took := time.Duration(disk.Capacity/t.Last.BytesPerSecond) * time.Second
			longest, sum = max(longest, took), sum+took
		}
	}
	if t.Final() {
		return sum
	}
	return longest
}

// warnTarget warns about an attribute.
func (f *Findings) warnTarget(at []any, format string, args ...any) {
	f.warn(SubjectTarget, "OpenStack May Not Fit", format, args...)
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
	at := []any{"openstack", "network_mappings"}
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
			f.warnTarget([]any{"openstack", "network_mappings", i, "mac"}, "%q has no network card with the MAC address %s, so this mapping has no effect.", vm.Path, mapping.MAC)
		}
	}
}

// UnreachableText is what a warning says if OpenStack cannot be reached; it has a verb for the cause.
const UnreachableText = "OpenStack cannot be reached, so nothing about the target was checked: %s. The state is used instead."

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
