package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

func TestDiagnosticsAreCleaned(t *testing.T) {
	t.Parallel()
	p := New("test")
	p.redactors = append(p.redactors, migratekit.NewSecretRedactor("hunter22"))
	diags := []*tfprotov6.Diagnostic{{
		Summary: "Unable\x1b[31m to Read\a",
		Detail:  "line 1\n\tline 2\r hunter22 and aHVudGVyMjI " + strings.Repeat("x", 100_000),
	}}
	p.clean(diags)
	d := diags[0]
	if d.Summary != "Unable[31m to Read" {
		t.Errorf("summary %q", d.Summary)
	}
	if !strings.HasPrefix(d.Detail, "line 1\n\tline 2 ******** and ******** xxx") || len(d.Detail) > maxDetail+10 {
		t.Errorf("detail %.80q, %d bytes", d.Detail, len(d.Detail))
	}
}
