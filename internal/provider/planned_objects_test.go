package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// Two resources of one kind for one VM are a warning, whichever names they use.
func TestSeveralResourcesForOneVM(t *testing.T) {
	t.Parallel()
	counts := func(adds ...[2]string) int {
		objects := newPlannedObjects()
		warnings := 0
		for _, add := range adds {
			warnings += len(objects.add("vma_cbt", "id", "/DC0/vm/a", add[0] == "create", tftypes.NewValue(tftypes.String, add[1])))
		}
		return warnings
	}
	for name, test := range map[string]struct {
		adds [][2]string
		want int
	}{
		"one":                  {[][2]string{{"create", "a"}}, 0},
		"two new ones":         {[][2]string{{"create", "a"}, {"create", "a"}}, 1},
		"two old ones":         {[][2]string{{"update", "a"}, {"update", "a"}}, 1},
		"an old and a new one": {[][2]string{{"update", "a"}, {"create", "b"}}, 1},
		"a forced replacement": {[][2]string{{"update", "a"}, {"create", "a"}}, 0},
	} {
		if got := counts(test.adds...); got != test.want {
			t.Errorf("%s: %d warnings", name, got)
		}
	}
}
