package vspheretest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// maxDepth is the longest snapshot chain in vSphere (fact 17).
const maxDepth = 32

// trackedVM replaces the simulator's VM for one call.
type trackedVM struct {
	*simulator.VirtualMachine
	vcenter *VCenter
}

func (m *trackedVM) ReconfigVMTask(ctx *simulator.Context, req *types.ReconfigVM_Task) soap.HasFault {
	enabled := req.Spec.ChangeTrackingEnabled
	req.Spec.ChangeTrackingEnabled = nil
	prepare := func() types.BaseMethodFault {
		if enabled == nil {
			return nil
		}
		switch {
		case m.Config.Template:
			return &types.NotSupported{}
		case !m.Capability.ChangeTrackingSupported, hardwareVersion(m.Config.Version) < 7: // fact 2
			return &types.InvalidVmConfig{Property: "changeTrackingEnabled"}
		}
		return nil
	}
	ref, fault := m.vcenter.runTask(ctx, m.VirtualMachine, "ReconfigVM_Task", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		result, fault := forward(ctx, m.VirtualMachine, prepare, func() (types.ManagedObjectReference, *soap.Fault) {
			body, _ := m.VirtualMachine.ReconfigVMTask(ctx, req).(*methods.ReconfigVM_TaskBody)
			return body.Res.Returnval, nil
		})
		if fault == nil && enabled != nil {
			ctx.WithLock(m.VirtualMachine, func() { m.vcenter.configure(ctx, m.VirtualMachine, *enabled) })
		}
		return result, fault
	})
	if fault != nil {
		return &methods.ReconfigVM_TaskBody{Fault_: simulator.Fault(faultText(fault), fault)}
	}
	return &methods.ReconfigVM_TaskBody{Res: &types.ReconfigVM_TaskResponse{Returnval: ref}}
}

func (m *trackedVM) CreateSnapshotTask(ctx *simulator.Context, req *types.CreateSnapshot_Task) soap.HasFault {
	ref, fault := m.createSnapshot(ctx, req)
	if fault != nil {
		return &methods.CreateSnapshot_TaskBody{Fault_: simulator.Fault(faultText(fault), fault)}
	}
	return &methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{Returnval: ref}}
}

func (m *trackedVM) CreateSnapshotExTask(ctx *simulator.Context, req *types.CreateSnapshotEx_Task) soap.HasFault {
	ref, fault := m.createSnapshot(ctx, &types.CreateSnapshot_Task{
		This: req.This, Name: req.Name, Description: req.Description, Memory: req.Memory, Quiesce: req.QuiesceSpec != nil,
	})
	if fault != nil {
		return &methods.CreateSnapshotEx_TaskBody{Fault_: simulator.Fault(faultText(fault), fault)}
	}
	return &methods.CreateSnapshotEx_TaskBody{Res: &types.CreateSnapshotEx_TaskResponse{Returnval: ref}}
}

func (m *trackedVM) createSnapshot(ctx *simulator.Context, req *types.CreateSnapshot_Task) (types.ManagedObjectReference, types.BaseMethodFault) {
	// fact 21: vCenter escapes these in every name that it stores.
	req.Name = strings.NewReplacer("%", "%25", "/", "%2f", `\`, "%5c").Replace(req.Name)
	return m.vcenter.runTask(ctx, m.VirtualMachine, "CreateSnapshot_Task", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		prepare := func() types.BaseMethodFault {
			if fault := m.cannotSnapshot(req.Memory); fault != nil {
				return fault
			}
			m.vcenter.stun(ctx, m.VirtualMachine)
			return nil
		}
		result, fault := forward(ctx, m.VirtualMachine, prepare, func() (types.ManagedObjectReference, *soap.Fault) {
			body, _ := m.VirtualMachine.CreateSnapshotTask(ctx, req).(*methods.CreateSnapshot_TaskBody)
			return body.Res.Returnval, nil
		})
		if fault == nil {
			ctx.WithLock(m.VirtualMachine, func() { addDeltas(ctx, m.VirtualMachine, m.vcenter.nextDelta(m.Self)) })
		}
		return result, fault
	})
}

// cannotSnapshot implements fact 17.
func (m *trackedVM) cannotSnapshot(memory bool) types.BaseMethodFault {
	switch {
	case m.Config.Template, !m.Capability.SnapshotOperationsSupported, protected(m.Runtime.FaultToleranceState):
		return &types.NotSupported{}
	case isTrue(m.Config.Flags.SnapshotLocked):
		return &types.SnapshotLocked{}
	case m.Snapshot != nil && depth(m.Snapshot.RootSnapshotList) >= maxDepth:
		return &types.TooManySnapshotLevels{}
	}
	for _, device := range m.Config.Hardware.Device {
		if controller, ok := device.(types.BaseVirtualSCSIController); ok {
			sharing := controller.GetVirtualSCSIController().SharedBus
			if sharing != "" && sharing != types.VirtualSCSISharingNoSharing {
				return &types.SnapshotIncompatibleDeviceInVm{}
			}
		}
	}
	if memory && m.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		for _, disk := range disksOf(m.Config.Hardware.Device) {
			if !canTrack(disk) {
				return &types.SnapshotIncompatibleDeviceInVm{} // fact 24
			}
		}
	}
	return nil
}

func protected(state types.VirtualMachineFaultToleranceState) bool {
	return state != "" && state != types.VirtualMachineFaultToleranceStateNotConfigured
}

func (m *trackedVM) PowerOnVMTask(ctx *simulator.Context, req *types.PowerOnVM_Task) soap.HasFault {
	m.vcenter.stun(ctx, m.VirtualMachine) // fact 3
	return m.VirtualMachine.PowerOnVMTask(ctx, req)
}

// ShutdownGuest needs VMware Tools. It returns before the guest is off, and posts an event.
func (m *trackedVM) ShutdownGuest(ctx *simulator.Context, req *types.ShutdownGuest) soap.HasFault {
	if m.Guest.ToolsRunningStatus != string(types.VirtualMachineToolsRunningStatusGuestToolsRunning) {
		fault := &types.ToolsUnavailable{}
		return &methods.ShutdownGuestBody{Fault_: simulator.Fault(faultText(fault), fault)}
	}
	m.vcenter.mu.Lock()
	hangs := m.vcenter.trackingOf(m.Self).hangs
	m.vcenter.mu.Unlock()
	if !hangs || m.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn {
		return m.VirtualMachine.ShutdownGuest(ctx, req)
	}
	event := &types.VmGuestShutdownEvent{VmEvent: types.VmEvent{Event: types.Event{
		Vm: &types.VmEventArgument{EntityEventArgument: types.EntityEventArgument{Name: m.Name}, Vm: m.Self},
	}}}
	ctx.Map.EventManager().PostEvent(ctx, &types.PostEvent{EventToPost: event})
	return &methods.ShutdownGuestBody{Res: &types.ShutdownGuestResponse{}}
}

func (m *trackedVM) RemoveAllSnapshotsTask(ctx *simulator.Context, req *types.RemoveAllSnapshots_Task) soap.HasFault {
	ref, fault := m.vcenter.runTask(ctx, m.VirtualMachine, "RemoveAllSnapshots_Task", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		prepare := func() types.BaseMethodFault {
			if isTrue(m.Config.Flags.SnapshotLocked) {
				return &types.SnapshotLocked{}
			}
			m.vcenter.apply(ctx, m.VirtualMachine)
			return nil
		}
		result, fault := forward(ctx, m.VirtualMachine, prepare, func() (types.ManagedObjectReference, *soap.Fault) {
			body, _ := m.VirtualMachine.RemoveAllSnapshotsTask(ctx, req).(*methods.RemoveAllSnapshots_TaskBody)
			return body.Res.Returnval, nil
		})
		if fault == nil {
			ctx.WithLock(m.VirtualMachine, func() { dropDeltas(ctx, m.VirtualMachine, true) })
		}
		return result, fault
	})
	if fault != nil {
		return &methods.RemoveAllSnapshots_TaskBody{Fault_: simulator.Fault(faultText(fault), fault)}
	}
	return &methods.RemoveAllSnapshots_TaskBody{Res: &types.RemoveAllSnapshots_TaskResponse{Returnval: ref}}
}

func depth(tree []types.VirtualMachineSnapshotTree) int {
	deepest := 0
	for _, node := range tree {
		deepest = max(deepest, 1+depth(node.ChildSnapshotList))
	}
	return deepest
}

// hardwareVersion returns 7 for "vmx-07", 0 if it cannot be parsed.
func hardwareVersion(version string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(version, "vmx-"))
	if err != nil {
		return 0
	}
	return n
}

func faultText(fault types.BaseMethodFault) string {
	name := fmt.Sprintf("%T", fault)
	return "simulated fault " + name[strings.LastIndex(name, ".")+1:]
}
