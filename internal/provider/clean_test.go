package provider

import (
	"context"
	"slices"
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
		Summary: "Unable\x1b[31m to \u202eRead\a\u2028",
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

// listing is a server with one list result.
type listing struct {
	protocolServer

	result tfprotov6.ListResourceResult
}

func (l listing) ListResource(context.Context, *tfprotov6.ListResourceRequest) (*tfprotov6.ListResourceServerStream, error) {
	return &tfprotov6.ListResourceServerStream{Results: slices.Values([]tfprotov6.ListResourceResult{l.result})}, nil
}

func TestListResultsAreCleaned(t *testing.T) {
	t.Parallel()
	p := New("test")
	p.redactors = append(p.redactors, migratekit.NewSecretRedactor("hunter22"))
	s := &server{provider: p, protocolServer: listing{result: tfprotov6.ListResourceResult{
		DisplayName: "web\x1b[31m01 hunter22", Diagnostics: []*tfprotov6.Diagnostic{{Summary: "hunter22"}},
	}}}
	stream, err := s.ListResource(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for result := range stream.Results {
		if result.DisplayName != "web[31m01 ********" || result.Diagnostics[0].Summary != "********" {
			t.Errorf("%q, %+v", result.DisplayName, result.Diagnostics[0])
		}
	}
}
