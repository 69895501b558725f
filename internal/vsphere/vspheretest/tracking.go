package vspheretest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// tracking is what a host knows of one VM's tracking files and task queue. It
// is guarded by VCenter.mu, and changed with the VM's own lock held.
type tracking struct {
	// pending is a flag that was written and waits for a stun, nil for none.
	pending *bool
	disks   map[int32]*diskTracking
	// uninitialised are the disks that a stun leaves without a change ID.
	uninitialised map[int32]bool
	// unreadable are the disks whose tracking file cannot be read.
	unreadable      map[int32]bool
	disabledMethods map[string]string // method to who disabled it
	busy            *types.ManagedObjectReference
	gates           map[string]chan struct{} // method to what its task waits for
	deltas          int32                    // how many were ever made
}

// diskTracking is one tracking file: an epoch, and what was written when.
type diskTracking struct {
	epoch    string
	sequence int
	writes   []write
}

type write struct {
	sequence       int
	offset, length int64
}

// nextDelta numbers the delta files of a VM.
func (v *VCenter) nextDelta(vm types.ManagedObjectReference) int32 {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.trackingOf(vm)
	t.deltas++
	return t.deltas
}

func (d *diskTracking) changeID() string { return fmt.Sprintf("%s/%d", d.epoch, d.sequence) }

// newEpoch is of the form that ESXi prints: 16 bytes in hex, with one dash.
func newEpoch() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, by its documentation
	pairs := make([]string, len(b))
	for i := range b {
		pairs[i] = hex.EncodeToString(b[i : i+1])
	}
	return strings.Join(pairs[:8], " ") + "-" + strings.Join(pairs[8:], " ")
}

// trackingOf must be called with v.mu held.
func (v *VCenter) trackingOf(vm types.ManagedObjectReference) *tracking {
	t := v.tracked[vm]
	if t == nil {
		t = &tracking{
			disks:           map[int32]*diskTracking{},
			uninitialised:   map[int32]bool{},
			unreadable:      map[int32]bool{},
			disabledMethods: map[string]string{},
			gates:           map[string]chan struct{}{},
		}
		v.tracked[vm] = t
	}
	return t
}

// configure writes the flag (fact 3): on a VM that is off it works at once, on
// a running one it waits for the next stun. The VM's lock must be held.
func (v *VCenter) configure(ctx *simulator.Context, vm *simulator.VirtualMachine, enabled bool) {
	v.mu.Lock()
	t := v.trackingOf(vm.Self)
	if enabled == isTrue(vm.Config.ChangeTrackingEnabled) && t.pending == nil {
		v.mu.Unlock()
		return
	}
	t.pending = &enabled
	atOnce := v.flagAtOnce
	v.mu.Unlock()
	if vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOff {
		v.apply(ctx, vm)
		return
	}
	if atOnce {
		vm.Config.ChangeTrackingEnabled = &enabled
	}
}

// apply makes a pending flag true and gives an epoch to every disk that can be
// tracked and has none yet. The VM's lock must be held.
func (v *VCenter) apply(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.trackingOf(vm.Self)
	enabled := isTrue(vm.Config.ChangeTrackingEnabled)
	if t.pending != nil {
		enabled = *t.pending
		if !enabled {
			clear(t.disks)
		}
		t.pending = nil
	}
	for _, disk := range disksOf(vm.Config.Hardware.Device) {
		field := changeIDField(disk)
		if field == nil {
			continue
		}
		state := t.disks[disk.Key]
		if enabled && state == nil && canTrack(disk) && !t.uninitialised[disk.Key] {
			state = &diskTracking{epoch: newEpoch(), sequence: 1}
			t.disks[disk.Key] = state
		}
		*field = ""
		if enabled && state != nil {
			*field = state.changeID()
		}
	}
	vm.Config.ChangeTrackingEnabled = &enabled
	ctx.Update(vm, []types.PropertyChange{{Name: "config.hardware.device", Val: vm.Config.Hardware.Device}})
}

// stun is what a snapshot, a power on or a revert does to a VM. Every tracked
// disk's sequence grows. The VM's lock must be held.
func (v *VCenter) stun(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	v.mu.Lock()
	for _, d := range v.trackingOf(vm.Self).disks {
		d.sequence++
	}
	v.mu.Unlock()
	v.apply(ctx, vm)
}

// forget loses the tracking files, as a revert or a power loss does (fact 15):
// the next stun starts new epochs. The VM's lock must be held.
func (v *VCenter) forget(vm *simulator.VirtualMachine) {
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.trackingOf(vm.Self).disks)
}

func isTrue(b *bool) bool { return b != nil && *b }

func disksOf(devices []types.BaseVirtualDevice) []*types.VirtualDisk {
	var disks []*types.VirtualDisk
	for _, device := range devices {
		if disk, ok := device.(*types.VirtualDisk); ok {
			disks = append(disks, disk)
		}
	}
	return disks
}

// changeIDField is where a backing keeps its change ID (fact 8), nil where the
// kind of backing has none.
func changeIDField(disk *types.VirtualDisk) *string {
	switch backing := disk.Backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		return &backing.ChangeId
	case *types.VirtualDiskSparseVer2BackingInfo:
		return &backing.ChangeId
	case *types.VirtualDiskSeSparseBackingInfo:
		return &backing.ChangeId
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		return &backing.ChangeId
	case *types.VirtualDiskRawDiskVer2BackingInfo:
		return &backing.ChangeId
	case *types.VirtualDiskPartitionedRawDiskVer2BackingInfo:
		return &backing.ChangeId
	}
	return nil
}

// canTrack is fact 16.
func canTrack(disk *types.VirtualDisk) bool {
	mode, sharing := "", ""
	switch backing := disk.Backing.(type) {
	case *types.VirtualDiskFlatVer2BackingInfo:
		mode, sharing = backing.DiskMode, backing.Sharing
	case *types.VirtualDiskSparseVer2BackingInfo:
		mode = backing.DiskMode
	case *types.VirtualDiskSeSparseBackingInfo:
		mode = backing.DiskMode
	case *types.VirtualDiskRawDiskMappingVer1BackingInfo:
		if backing.CompatibilityMode == string(types.VirtualDiskCompatibilityModePhysicalMode) {
			return false
		}
		mode, sharing = backing.DiskMode, backing.Sharing
	case *types.VirtualDiskRawDiskVer2BackingInfo:
		sharing = backing.Sharing
	case *types.VirtualDiskPartitionedRawDiskVer2BackingInfo:
		sharing = backing.Sharing
	default:
		return false
	}
	return !strings.HasPrefix(mode, "independent_") && sharing != string(types.VirtualDiskSharingSharingMultiWriter)
}
