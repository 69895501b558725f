package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/openstack"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
)

// ImportState implements resource.ResourceWithImportState: by path, managed object ID or UUID. If OpenStack has volumes of the VM, the first plan adopts the
// configuration without a cycle. Otherwise the first cycle is still to come.
func (r *replicationResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	status := r.data.importVM(ctx, req.ID, importNames(req.ID), &resp.Diagnostics)
	if status == nil {
		return
	}
	var volumes map[int32]openstack.Volume
	if r.data.openstack != nil {
		all, err := r.data.openstack.Volumes(ctx)
		if err != nil {
			if _, outage := errors.AsType[*openstack.UnreachableError](err); outage {
				err = fmt.Errorf("whether there are copies of %q is not known: %w", status.VM.Path, err)
			}
			resp.Diagnostics.Append(openStackDiagnostic(err))
			return
		}
		volumes = replication.VolumesOf(status.VM, all)
	}
	names := vmNames{}
	names.fill(status.VM)
	attributes := map[string]any{
		"id": names.ID, "vm_name": names.VMName, attributePath: names.VMPath, attributeUUID: names.VMUUID, attributeMoid: names.VMMoid,
		"cutover": false, "on_tracking_reset": onResetFull, "on_leftover_snapshot": r.data.onLeftoverSnapshot, "stop_grace": defaultStopGrace,
		"cbt_enabled": status.Tracked(), "tracking_intact": true, "cycles": int64(0), "status": statusInterrupted, "change_ids": map[string]string{},
	}
	if len(volumes) > 0 {
		complete := len(volumes) == len(status.Disks)
		changeIDs := map[string]string{}
		for key, volume := range volumes {
			if volume.ChangeID == "" {
				complete = false
				continue
			}
			changeIDs[formatKey(key)] = volume.ChangeID
		}
		attributes["openstack"], attributes["volumes"] = emptyOpenStack(), volumesValue(volumes, &resp.Diagnostics)
		attributes["change_ids"], attributes["target_intact"] = changeIDs, true
		if complete { // else the next cycle completes the copies
			attributes["status"] = statusReplicated
			resp.Diagnostics.Append(saveImported(ctx, resp.Private, true)...)
		}
		resp.Diagnostics.Append(saveVolumes(ctx, resp.Private, replication.SeenVolumes(volumes))...)
		resp.Diagnostics.Append(saveCopied(ctx, resp.Private, status.VM)...)
	}
	for attribute, value := range attributes {
		resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root(attribute), value)...)
	}
	resp.Diagnostics.Append(saveTracking(ctx, resp.Private, status.Tracking())...)
}

// emptyOpenStack returns openstack = {}.
func emptyOpenStack() openStackModel {
	mapping := map[string]attr.Type{"mac": types.StringType, "network_id": types.StringType, "subnet_id": types.StringType, "ip": types.StringType}
	return openStackModel{
		NetworkMappings: types.ListNull(types.ObjectType{AttrTypes: mapping}), SecurityGroupIDs: types.ListNull(types.StringType),
	}
}
