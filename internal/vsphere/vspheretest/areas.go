package vspheretest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// QueryChangedDiskAreas implements facts 10 to 13: pages, also empty ones, and the faults.
func (m *trackedVM) QueryChangedDiskAreas(ctx *simulator.Context, req *types.QueryChangedDiskAreas) soap.HasFault {
	info, fault := m.changedAreas(ctx, req)
	if fault != nil {
		return &methods.QueryChangedDiskAreasBody{Fault_: simulator.Fault(faultText(fault), fault)}
	}
	return &methods.QueryChangedDiskAreasBody{Res: &types.QueryChangedDiskAreasResponse{Returnval: *info}}
}

func (m *trackedVM) changedAreas(ctx *simulator.Context, req *types.QueryChangedDiskAreas) (*types.DiskChangeInfo, types.BaseMethodFault) {
	devices := m.Config.Hardware.Device
	if req.Snapshot == nil {
		if m.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff {
			return nil, &types.FileFault{File: m.Config.Files.VmPathName} // fact 10
		}
	} else {
		snapshot, ok := ctx.Map.Get(*req.Snapshot).(*simulator.VirtualMachineSnapshot)
		if !ok || snapshot.Vm != m.Self {
			return nil, &types.NotFound{}
		}
		devices = snapshot.Config.Hardware.Device
	}
	disks := disksOf(devices)
	i := slices.IndexFunc(disks, func(d *types.VirtualDisk) bool { return d.Key == req.DeviceKey })
	if i < 0 {
		return nil, &types.InvalidArgument{InvalidProperty: "deviceKey"}
	}
	disk := disks[i]
	if req.StartOffset < 0 || req.StartOffset >= disk.CapacityInBytes {
		return nil, &types.InvalidArgument{InvalidProperty: "startOffset"}
	}
	at := ""
	if field := changeIDField(disk); field != nil {
		at = *field
	}
	if at == "" {
		return nil, &types.FileFault{File: diskFile(disk)} // no tracking file
	}
	return m.page(req, disk, at)
}

func (m *trackedVM) page(req *types.QueryChangedDiskAreas, disk *types.VirtualDisk, at string) (*types.DiskChangeInfo, types.BaseMethodFault) {
	m.vcenter.mu.Lock()
	defer m.vcenter.mu.Unlock()
	t := m.vcenter.trackingOf(m.Self)
	if t.unreadable[disk.Key] {
		return nil, &types.FileFault{File: diskFile(disk)}
	}
	epoch, until, _ := splitChangeID(at)
	since := 0
	if req.ChangeId != "*" {
		asked, sequence, ok := splitChangeID(req.ChangeId)
		if !ok || asked != epoch || sequence > until {
			return nil, &types.InvalidArgument{InvalidProperty: "changeId"} // fact 12
		}
		since = sequence
	}
	end := min(req.StartOffset+m.vcenter.pageSize, disk.CapacityInBytes)
	info := &types.DiskChangeInfo{StartOffset: req.StartOffset, Length: end - req.StartOffset}
	if state := t.disks[disk.Key]; state != nil && state.epoch == epoch {
		for _, w := range state.writes {
			if w.sequence < since || w.sequence >= until {
				continue
			}
			from, to := max(w.offset, req.StartOffset), min(w.offset+w.length, end)
			if from < to {
				info.ChangedArea = append(info.ChangedArea, types.DiskChangeExtent{Start: from, Length: to - from})
			}
		}
	}
	info.ChangedArea = merge(info.ChangedArea)
	return info, nil
}

// merge joins areas that overlap or touch, as the bitmap of a real tracking file does.
func merge(areas []types.DiskChangeExtent) []types.DiskChangeExtent {
	slices.SortFunc(areas, func(a, b types.DiskChangeExtent) int { return int(a.Start - b.Start) })
	var merged []types.DiskChangeExtent
	for _, area := range areas {
		if n := len(merged); n > 0 && area.Start <= merged[n-1].Start+merged[n-1].Length {
			merged[n-1].Length = max(merged[n-1].Length, area.Start+area.Length-merged[n-1].Start)
			continue
		}
		merged = append(merged, area)
	}
	return merged
}

func splitChangeID(id string) (epoch string, sequence int, ok bool) {
	i := strings.LastIndex(id, "/")
	if i <= 0 {
		return "", 0, false
	}
	sequence, err := strconv.Atoi(id[i+1:])
	return id[:i], sequence, err == nil
}

func diskFile(disk *types.VirtualDisk) string {
	if backing, ok := disk.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		return backing.GetVirtualDeviceFileBackingInfo().FileName
	}
	return ""
}
