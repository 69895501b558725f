package vspheretest

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

type collectors struct {
	*simulator.PropertyCollector
	vcenter *VCenter
}

func (c *collectors) CreatePropertyCollector(ctx *simulator.Context, _ *types.CreatePropertyCollector) soap.HasFault {
	made := &collector{vcenter: c.vcenter, changed: make(chan struct{}, 1), cancelled: make(chan struct{})}
	made.Self.Type = c.Self.Type
	return &methods.CreatePropertyCollectorBody{Res: &types.CreatePropertyCollectorResponse{
		Returnval: ctx.Session.Put(made).Reference(),
	}}
}

// collector waits for updates as a real vCenter does: it compares the properties with those it reported last. The
// simulator's own collector accumulates events and deadlocks if the view of a filter changes during a wait. A wait
// fails if its version is not the latest, or when the session ends.
type collector struct {
	simulator.PropertyCollector
	vcenter   *VCenter
	changed   chan struct{}
	cancelled chan struct{}
	once      sync.Once

	filtersMu sync.Mutex
	filters   []types.ManagedObjectReference // destroyed ones included

	mu       sync.Mutex // held during a wait: only one runs at a time
	version  int
	reported map[types.ManagedObjectReference]objects // by filter
}

// objects are fingerprints of the properties that a filter returned last.
type objects map[types.ManagedObjectReference]map[string]string

const (
	accumulate       = 20 * time.Millisecond // how long vCenter collects changes before it answers
	maxObjectUpdates = 100                   // objects in one answer
)

func (c *collector) notice() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// PutObject, UpdateObject and RemoveObject implement simulator.RegisterObject.
func (c *collector) PutObject(*simulator.Context, mo.Reference) { c.notice() }

func (c *collector) UpdateObject(*simulator.Context, mo.Reference, []types.PropertyChange) {
	c.notice()
}

func (c *collector) RemoveObject(*simulator.Context, types.ManagedObjectReference) { c.notice() }

// CreateFilter keeps its own list of filters: the simulator's list changes during a wait.
func (c *collector) CreateFilter(ctx *simulator.Context, req *types.CreateFilter) soap.HasFault {
	res := c.PropertyCollector.CreateFilter(ctx, req)
	if body, ok := res.(*methods.CreateFilterBody); ok && body.Res != nil {
		c.filtersMu.Lock()
		defer c.filtersMu.Unlock()
		c.filters = append(c.filters, body.Res.Returnval)
		c.notice()
	}
	return res
}

func (c *collector) CancelWaitForUpdates(*types.CancelWaitForUpdates) soap.HasFault {
	c.once.Do(func() { close(c.cancelled) })
	return &methods.CancelWaitForUpdatesBody{Res: &types.CancelWaitForUpdatesResponse{}}
}

func (c *collector) DestroyPropertyCollector(ctx *simulator.Context, req *types.DestroyPropertyCollector) soap.HasFault {
	c.CancelWaitForUpdates(nil)
	return c.PropertyCollector.DestroyPropertyCollector(ctx, req)
}

func (c *collector) WaitForUpdatesEx(ctx *simulator.Context, req *types.WaitForUpdatesEx) soap.HasFault {
	c.mu.Lock()
	defer c.mu.Unlock()
	ended := c.vcenter.sessionsEnd()
	switch req.Version {
	case "":
		c.reported = map[types.ManagedObjectReference]objects{}
		ctx.Map.AddHandler(c)
	case strconv.Itoa(c.version):
	default:
		return refuseWait(&types.InvalidCollectorVersion{})
	}
	var deadline <-chan time.Time
	if req.Options != nil && req.Options.MaxWaitSeconds != nil {
		timer := time.NewTimer(time.Duration(*req.Options.MaxWaitSeconds) * time.Second)
		defer timer.Stop()
		deadline = timer.C
	}
	for {
		set := &types.UpdateSet{}
		if fault := c.compare(ctx, set); fault != nil {
			return refuseWait(fault)
		}
		if len(set.FilterSet) > 0 || req.Version == "" {
			c.version++
			set.Version = strconv.Itoa(c.version)
			return &methods.WaitForUpdatesExBody{Res: &types.WaitForUpdatesExResponse{Returnval: set}}
		}
		select {
		case <-c.changed:
			time.Sleep(accumulate)
		case <-deadline:
			return &methods.WaitForUpdatesExBody{Res: &types.WaitForUpdatesExResponse{}}
		case <-c.cancelled:
			return refuseWait(&types.RequestCanceled{})
		case <-ended:
			return refuseWait(&types.NotAuthenticated{})
		}
	}
}

func refuseWait(fault types.BaseMethodFault) soap.HasFault {
	return &methods.WaitForUpdatesExBody{Fault_: simulator.Fault("", fault)}
}

// compare adds the changes to set, up to maxObjectUpdates objects.
func (c *collector) compare(ctx *simulator.Context, set *types.UpdateSet) types.BaseMethodFault {
	c.filtersMu.Lock()
	filters := slices.Clone(c.filters)
	c.filtersMu.Unlock()
	room := maxObjectUpdates
	for _, ref := range filters {
		filter, ok := ctx.Session.Get(ref).(*simulator.PropertyFilter)
		if !ok {
			continue
		}
		before := c.reported[ref]
		now, fault := c.show(ctx, filter.Spec)
		if fault != nil && before == nil {
			return fault
		}
		if before == nil {
			before = objects{}
			c.reported[ref] = before
		}
		updates := before.become(now, room)
		if room -= len(updates); room == 0 {
			set.Truncated = new(true)
		}
		if len(updates) > 0 {
			set.FilterSet = append(set.FilterSet, types.PropertyFilterUpdate{Filter: ref, ObjectSet: updates})
		}
	}
	return nil
}

// show returns what a filter selects now.
func (c *collector) show(ctx *simulator.Context, spec types.PropertyFilterSpec) ([]types.ObjectContent, types.BaseMethodFault) {
	body, ok := c.RetrievePropertiesEx(ctx, &types.RetrievePropertiesEx{SpecSet: []types.PropertyFilterSpec{spec}}).(*methods.RetrievePropertiesExBody)
	switch {
	case !ok:
		return nil, &types.RuntimeFault{}
	case body.Fault_ != nil:
		fault, _ := body.Fault_.VimFault().(types.BaseMethodFault)
		return nil, fault
	case body.Res.Returnval == nil:
		return nil, nil
	}
	return body.Res.Returnval.Objects, nil
}

// become updates o to the current objects and returns the changes, at most room of them.
func (o objects) become(now []types.ObjectContent, room int) []types.ObjectUpdate {
	var updates []types.ObjectUpdate
	shown := map[types.ManagedObjectReference]bool{}
	for _, content := range now {
		shown[content.Obj] = true
		if len(updates) == room {
			continue
		}
		update := types.ObjectUpdate{Kind: types.ObjectUpdateKindModify, Obj: content.Obj}
		before, known := o[content.Obj]
		if !known {
			update.Kind = types.ObjectUpdateKindEnter
		}
		o[content.Obj] = map[string]string{}
		for _, property := range content.PropSet {
			text := fingerprint(property.Val)
			o[content.Obj][property.Name] = text
			if text != before[property.Name] {
				update.ChangeSet = append(update.ChangeSet, types.PropertyChange{
					Name: property.Name, Op: types.PropertyChangeOpAssign, Val: property.Val,
				})
			}
		}
		for name := range before {
			if _, still := o[content.Obj][name]; !still {
				update.ChangeSet = append(update.ChangeSet, types.PropertyChange{Name: name, Op: types.PropertyChangeOpAssign})
			}
		}
		if !known || len(update.ChangeSet) > 0 {
			updates = append(updates, update)
		}
	}
	for ref := range o {
		if !shown[ref] && len(updates) < room {
			delete(o, ref)
			updates = append(updates, types.ObjectUpdate{Kind: types.ObjectUpdateKindLeave, Obj: ref})
		}
	}
	return slices.Clip(updates)
}

func fingerprint(value types.AnyType) string {
	text, err := xml.Marshal(value)
	if err != nil {
		return fmt.Sprintf("%#v", value)
	}
	return string(text)
}
