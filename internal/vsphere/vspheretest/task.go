package vspheretest

import (
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// work is the body of a task. It takes the VM's lock itself.
type work func(ctx *simulator.Context) (types.AnyType, types.BaseMethodFault)

// runTask starts a task on a VM. Until it ends, other writes to the VM fail with TaskInProgress (fact 19).
func (v *VCenter) runTask(
	ctx *simulator.Context, vm *simulator.VirtualMachine, method string, do work,
) (types.ManagedObjectReference, types.BaseMethodFault) {
	name := strings.TrimSuffix(method, "_Task")
	task := simulator.CreateTask(vm, strings.ToLower(name[:1])+name[1:], nil) // descriptionId "VirtualMachine.createSnapshot"
	task.Info.Name = method
	task.Info.State = types.TaskInfoStateRunning
	task.Info.Reason = &types.TaskReasonUser{UserName: Username}
	started := time.Now()
	task.Info.StartTime = &started

	v.mu.Lock()
	t := v.trackingOf(vm.Self)
	if t.busy != nil {
		busy := *t.busy
		v.mu.Unlock()
		return types.ManagedObjectReference{}, &types.TaskInProgress{Task: busy}
	}
	t.busy = &types.ManagedObjectReference{} // reserved; set below
	gate, fails := t.gates[method], v.fails(method)
	v.mu.Unlock()

	ctx.Map.Put(task)
	ref := task.Reference()
	ctx.Update(task, []types.PropertyChange{
		{Name: "info.key", Val: ref.Value},
		{Name: "info.task", Val: ref},
	})
	v.mu.Lock()
	t.busy = &ref
	v.mu.Unlock()

	detached := *ctx
	go func() {
		if gate != nil {
			<-gate
		}
		detached.Map.AtomicUpdate(&detached, task, []types.PropertyChange{{Name: "info.progress", Val: int32(50)}})
		var (
			result types.AnyType
			fault  types.BaseMethodFault = &types.SystemError{Reason: "simulated failure"}
		)
		if !fails {
			result, fault = do(&detached)
		}
		v.finish(&detached, vm.Self, task, result, fault)
	}()
	return ref, nil
}

// finish frees the VM before it completes the task, so that waiters can write at once.
func (v *VCenter) finish(
	ctx *simulator.Context, vm types.ManagedObjectReference, task *simulator.Task,
	result types.AnyType, fault types.BaseMethodFault,
) {
	v.mu.Lock()
	v.trackingOf(vm).busy = nil
	v.mu.Unlock()
	state := types.TaskInfoStateSuccess
	var failure any
	if fault != nil {
		state = types.TaskInfoStateError
		failure = types.LocalizedMethodFault{Fault: fault, LocalizedMessage: faultText(fault)}
	}
	ctx.Map.AtomicUpdate(ctx, task, []types.PropertyChange{
		{Name: "info.completeTime", Val: time.Now()},
		{Name: "info.state", Val: state},
		{Name: "info.result", Val: result},
		{Name: "info.error", Val: failure},
	})
}

// forward runs one of the simulator's own tasks with the VM's lock held and returns its result.
func forward(
	ctx *simulator.Context, vm *simulator.VirtualMachine,
	prepare func() types.BaseMethodFault, call func() (types.ManagedObjectReference, *soap.Fault),
) (types.AnyType, types.BaseMethodFault) {
	var (
		ref   types.ManagedObjectReference
		fault types.BaseMethodFault
		soapf *soap.Fault
	)
	ctx.WithLock(vm, func() {
		if fault = prepare(); fault == nil {
			ref, soapf = call()
		}
	})
	if fault != nil {
		return nil, fault
	}
	if soapf != nil {
		if f, ok := soapf.VimFault().(types.BaseMethodFault); ok {
			return nil, f
		}
		return nil, &types.RuntimeFault{}
	}
	inner, ok := ctx.Map.Get(ref).(*simulator.Task)
	if !ok {
		return nil, &types.ManagedObjectNotFound{Obj: ref}
	}
	inner.Wait()
	var info types.TaskInfo
	ctx.WithLock(inner, func() { info = inner.Info })
	if info.Error != nil {
		return nil, info.Error.Fault
	}
	return info.Result, nil
}
