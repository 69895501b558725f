package provider

import (
	"context"
	"encoding/json"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/openstack"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// The keys of private state. Terraform compares private state when it looks for drift, so nothing volatile may be in it.
const (
	// privateFound has the CBT setting that vma_cbt found at create.
	privateFound = "found"
	// privateInterrupted is true if an apply of a vma_cbt was interrupted or failed, so that its state was not read from the VM.
	privateInterrupted = "interrupted"
	// privateNames has the names of the VM in the configuration that was applied last, by attribute.
	privateNames = "names"
	// privateTracking has the cbt.Tracking that Read saw. planned_cycle is made from it: Terraform plans again during an apply, and
	// the plan must come out the same even if another resource has changed the VM meanwhile.
	privateTracking = "seen"
	// privateCopied has the name and the managed object ID that the VM had at its last cycle.
	privateCopied = "copied"
	// privateVolumes has the replication.Volumes that Read saw, for the same reason.
	privateVolumes = "volumes"
	// privateImported is true after an import, until the configuration was applied.
	privateImported = "imported"
	// privateSizes has the disks' sizes at their last copy in bytes, by device key.
	privateSizes = "sizes"
)

// privateState is the part of the framework's private state that is needed here; its type is not exported.
type privateState interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
	SetKey(ctx context.Context, key string, value []byte) diag.Diagnostics
}

func savePrivate(ctx context.Context, to privateState, key string, value any) diag.Diagnostics {
	encoded, err := json.Marshal(value)
	if err != nil {
		return diag.Diagnostics{diag.NewErrorDiagnostic("Unable to Save Private State", err.Error())}
	}
	return to.SetKey(ctx, key, encoded)
}

// loadPrivate reports whether there is a value. One that cannot be decoded counts as missing.
func loadPrivate(ctx context.Context, from privateState, key string, value any) bool {
	encoded, _ := from.GetKey(ctx, key)
	return len(encoded) > 0 && json.Unmarshal(encoded, value) == nil
}

func saveTracking(ctx context.Context, to privateState, tracking cbt.Tracking) diag.Diagnostics {
	return savePrivate(ctx, to, privateTracking, tracking)
}

// loadTracking returns the tracking that Read saved, or fallback if there is none.
func loadTracking(ctx context.Context, from privateState, fallback cbt.Tracking) cbt.Tracking {
	var tracking cbt.Tracking
	if !loadPrivate(ctx, from, privateTracking, &tracking) {
		return fallback
	}
	return tracking
}

func saveVolumes(ctx context.Context, to privateState, seen replication.Volumes) diag.Diagnostics {
	return savePrivate(ctx, to, privateVolumes, seen)
}

// loadVolumes returns nil if the volumes are not known.
func loadVolumes(ctx context.Context, from privateState) replication.Volumes {
	var seen replication.Volumes
	loadPrivate(ctx, from, privateVolumes, &seen)
	return seen
}

// saveSizes adds the sizes of the disks that a cycle copied.
func saveSizes(ctx context.Context, to privateState, result *replication.Result) diag.Diagnostics {
	sizes := loadSizes(ctx, to)
	for key := range result.Disks {
		sizes[key] = result.Status.Disk(key).Capacity
	}
	return savePrivate(ctx, to, privateSizes, sizes)
}

func loadSizes(ctx context.Context, from privateState) map[int32]int64 {
	sizes := map[int32]int64{}
	loadPrivate(ctx, from, privateSizes, &sizes)
	return sizes
}

// copiedVM is how migratekit for OpenStack finds the volumes of a VM.
type copiedVM struct {
	Name string `json:"name"`
	Moid string `json:"moid"`
}

func saveCopied(ctx context.Context, to privateState, vm *vsphere.VM) diag.Diagnostics {
	return savePrivate(ctx, to, privateCopied, copiedVM{Name: vm.Name, Moid: vm.Moid})
}

// renamed reports whether migratekit will not find the volumes of the last cycle. State of the first release does not tell.
func renamed(ctx context.Context, from privateState, state vmNames) bool {
	var copied copiedVM
	return loadPrivate(ctx, from, privateCopied, &copied) &&
		(openstack.VolumeName(copied.Name, 0) != openstack.VolumeName(state.VMName.ValueString(), 0) || copied.Moid != state.VMMoid.ValueString())
}

func saveNames(ctx context.Context, to privateState, config vmNames) diag.Diagnostics {
	names := map[string]string{}
	for _, name := range config.given() {
		names[name.attribute()] = name.String()
	}
	return savePrivate(ctx, to, privateNames, names)
}

// loadNames returns nil if nothing was applied, as after an import.
func loadNames(ctx context.Context, from privateState) map[string]string {
	var names map[string]string
	loadPrivate(ctx, from, privateNames, &names)
	return names
}

func saveImported(ctx context.Context, to privateState, imported bool) diag.Diagnostics {
	return savePrivate(ctx, to, privateImported, imported)
}

func loadImported(ctx context.Context, from privateState) bool {
	var imported bool
	return loadPrivate(ctx, from, privateImported, &imported) && imported
}

func saveInterrupted(ctx context.Context, to privateState, interrupted bool) diag.Diagnostics {
	return savePrivate(ctx, to, privateInterrupted, interrupted)
}

func loadInterrupted(ctx context.Context, from privateState) bool {
	var interrupted bool
	return loadPrivate(ctx, from, privateInterrupted, &interrupted) && interrupted
}

// foundCBT is the CBT setting before vma_cbt was created.
type foundCBT struct {
	Enabled bool `json:"enabled"`
}

func saveFound(ctx context.Context, to privateState, status *cbt.Status) diag.Diagnostics {
	return savePrivate(ctx, to, privateFound, foundCBT{Enabled: status.Enabled()})
}
