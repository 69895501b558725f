package cbt_test

import (
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

// A change ID continues only an earlier one of its epoch.
func FuzzNextCycle(f *testing.F) {
	f.Add("52 3f 0a/4", "52 3f 0a/9")
	f.Add("52 3f 0a/4", "")
	f.Add("/", "*")
	f.Fuzz(func(t *testing.T, previous, current string) {
		kind, reason := cbt.NextCycle(previous, current)
		if kind == cbt.Incremental && (previous == "" || current == "" || cbt.Epoch(previous) != cbt.Epoch(current)) {
			t.Errorf("%q continues %q", current, previous)
		}
		if kind == cbt.Full && reason == "" {
			t.Errorf("%q after %q: full, without a reason", current, previous)
		}
	})
}
