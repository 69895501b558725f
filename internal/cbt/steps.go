package cbt

import "slices"

// step is a write to a VM: the API method and the privilege that it needs.
type step struct{ method, privilege string }

var (
	reconfigure    = step{"ReconfigVM_Task", "VirtualMachine.Config.ChangeTracking"}
	createSnapshot = step{"CreateSnapshot_Task", "VirtualMachine.State.CreateSnapshot"}
	removeSnapshot = step{"RemoveSnapshot_Task", "VirtualMachine.State.RemoveSnapshot"}
)

// steps returns the writes that make CBT work. A powered-off VM needs a snapshot only if the flag is set already.
func (s *Status) steps() []step {
	var steps []step
	if !s.Enabled() {
		steps = append(steps, reconfigure)
	}
	if !s.Tracked() && (s.Enabled() || s.needsStun()) {
		return append(steps, createSnapshot, removeSnapshot)
	}
	if s.leftover() {
		steps = append(steps, removeSnapshot)
	}
	return steps
}

func (s *Status) resetSteps() []step {
	switch {
	case s.needsStun():
		return []step{reconfigure, createSnapshot, removeSnapshot}
	case s.leftover():
		return []step{reconfigure, removeSnapshot}
	}
	return []step{reconfigure}
}

func privileges(steps []step) []string {
	var needed []string
	for _, s := range steps {
		needed = append(needed, s.privilege)
	}
	return needed
}

// takesSnapshot reports whether a step creates or removes a snapshot.
func takesSnapshot(steps []step) bool {
	return slices.Contains(steps, createSnapshot) || slices.Contains(steps, removeSnapshot)
}
