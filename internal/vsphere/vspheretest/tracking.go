package vspheretest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

// tracking is the CBT and task state of a VM. It is guarded by VCenter.mu; writers also hold the VM's lock.
type tracking struct {
	pending         *bool // flag that waits for a stun, nil if none
	disks           map[int32]*diskTracking
	uninitialized   map[int32]bool    // disks that a stun leaves without a change ID
	unreadable      map[int32]bool    // disks with an unreadable tracking file
	disabledMethods map[string]string // by method: who disabled it
	busy            *types.ManagedObjectReference
	gates           map[string]chan struct{} // by method: its tasks wait for this
	deltas          int32                    // number of deltas ever created
	hangs           bool                     // the guest ignores a shutdown
}

// diskTracking is a tracking file.
type diskTracking struct {
	epoch    string
	sequence int
	writes   []write
}

type write struct {
	sequence       int
	offset, length int64
}

func (v *VCenter) nextDelta(vm types.ManagedObjectReference) int32 {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.trackingOf(vm)
	t.deltas++
	return t.deltas
}

func (d *diskTracking) changeID() string { return fmt.Sprintf("%s/%d", d.epoch, d.sequence) }

// newEpoch returns an epoch as ESXi prints it: 16 bytes in hex with one dash.
func newEpoch() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // documented never to fail
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
			uninitialized:   map[int32]bool{},
			unreadable:      map[int32]bool{},
			disabledMethods: map[string]string{},
			gates:           map[string]chan struct{}{},
		}
		v.tracked[vm] = t
	}
	return t
}

// configure writes the flag (fact 3): if the VM is running, it waits for a stun. The VM's lock must be held.
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

// apply applies a pending flag and gives trackable disks an epoch if they have none. The VM's lock must be held.
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
		if enabled && state == nil && canTrack(disk) && !t.uninitialized[disk.Key] {
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

// stun is the effect of a snapshot, a power on or a revert: all sequences grow. The VM's lock must be held.
func (v *VCenter) stun(ctx *simulator.Context, vm *simulator.VirtualMachine) {
	v.mu.Lock()
	for _, d := range v.trackingOf(vm.Self).disks {
		d.sequence++
	}
	v.mu.Unlock()
	v.apply(ctx, vm)
}

// forget deletes the tracking files (fact 15): the next stun starts new epochs. The VM's lock must be held.
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

// changeIDField returns the change ID field of a backing (fact 8), or nil if it has none.
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

// canTrack implements fact 16.
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
