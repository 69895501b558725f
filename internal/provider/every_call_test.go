package provider_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/vma-project/terraform-provider-vma/internal/provider"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// caller sends protocol requests to a provider, as Terraform does for one resource.
type caller struct {
	t      *testing.T
	server tfprotov6.ProviderServer
	object tftypes.Type
}

func (e *estate) caller(t *testing.T) *caller {
	t.Helper()
	p := provider.New("test")
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	c := &caller{t: t, server: p.Server()}
	schemas, err := c.server.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	must(t, err)
	c.object = schemas.ResourceSchemas["vma_cbt"].ValueType()
	own := schemas.Provider.ValueType()
	config := c.value(own, map[string]string{
		"vcenter": e.URL.Host, "username": vspheretest.Username, "password": vspheretest.Password, "thumbprint": e.Thumbprint(),
	})
	configured, err := c.server.ConfigureProvider(t.Context(), &tfprotov6.ConfigureProviderRequest{Config: config})
	must(t, err)
	if len(configured.Diagnostics) > 0 {
		t.Fatalf("%+v", configured.Diagnostics[0])
	}
	return c
}

// value returns an object with these attributes; all others are null.
func (c *caller) value(of tftypes.Type, texts map[string]string) *tfprotov6.DynamicValue {
	c.t.Helper()
	attributes := map[string]tftypes.Value{}
	object, _ := of.(tftypes.Object)
	for name, kind := range object.AttributeTypes {
		attributes[name] = tftypes.NewValue(kind, nil)
		if text, ok := texts[name]; ok {
			attributes[name] = tftypes.NewValue(kind, text)
		}
	}
	value, err := tfprotov6.NewDynamicValue(of, tftypes.NewValue(of, attributes))
	must(c.t, err)
	return &value
}

func (c *caller) create(ctx context.Context, path string) *tfprotov6.ApplyResourceChangeResponse {
	c.t.Helper()
	nothing, err := tfprotov6.NewDynamicValue(c.object, tftypes.NewValue(c.object, nil))
	must(c.t, err)
	config := c.value(c.object, map[string]string{"vm_path": path})
	proposed := map[string]tftypes.Value{}
	raw, err := config.Unmarshal(c.object)
	must(c.t, err, raw.As(&proposed))
	for _, computed := range []string{"id", "vm_name", "vm_uuid", "vm_moid", "disks", "enabled", "initialized", "on_destroy", "allow_existing_snapshots"} {
		proposed[computed] = tftypes.NewValue(proposed[computed].Type(), tftypes.UnknownValue)
	}
	wanted, err := tfprotov6.NewDynamicValue(c.object, tftypes.NewValue(c.object, proposed))
	must(c.t, err)
	planned, err := c.server.PlanResourceChange(ctx, &tfprotov6.PlanResourceChangeRequest{
		TypeName: "vma_cbt", PriorState: &nothing, Config: config, ProposedNewState: &wanted,
	})
	must(c.t, err)
	if len(planned.Diagnostics) > 0 {
		c.t.Fatalf("plan: %+v", planned.Diagnostics[0])
	}
	applied, err := c.server.ApplyResourceChange(ctx, &tfprotov6.ApplyResourceChangeRequest{
		TypeName: "vma_cbt", PriorState: &nothing, Config: config, PlannedState: planned.PlannedState, PlannedPrivate: planned.PlannedPrivate,
	})
	must(c.t, err)
	return applied
}

// claims returns the CBT attributes of a state; known is false if there is no state.
func (c *caller) claims(state *tfprotov6.DynamicValue) (enabled, initialized, known bool) {
	c.t.Helper()
	raw, err := state.Unmarshal(c.object)
	must(c.t, err)
	if raw.IsNull() {
		return false, false, false
	}
	attributes := map[string]tftypes.Value{}
	must(c.t, raw.As(&attributes), attributes["enabled"].As(&enabled), attributes["initialized"].As(&initialized))
	return enabled, initialized, true
}

// interruptedMark is the mark of an interrupted create in private state: the key, and true in base64.
const interruptedMark = `"interrupted":"dHJ1ZQ=="`

// Any call of a create may fail. The state must then be correct or absent. After an interrupt Terraform
// requires the planned values, so private state must have the mark. A second create must succeed.
func TestStateIsTrueWhateverCallIsStruck(t *testing.T) {
	t.Parallel()
	for name, strike := range map[string]func(e *estate, skip int, cancel context.CancelFunc) *vspheretest.Interceptor{
		"dropped before": func(e *estate, skip int, _ context.CancelFunc) *vspheretest.Interceptor {
			return e.DropBefore("", skip, 1)
		},
		"dropped after": func(e *estate, skip int, _ context.CancelFunc) *vspheretest.Interceptor {
			return e.DropAfter("", skip, 1)
		},
		"fault": func(e *estate, skip int, _ context.CancelFunc) *vspheretest.Interceptor { return e.Fail("", skip, 1) },
		"expired": func(e *estate, skip int, _ context.CancelFunc) *vspheretest.Interceptor {
			return e.ExpireBefore("", skip, 1)
		},
		"interrupted": func(e *estate, skip int, cancel context.CancelFunc) *vspheretest.Interceptor {
			return e.Observe("", skip, 1, cancel)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEstate(t)
			calls, saved, marked := 1, 0, 0 // at least; the clean run counts them
			for at := -1; at < calls; at++ {
				path := fmt.Sprintf("/DC0/vm/vm%d", at+1)
				vm := e.addVM(t, vspheretest.Spec{Path: path})
				c := e.caller(t)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				applied := func() *tfprotov6.ApplyResourceChangeResponse {
					defer cancel()
					// Do not count the calls of the plan.
					var struck *vspheretest.Interceptor
					e.Observe("HasUserPrivilegeOnEntities", 0, 1, func() {
						e.ResetCalls()
						if at >= 0 {
							struck = strike(e, at+1, cancel)
						}
					})
					defer func() {
						if struck != nil {
							struck.Release()
						}
					}()
					return c.create(ctx, path)
				}()
				if at < 0 {
					for _, n := range e.Calls() {
						calls += n
					}
				}
				enabled, initialized, known := c.claims(applied.NewState)
				isEnabled, ids := vm.Tracking()
				interrupted := strings.Contains(string(applied.Private), interruptedMark)
				if known && !interrupted && (enabled != isEnabled || initialized != (ids[2000] != "")) {
					t.Errorf("call %d: the state says enabled %t, initialized %t; the VM %t, %v", at, enabled, initialized, isEnabled, ids)
				}
				if known {
					saved++
				}
				if interrupted {
					marked++
				}
				again := c.create(t.Context(), path)
				if enabled, initialized, _ := c.claims(again.NewState); !enabled || !initialized || len(vm.Snapshots()) > 0 {
					t.Errorf("call %d: the repeat: enabled %t, initialized %t, snapshots %v, %+v", at, enabled, initialized, vm.Snapshots(), again.Diagnostics)
				}
			}
			if calls < 10 || saved == 0 || (name == "interrupted") != (marked > 0) {
				t.Errorf("%d calls, %d states, %d of them marked: this is no create", calls, saved, marked)
			}
		})
	}
}
