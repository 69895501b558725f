package migratekit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// parsed is what an output told.
type parsed struct {
	lines    []string
	started  []string
	progress []int64
	ended    int
	outcome  migratekit.Outcome
}

func parse(text string) parsed {
	var p parsed
	output := migratekit.NewOutput(migratekit.NewRedactor(migratekit.Job{}, nil), func(line string) { p.lines = append(p.lines, line) }, migratekit.CopyEvents{
		Started:  func(c migratekit.Copy) { p.started = append(p.started, c.Disk) },
		Progress: func(percent int64) { p.progress = append(p.progress, percent) },
		Ended:    func() { p.ended++ },
	})
	_, _ = output.Write([]byte(text))
	p.outcome = output.End()
	return p
}

// A bar begins with a carriage return and has no end, so the next line is glued to it.
func TestOutputSeparatesBarsFromLines(t *testing.T) {
	t.Parallel()
	p := parse("time=\"t\" level=info msg=\"Starting full copy\" disk=\"[ds] a.vmdk\" vm=web01\n" +
		"\r\x1b[KFull copy   0% [>         ]\r\x1b[KFull copy  37% [===>      ]\r\x1b[KFull copy 100% [==========]" +
		"time=\"t\" level=info msg=\"Full copy completed\" disk=\"[ds] a.vmdk\" vm=web01\n" +
		"\rIncremental copy  12% [=>   ]Error: failed to copy\nUsage:\n  migratekit migrate [flags]\n\nFlags:\n  -h, --help\n")
	want := []string{
		`time="t" level=info msg="Starting full copy" disk="[ds] a.vmdk" vm=web01`,
		`time="t" level=info msg="Full copy completed" disk="[ds] a.vmdk" vm=web01`,
		"Error: failed to copy", "Usage:", "  migratekit migrate [flags]", "Flags:", "  -h, --help",
	}
	if !slices.Equal(p.lines, want) {
		t.Errorf("lines %q", p.lines)
	}
	if !slices.Equal(p.progress, []int64{0, 37, 100, 12}) || !slices.Equal(p.started, []string{"[ds] a.vmdk"}) || p.ended != 1 {
		t.Errorf("%+v", p)
	}
	if got := p.outcome.Tail; !slices.Equal(got, want[:3]) {
		t.Errorf("tail %q", got)
	}
}

// An error is shown with what led to it, and not the usage text that follows it.
func TestTailShowsTheError(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 50 {
		fmt.Fprintf(&text, "time=\"t\" level=info msg=\"line %d\"\n", i)
	}
	text.WriteString("Error: no space left\nUsage:\n" + strings.Repeat("  --flag string\n", 21))
	tail := parse(text.String()).outcome.Tail
	if len(tail) != 20 || tail[19] != "Error: no space left" || !strings.Contains(tail[18], "line 49") {
		t.Errorf("tail %q", tail)
	}
}

// The build for NBD targets has texts of its own.
func TestOutputKnowsBothBuilds(t *testing.T) {
	t.Parallel()
	p := parse("time=\"t\" level=info msg=\"\U0001F680 Starting parallel full copy\" disk=\"[ds] a.vmdk\"\n" +
		"time=\"t\" level=info msg=\"\U0001F680 Starting parallel incremental copy\" disk=\"[ds] b.vmdk\"\n")
	want := []migratekit.Copy{{Disk: "[ds] a.vmdk", Full: true}, {Disk: "[ds] b.vmdk"}}
	if !slices.Equal(p.outcome.Copies, want) {
		t.Errorf("copies %+v", p.outcome.Copies)
	}
}
