package migratekit_test

import (
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// Whatever migratekit prints, and however it is cut, no line has the password.
func FuzzOutput(f *testing.F) {
	const secret = "n0where T&-be/found!"
	f.Add("time=\"2026\" level=info msg=\"Starting full copy\" disk=\"[ds] web01/web01.vmdk\"\n", 7)
	f.Add("Full copy  42% |████| (1/2 MB)\rtime=\"x\" level=error\nError: exit status 1\nUsage:\n  migratekit [flags]\n", 3)
	f.Add("\x1b[2K\r\r\n\x00\xff"+secret, 1)
	f.Add(strings.Repeat("x", 70_000)+secret, 4096)
	f.Fuzz(func(t *testing.T, text string, size int) {
		redactor := migratekit.NewSecretRedactor(secret)
		output := migratekit.NewOutput(redactor, func(line string) {
			if strings.Contains(line, secret) {
				t.Errorf("%q has the password", line)
			}
		}, migratekit.CopyEvents{})
		size = max(1, size%8192)
		for rest := text + secret + text; rest != ""; {
			n := min(size, len(rest))
			_, _ = output.Write([]byte(rest[:n]))
			rest = rest[n:]
		}
		for _, line := range output.End().Tail {
			if strings.Contains(line, secret) {
				t.Errorf("the tail has the password: %q", line)
			}
		}
	})
}
