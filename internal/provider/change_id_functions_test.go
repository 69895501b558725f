package provider_test

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

// output evaluates an expression without a vCenter.
func output(t *testing.T, expression string, step resource.TestStep) {
	t.Helper()
	e := &estate{}
	step.Config = fmt.Sprintf("terraform {\n  required_providers {\n    vma = { source = \"hashicorp/vma\" }\n  }\n}\noutput \"it\" {\n  value = %s\n}\n", expression)
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: e.factories(t), Steps: []resource.TestStep{step}})
}

// The epoch is everything before the last slash.
func TestParseChangeIDFunction(t *testing.T) {
	t.Parallel()
	epoch := "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63"
	object := func(epoch string, sequence int64) knownvalue.Check {
		return knownvalue.ObjectExact(map[string]knownvalue.Check{
			"epoch": knownvalue.StringExact(epoch), "sequence": knownvalue.Int64Exact(sequence),
		})
	}
	for id, want := range map[string]knownvalue.Check{
		epoch + "/81": object(epoch, 81),
		"a/b/0":       object("a/b", 0),
	} {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			output(t, fmt.Sprintf("provider::vma::parse_change_id(%q)", id), resource.TestStep{
				ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownOutputValue("it", want)},
			})
		})
	}
	for _, id := range []string{"", "*", epoch, "/81", epoch + "/", epoch + "/x", epoch + "/-1", epoch + "/1.5"} {
		t.Run("not "+id, func(t *testing.T) {
			t.Parallel()
			output(t, fmt.Sprintf("provider::vma::parse_change_id(%q)", id), resource.TestStep{
				ExpectError: words(fmt.Sprintf("%q is not a change ID", id)),
			})
		})
	}
}

func TestNextCycleFunction(t *testing.T) {
	t.Parallel()
	for arguments, want := range map[string]string{
		`"a/1", "a/7"`:   "incremental",
		`"a/7", "a/7"`:   "incremental",
		`"a/1", "b/1"`:   "full",
		`"a/1", "a/b/1"`: "full",
		`null, "a/1"`:    "full",
		`"", "a/1"`:      "full",
		`"a/1", null`:    "full",
		`"a/1", ""`:      "full",
		`null, null`:     "full",
	} {
		t.Run(arguments, func(t *testing.T) {
			t.Parallel()
			output(t, "provider::vma::next_cycle("+arguments+")", resource.TestStep{
				ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectKnownOutputValue("it", knownvalue.StringExact(want))},
			})
		})
	}
	output(t, `provider::vma::next_cycle("a/1", "b")`, resource.TestStep{ExpectError: words(`"b" is not a change ID`)})
}
