package provider

import (
	"fmt"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// plannedObjects counts the resources of each kind that a plan has for each VM. A plan does not tell the provider a resource's address, and plans a
// forced replacement first as an update and then as a create: so an update and a create of the same configuration count as one, unless Terraform has validated
// that configuration twice, which it does once for each resource that it plans.
type plannedObjects struct {
	mu        sync.Mutex
	creates   map[string]int
	updates   map[string]int
	configs   map[string]map[string]bool
	validated map[string]int
}

func newPlannedObjects() *plannedObjects {
	return &plannedObjects{creates: map[string]int{}, updates: map[string]int{}, configs: map[string]map[string]bool{}, validated: map[string]int{}}
}

// validate counts a validation.
func (o *plannedObjects) validate(kind string, config tftypes.Value) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.validated[kind+" "+config.String()]++
}

// add counts a resource, and returns a warning if there is another one of its kind for the VM.
func (o *plannedObjects) add(kind, id, vmPath string, create bool, config tftypes.Value) diag.Diagnostics {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := kind + " " + id
	if o.configs[key] == nil {
		o.configs[key] = map[string]bool{}
	}
	o.configs[key][config.String()] = true
	if create {
		o.creates[key]++
	} else {
		o.updates[key]++
	}
	replaced := o.creates[key] < 2 && o.updates[key] < 2 && len(o.configs[key]) < 2 && o.validated[kind+" "+config.String()] < 2
	if o.creates[key]+o.updates[key] < 2 || replaced {
		return nil
	}
	return diag.Diagnostics{diag.NewWarningDiagnostic(onVM("Several Resources for One Virtual Machine", vmPath),
		fmt.Sprintf("This plan has more than one %s for %q. They change the same thing, so each can undo what another one did. Keep one of them.", kind, vmPath))}
}

// clear forgets everything when an apply begins: what follows belongs to another plan.
func (o *plannedObjects) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.creates)
	clear(o.updates)
	clear(o.configs)
	clear(o.validated)
}
