package provider

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// attempts remembers, within one process, replications whose first cycle failed. Terraform taints such a resource and creates it anew, without its state:
// what the cycle copied passes through here. Read runs in the process of the plan, Delete in that of the apply, before Create.
type attempts struct {
	mu            sync.Mutex
	read, deleted map[string]*attempt // by ID of the VM
}

// attempt is a replication as it was read or deleted.
type attempt struct {
	state   replicationModel
	private map[string][]byte
	// names has the names of the VM that were applied last.
	names map[string]string
}

// unfinished reports whether the first cycle failed after migratekit was started.
func (m replicationModel) unfinished() bool {
	return m.Status.ValueString() == statusFailed && m.Cycles.ValueInt64() == 0
}

func (a *attempts) addRead(state replicationModel) {
	if !state.unfinished() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.read == nil {
		a.read = map[string]*attempt{}
	}
	a.read[state.ID.ValueString()] = &attempt{state: state}
}

func (a *attempts) addDeleted(ctx context.Context, state replicationModel, private privateState) {
	if !state.unfinished() {
		return
	}
	kept := &attempt{state: state, private: map[string][]byte{}, names: loadNames(ctx, private)}
	for _, key := range []string{privateTracking, privateVolumes, privateCopied, privateSizes} {
		if value, _ := private.GetKey(ctx, key); len(value) > 0 {
			kept.private[key] = value
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.deleted == nil {
		a.deleted = map[string]*attempt{}
	}
	a.deleted[state.ID.ValueString()] = kept
}

// lastRead returns the replication of a VM that this process has read, or nil.
func (a *attempts) lastRead(id string) *replicationModel {
	a.mu.Lock()
	defer a.mu.Unlock()
	if found := a.read[id]; found != nil {
		return &found.state
	}
	return nil
}

// lastReadOrDeleted returns the replication of a VM that this process has deleted or read, or nil.
func (a *attempts) lastReadOrDeleted(id string) *replicationModel {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, found := range []*attempt{a.deleted[id], a.read[id]} {
		if found != nil {
			return &found.state
		}
	}
	return nil
}

// inherits reports whether a create continues a replication that this process has deleted.
func (a *attempts) inherits(config vmNames) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.find(config, "") != nil
}

// take returns and forgets the deleted replication that a create continues, or nil. id is "" if the VM cannot be read.
func (a *attempts) take(config vmNames, id string) *attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := a.find(config, id)
	if found != nil {
		delete(a.deleted, found.state.ID.ValueString())
	}
	return found
}

// find finds a deleted replication by the VM's ID, or by its names if that is "". The caller holds mu.
func (a *attempts) find(config vmNames, id string) *attempt {
	if id != "" {
		return a.deleted[id]
	}
	for _, found := range a.deleted {
		same := func(name givenName) bool { return found.names[name.attribute()] == name.String() }
		if given := config.given(); config.sameNames(found.state.vmNames) || (len(given) > 0 && same(given[0])) {
			return found
		}
	}
	return nil
}

// restore saves the private state of the attempt for its successor.
func (a *attempt) restore(ctx context.Context, to privateState) diag.Diagnostics {
	var diags diag.Diagnostics
	for key, value := range a.private {
		diags.Append(to.SetKey(ctx, key, value)...)
	}
	return diags
}

// continues keeps what an earlier state has, because this cycle has changed nothing.
func (m *replicationModel) continues(state replicationModel) {
	m.Cutover, m.Triggers, m.NBD, m.ChangeIDs = state.Cutover, state.Triggers, state.NBD, state.ChangeIDs
	m.Cycles, m.LastCycle = state.Cycles, state.LastCycle
	m.Volumes, m.Server, m.TargetIntact = state.Volumes, state.Server, state.TargetIntact
}

// failAgain completes the plan of a create that failed before its cycle, with what it inherited.
func (m *replicationModel) failAgain(state replicationModel, reason string, p *providerData) {
	m.continues(state)
	m.vmNames = state.vmNames
	m.Status, m.LastError = types.StringValue(statusFailed), types.StringValue(p.flat(reason))
	if m.PlannedCycle.IsUnknown() {
		m.PlannedCycle = types.MapNull(types.StringType)
	}
	if m.CBTEnabled.IsUnknown() {
		m.CBTEnabled = state.CBTEnabled
	}
	if m.OnLeftoverSnapshot.IsUnknown() {
		m.OnLeftoverSnapshot = types.StringValue(p.onLeftoverSnapshot)
	}
}

// chain describes the increments that end with a replication, "" if none do: change IDs of copies to OpenStack are in the volumes.
func (m replicationModel) chain() string {
	if m.NBD.IsNull() || len(m.ChangeIDs.Elements()) == 0 {
		return ""
	}
	return "the device keys " + strings.Join(slices.Sorted(maps.Keys(m.ChangeIDs.Elements())), ", ")
}

// warnChainEnds warns about increments that end with a destroy or a replacement.
func (m replicationModel) warnChainEnds(diags *diag.Diagnostics) {
	chain := m.chain()
	if chain == "" {
		return
	}
	diags.AddWarning(onVM("Increments End", m.shown()),
		fmt.Sprintf("The change IDs of %q are only in this resource, which has run %d cycles. Without it, the next copy of the disks with %s is full. The data at the exports stays.",
			m.shown(), m.Cycles.ValueInt64(), chain))
}

// warnContinues says what the create of a tainted replication continues from.
func (m replicationModel) warnContinues(ctx context.Context, earlier replicationModel, diags *diag.Diagnostics) {
	previous, _ := m.previous(ctx, earlier, diags)
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(previous)) {
		keys = append(keys, formatKey(key))
	}
	found := "copied no disk completely to these exports, so the next cycle copies everything in full"
	switch {
	case !m.OpenStack.IsNull():
		found = "left volumes in OpenStack. They have the change IDs of the disks that were copied completely, so the next cycle copies only the changes of these"
	case len(keys) > 0:
		found = "copied the disks with the device keys " + strings.Join(keys, ", ") + " completely, so the next cycle copies only their changes"
	}
	diags.AddAttributeWarning(path.Root("planned_cycle"), onVM("Earlier Attempt Found", earlier.shown()),
		fmt.Sprintf("An earlier first cycle of %q failed. It %s. Terraform destroys the resource and creates it again, and the new one continues. "+
			"With create_before_destroy it cannot, and copies everything in full: run terraform untaint first, which continues in place.", earlier.shown(), found))
}
