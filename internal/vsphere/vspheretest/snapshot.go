package vspheretest

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// trackedSnapshot replaces the simulator's snapshot for one call.
type trackedSnapshot struct {
	*simulator.VirtualMachineSnapshot
	vcenter *VCenter
}

func (s *trackedSnapshot) machine(ctx *simulator.Context) (*simulator.VirtualMachine, types.BaseMethodFault) {
	vm, ok := ctx.Map.Get(s.Vm).(*simulator.VirtualMachine)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: s.Vm}
	}
	return vm, nil
}

func (s *trackedSnapshot) RemoveSnapshotTask(ctx *simulator.Context, req *types.RemoveSnapshot_Task) soap.HasFault {
	req.This = s.Self
	ref, fault := s.remove(ctx, req)
	if fault != nil {
		return &methods.RemoveSnapshot_TaskBody{Fault_: simulator.Fault(faultText(fault), fault)}
	}
	return &methods.RemoveSnapshot_TaskBody{Res: &types.RemoveSnapshot_TaskResponse{Returnval: ref}}
}

func (s *trackedSnapshot) remove(ctx *simulator.Context, req *types.RemoveSnapshot_Task) (types.ManagedObjectReference, types.BaseMethodFault) {
	vm, fault := s.machine(ctx)
	if fault != nil {
		return types.ManagedObjectReference{}, fault
	}
	return s.vcenter.runTask(ctx, vm, "RemoveSnapshot_Task", func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault) {
		gone := func() types.BaseMethodFault {
			switch {
			case ctx.Map.Get(s.Self) == nil:
				return &types.ManagedObjectNotFound{Obj: s.Self}
			case isTrue(vm.Config.Flags.SnapshotLocked): // fact 17
				return &types.SnapshotLocked{}
			}
			s.vcenter.apply(ctx, vm) // a removal is a stun too (fact 3)
			return nil
		}
		result, fault := forward(ctx, vm, gone, func() (types.ManagedObjectReference, *soap.Fault) {
			body, _ := s.VirtualMachineSnapshot.RemoveSnapshotTask(ctx, req).(*methods.RemoveSnapshot_TaskBody)
			return body.Res.Returnval, nil
		})
		if fault == nil {
			ctx.WithLock(vm, func() { dropDeltas(ctx, vm, vm.Snapshot == nil) })
		}
		return result, fault
	})
}

func (s *trackedSnapshot) RevertToSnapshotTask(ctx *simulator.Context, req *types.RevertToSnapshot_Task) soap.HasFault {
	req.This = s.Self
	body := &methods.RevertToSnapshot_TaskBody{}
	vm, fault := s.machine(ctx)
	if fault != nil {
		body.Fault_ = simulator.Fault(faultText(fault), fault)
		return body
	}
	ctx.WithLock(vm, func() {
		s.vcenter.forget(vm) // fact 15
		s.vcenter.stun(ctx, vm)
	})
	return s.VirtualMachineSnapshot.RevertToSnapshotTask(ctx, req)
}
