package cbt

import "slices"

// step is a write to a VM: the operation of the API, and the privilege that the
// account needs for it.
type step struct{ method, privilege string }

var (
	reconfigure    = step{"ReconfigVM_Task", "VirtualMachine.Config.ChangeTracking"}
	createSnapshot = step{"CreateSnapshot_Task", "VirtualMachine.State.CreateSnapshot"}
	removeSnapshot = step{"RemoveSnapshot_Task", "VirtualMachine.State.RemoveSnapshot"}
)

// steps are those that making tracking work takes, none where it works. One that
// is powered off takes a snapshot too where the flag alone did not do it.
func (s *Status) steps() []step {
	var steps []step
	if !s.Enabled() {
		steps = append(steps, reconfigure)
	}
	if !s.Initialized() && (s.Enabled() || s.needsStun()) {
		return append(steps, createSnapshot, removeSnapshot)
	}
	if s.leftover() {
		steps = append(steps, removeSnapshot)
	}
	return steps
}

// resetSteps are those of a reset.
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

// takesSnapshot says that one is made or removed.
func takesSnapshot(steps []step) bool {
	return slices.Contains(steps, createSnapshot) || slices.Contains(steps, removeSnapshot)
}
