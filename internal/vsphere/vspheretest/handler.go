package vspheretest

import (
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// handle runs before each call. It refuses what a real vCenter refuses, and replaces the simulator's object by one with
// CBT for the methods that need it.
func (v *VCenter) handle(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	if ctx.Session == nil && !withoutSession[method.Name] {
		return nil, &types.NotAuthenticated{
			NoPermission: types.NoPermission{Object: &method.This, PrivilegeId: "System.View"},
		}
	}
	if fault := v.checkPrivileges(method); fault != nil {
		return nil, fault
	}
	object := ctx.Map.Get(method.This)
	switch target := object.(type) {
	case *simulator.VirtualMachine:
		if fault := disconnected(method, target); fault != nil {
			return nil, fault
		}
		if fault := v.refused(method, target.Self); fault != nil {
			return nil, fault
		}
		if handledByVM[method.Name] {
			return instead(method, &trackedVM{VirtualMachine: target, vcenter: v}), nil
		}
	case *simulator.VirtualMachineSnapshot:
		if vm, ok := ctx.Map.Get(target.Vm).(*simulator.VirtualMachine); ok {
			if fault := disconnected(method, vm); fault != nil {
				return nil, fault
			}
		}
		if fault := v.refused(method, target.Vm); fault != nil {
			return nil, fault
		}
		if handledBySnapshot[method.Name] {
			return instead(method, &trackedSnapshot{VirtualMachineSnapshot: target, vcenter: v}), nil
		}
	case *simulator.PropertyCollector:
		if method.Name == "CreatePropertyCollector" {
			return instead(method, &collectors{PropertyCollector: target, vcenter: v}), nil
		}
	case *simulator.AuthorizationManager:
		if method.Name == "HasUserPrivilegeOnEntities" {
			return instead(method, &authorization{AuthorizationManager: target, vcenter: v}), nil
		}
	}
	return nil, nil
}

// withoutSession lists what a real vCenter answers before a login. The simulator also allows property reads.
var withoutSession = map[string]bool{
	"Login":                  true,
	"RetrieveServiceContent": true,
}

var handledByVM = map[string]bool{
	"ReconfigVM_Task":         true,
	"CreateSnapshot_Task":     true,
	"CreateSnapshotEx_Task":   true,
	"PowerOnVM_Task":          true,
	"ShutdownGuest":           true,
	"RemoveAllSnapshots_Task": true,
	"QueryChangedDiskAreas":   true,
}

var handledBySnapshot = map[string]bool{
	"RemoveSnapshot_Task":   true,
	"RevertToSnapshot_Task": true,
}

// instead makes the simulator call our receiver. After the handler, the simulator looks method.This up in the registry
// and would use its own object, so the reference is changed to one that is not found.
func instead(method *simulator.Method, receiver mo.Reference) mo.Reference {
	method.This.Value += "#tracked"
	return receiver
}

// needed returns the privilege that a method needs (fact 23).
func needed(method *simulator.Method) string {
	switch method.Name {
	case "ReconfigVM_Task":
		if req, ok := method.Body.(*types.ReconfigVM_Task); ok && req.Spec.ChangeTrackingEnabled != nil {
			return "VirtualMachine.Config.ChangeTracking"
		}
	case "CreateSnapshot_Task", "CreateSnapshotEx_Task":
		return "VirtualMachine.State.CreateSnapshot"
	case "RemoveSnapshot_Task":
		return "VirtualMachine.State.RemoveSnapshot"
	case "QueryChangedDiskAreas":
		return "VirtualMachine.Provisioning.DiskRandomRead"
	}
	return ""
}

func (v *VCenter) checkPrivileges(method *simulator.Method) types.BaseMethodFault {
	privilege := needed(method)
	v.mu.Lock()
	denied := v.denied[method.Name]
	v.mu.Unlock()
	if !denied && (privilege == "" || !v.lacks(privilege)) {
		return nil
	}
	return &types.NoPermission{Object: &method.This, PrivilegeId: privilege}
}

// disconnected returns the fault of a task on a VM whose host is away, or nil.
func disconnected(method *simulator.Method, vm *simulator.VirtualMachine) types.BaseMethodFault {
	state := vm.Runtime.ConnectionState
	if state == "" || state == types.VirtualMachineConnectionStateConnected || !strings.HasSuffix(method.Name, "_Task") {
		return nil
	}
	return &types.HostNotConnected{}
}

// refused returns the fault of a disabled method or a busy VM, or nil.
func (v *VCenter) refused(method *simulator.Method, vm types.ManagedObjectReference) types.BaseMethodFault {
	if !strings.HasSuffix(method.Name, "_Task") {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.trackingOf(vm)
	if source, ok := t.disabledMethods[method.Name]; ok {
		return &types.MethodDisabled{Source: source}
	}
	if t.busy != nil {
		return &types.TaskInProgress{Task: *t.busy}
	}
	return nil
}

// authorization answers privilege checks: the account has what was not revoked.
type authorization struct {
	*simulator.AuthorizationManager
	vcenter *VCenter
}

func (a *authorization) HasUserPrivilegeOnEntities(req *types.HasUserPrivilegeOnEntities) soap.HasFault {
	if req.UserName != Username { // unknown user
		fault := &types.NotFound{}
		return &methods.HasUserPrivilegeOnEntitiesBody{Fault_: simulator.Fault(faultText(fault), fault)}
	}
	var result []types.EntityPrivilege
	for _, entity := range req.Entities {
		answer := types.EntityPrivilege{Entity: entity}
		for _, id := range slices.Compact(slices.Clone(req.PrivId)) {
			answer.PrivAvailability = append(answer.PrivAvailability, types.PrivilegeAvailability{
				PrivId: id, IsGranted: !a.vcenter.lacks(id),
			})
		}
		result = append(result, answer)
	}
	return &methods.HasUserPrivilegeOnEntitiesBody{
		Res: &types.HasUserPrivilegeOnEntitiesResponse{Returnval: result},
	}
}
