package provider

import (
	"context"
	"fmt"
	"time"

	actiontimeouts "github.com/hashicorp/terraform-plugin-framework-timeouts/action/timeouts"
	datasourcetimeouts "github.com/hashicorp/terraform-plugin-framework-timeouts/datasource/timeouts"
	listtimeouts "github.com/hashicorp/terraform-plugin-framework-timeouts/list/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	actionschema "github.com/hashicorp/terraform-plugin-framework/action/schema"
	datasourceschema "github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	listschema "github.com/hashicorp/terraform-plugin-framework/list/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
)

// Default timeouts. A stun takes seconds, but another task may have to end first. A cycle copies for hours.
const (
	readTimeout     = 5 * time.Minute
	cbtWriteTimeout = 30 * time.Minute
	cycleTimeout    = 24 * time.Hour
)

const descriptionTimeouts = "How long operations may take, as durations such as `30m` or `2h45m`. The default of each is below."

func describeTimeout(what string, standard time.Duration) string {
	return fmt.Sprintf("How long %s may take. Default: `%s`.", what, shortDuration(standard))
}

// shortDuration formats whole hours and minutes without trailing zeros.
func shortDuration(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}

func describedTimeouts(ctx context.Context, opts timeouts.Opts) schema.Attribute {
	attribute := timeouts.Attributes(ctx, opts)
	if nested, ok := attribute.(schema.SingleNestedAttribute); ok {
		nested.MarkdownDescription = descriptionTimeouts
		for name, one := range nested.Attributes {
			if text, ok := one.(schema.StringAttribute); ok {
				text.Validators = append(text.Validators, validTimeout())
				nested.Attributes[name] = text
			}
		}
		return nested
	}
	return attribute
}

func describedReadTimeout(ctx context.Context) datasourceschema.Attribute {
	attribute := datasourcetimeouts.AttributesWithOpts(ctx, datasourcetimeouts.Opts{ReadDescription: describeTimeout("reading", readTimeout)})
	if nested, ok := attribute.(datasourceschema.SingleNestedAttribute); ok {
		nested.MarkdownDescription = descriptionTimeouts
		for name, one := range nested.Attributes {
			if text, ok := one.(datasourceschema.StringAttribute); ok {
				text.Validators = append(text.Validators, validTimeout())
				nested.Attributes[name] = text
			}
		}
		return nested
	}
	return attribute
}

func describedInvokeTimeout(ctx context.Context, standard time.Duration) actionschema.Attribute {
	attribute := actiontimeouts.AttributesWithOpts(ctx, actiontimeouts.Opts{InvokeDescription: describeTimeout("the action", standard)})
	if nested, ok := attribute.(actionschema.SingleNestedAttribute); ok {
		nested.MarkdownDescription = descriptionTimeouts
		for name, one := range nested.Attributes {
			if text, ok := one.(actionschema.StringAttribute); ok {
				text.Validators = append(text.Validators, validTimeout())
				nested.Attributes[name] = text
			}
		}
		return nested
	}
	return attribute
}

func describedListTimeout(ctx context.Context) listschema.Attribute {
	attribute := listtimeouts.AttributesWithOpts(ctx, listtimeouts.Opts{ListDescription: describeTimeout("listing", readTimeout)})
	if nested, ok := attribute.(listschema.SingleNestedAttribute); ok {
		nested.MarkdownDescription = descriptionTimeouts
		for name, one := range nested.Attributes {
			if text, ok := one.(listschema.StringAttribute); ok {
				text.Validators = append(text.Validators, validTimeout())
				nested.Attributes[name] = text
			}
		}
		return nested
	}
	return attribute
}
