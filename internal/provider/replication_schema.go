package provider

import (
	"context"
	"maps"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/objectplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// Schema implements resource.Resource.
func (r *replicationResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	attributes := nameAttributes()
	attributes["openstack"] = openStackAttribute()
	attributes["nbd"] = nbdAttribute()
	attributes["auto_cbt"] = schema.BoolAttribute{
		MarkdownDescription: "Whether to switch change tracking on where it is off; without it the cycle goes on with a warning, and migratekit decides. Default: the provider's `auto_cbt`.",
		Optional:            true,
	}
	attributes["cutover"] = schema.BoolAttribute{
		MarkdownDescription: "Whether to shut the source down, run the last cycle and boot the new server (`openstack` only). It happens once and cannot go back. Default `false`.",
		Optional:            true, Computed: true, Default: booldefault.StaticBool(false),
	}
	attributes["compression_method"] = schema.StringAttribute{
		MarkdownDescription: "How data is compressed on its way from the host: `none`, `zlib`, `fastlz` or `skipz`. Default: migratekit's own.",
		Optional:            true, Validators: []validator.String{stringvalidator.OneOf("none", "zlib", "fastlz", "skipz")},
	}
	attributes["extra_args"] = schema.ListAttribute{
		MarkdownDescription: "Arguments to add to migratekit's command line. Those that the provider sets itself are an error. `--debug` makes it log the password, which is redacted.",
		Optional:            true, ElementType: types.StringType, Validators: []validator.List{listvalidator.ValueStringsAre(stringvalidator.LengthAtLeast(1))},
	}
	attributes["triggers"] = schema.MapAttribute{
		MarkdownDescription: "Any values; when one changes, another cycle runs in place, incremental where tracking allows.",
		Optional:            true, ElementType: types.StringType,
	}
	attributes["on_tracking_reset"] = schema.StringAttribute{
		MarkdownDescription: "What to do where tracking started anew since the last cycle: copy in `full` (default, with a warning) or `fail` at plan.",
		Optional:            true, Computed: true, Default: stringdefault.StaticString(onResetFull),
		Validators: []validator.String{stringvalidator.OneOf(onResetFull, onResetFail)},
	}
	attributes["on_leftover_snapshot"] = schema.StringAttribute{
		MarkdownDescription: "What to do with a snapshot `migratekit` that an earlier run left, at which migratekit would stop and ask: `fail` (default) or `remove` it.",
		Optional:            true, Computed: true, Default: stringdefault.StaticString(onLeftoverFail),
		Validators: []validator.String{stringvalidator.OneOf(onLeftoverFail, onLeftoverRemove)},
	}
	attributes["stop_grace"] = schema.StringAttribute{
		MarkdownDescription: "How long migratekit may take to end after an interrupt before it is killed: it has a snapshot to remove. Default `5m`.",
		Optional:            true, Computed: true, Default: stringdefault.StaticString("5m"), Validators: []validator.String{validDuration()},
	}
	maps.Copy(attributes, replicationResults())
	attributes["timeouts"] = describedTimeouts(ctx, timeouts.Opts{
		Create: true, Read: true, Update: true,
		CreateDescription: describeTimeout("the first cycle", cycleTimeout),
		ReadDescription:   describeTimeout("reading", readTimeout),
		UpdateDescription: describeTimeout("a further cycle", cycleTimeout),
	})
	resp.Schema = schema.Schema{
		MarkdownDescription: "Copies a virtual machine with migratekit, behind the CBT gate: where change tracking cannot be made to work the apply fails " +
			"before migratekit is started. The first cycle copies everything; a change of `triggers` runs another one, which copies what changed.",
		Attributes: attributes,
	}
}

// sameTarget asks for a replacement where the kind of target changes: the other
// kind holds nothing of what was copied.
func sameTarget() []planmodifier.Object {
	const description = "A change of the kind of target starts over."
	return []planmodifier.Object{objectplanmodifier.RequiresReplaceIf(
		func(_ context.Context, req planmodifier.ObjectRequest, resp *objectplanmodifier.RequiresReplaceIfFuncResponse) {
			resp.RequiresReplace = req.StateValue.IsNull() != req.PlanValue.IsNull()
		}, description, description)}
}

func openStackAttribute() schema.Attribute {
	text := func(description string, validators ...validator.String) schema.Attribute {
		return schema.StringAttribute{MarkdownDescription: description, Optional: true, Validators: validators}
	}
	return schema.SingleNestedAttribute{
		MarkdownDescription: "Copy to OpenStack volumes, with migratekit by VEXXHOST. OpenStack itself is configured by the `OS_*` environment. Exactly one of `openstack` and `nbd` is given.",
		Optional:            true,
		PlanModifiers:       sameTarget(),
		Attributes: map[string]schema.Attribute{
			"availability_zone":       text("Availability zone of the volumes, and of the server at cutover, which needs it."),
			"volume_type":             text("Type of the volumes."),
			"disk_bus_type":           text("Bus that the server sees its disks on: `virtio` or `scsi`.", stringvalidator.OneOf("virtio", "scsi")),
			"os_type":                 text("Operating system, as the image property `os_type` has it."),
			"enable_qemu_guest_agent": schema.BoolAttribute{MarkdownDescription: "Whether the server is to be reached through the QEMU guest agent.", Optional: true},
			"flavor_id":               text("ID of the flavor of the server; cutover needs it."),
			"network_mappings": schema.ListNestedAttribute{
				MarkdownDescription: "Which network card goes to which subnet; cutover needs it.",
				Optional:            true,
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"mac":        schema.StringAttribute{MarkdownDescription: "MAC address of the source's network card.", Required: true, Validators: []validator.String{validMAC()}},
					"network_id": schema.StringAttribute{MarkdownDescription: "ID of the network.", Required: true},
					"subnet_id":  schema.StringAttribute{MarkdownDescription: "ID of the subnet.", Required: true},
					"ip":         text("Address to give it; any of the subnet where it is not set."),
				}},
			},
			"security_group_ids": schema.ListAttribute{MarkdownDescription: "IDs of the security groups of the server.", Optional: true, ElementType: types.StringType},
			"run_v2v":            schema.BoolAttribute{MarkdownDescription: "Whether virt-v2v adapts the system disk at cutover. Default: migratekit's own, which is true.", Optional: true},
		},
	}
}

func nbdAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "Copy to NBD exports, with the migratekit that writes to them. Exactly one of `openstack` and `nbd` is given.",
		Optional:            true,
		PlanModifiers:       sameTarget(),
		Attributes: map[string]schema.Attribute{
			"exports": schema.MapAttribute{
				MarkdownDescription: "NBD URI by device key, one for each disk to copy: `{ \"2000\" = \"nbd://127.0.0.1:10808/web01-0\" }`. All are on this machine and share one port. `nbds://…?tls-certificates=DIRECTORY` is verified over TLS, and must take connections without it too, since migratekit speaks none. Where the URI of a disk changes, its next copy is full.",
				Required:            true, ElementType: types.StringType,
				Validators: []validator.Map{
					mapvalidator.SizeAtLeast(1),
					mapvalidator.KeysAre(validDeviceKey()),
					mapvalidator.ValueStringsAre(validNBDURI()),
				},
			},
		},
	}
}

// replicationResults are the computed attributes.
func replicationResults() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"cbt_enabled": schema.BoolAttribute{
			MarkdownDescription: "Whether change tracking works on the virtual machine. Planned as `true`, so a plan shows where it was lost.",
			Computed:            true, Default: booldefault.StaticBool(true),
		},
		"tracking_intact": schema.BoolAttribute{
			MarkdownDescription: "Whether the epochs are still those of the last cycle, so that the next one can be incremental. Planned as `true`: where it was lost, a plan shows a full cycle.",
			Computed:            true, Default: booldefault.StaticBool(true),
		},
		"status": schema.StringAttribute{
			MarkdownDescription: "`replicated`, `interrupted` or `failed` (the next apply goes on), or `cut_over`.",
			Computed:            true,
		},
		"change_ids": schema.MapAttribute{
			MarkdownDescription: "Change ID that the next cycle copies from, by device key: that of the snapshot that was copied last.",
			Computed:            true, ElementType: types.StringType,
		},
		"last_cycle": schema.SingleNestedAttribute{
			MarkdownDescription: "The last cycle that migratekit ran.",
			Computed:            true,
			Attributes: map[string]schema.Attribute{
				"kind":          schema.StringAttribute{MarkdownDescription: "`full`, `incremental` or `mixed`.", Computed: true},
				"started_at":    schema.StringAttribute{MarkdownDescription: "When it began, RFC 3339.", Computed: true},
				"ended_at":      schema.StringAttribute{MarkdownDescription: "When it ended, RFC 3339.", Computed: true},
				"changed_bytes": schema.Int64Attribute{MarkdownDescription: "Bytes to copy on all disks; null where they could not be measured.", Computed: true},
				"disks": schema.MapNestedAttribute{
					MarkdownDescription: "What was done to each disk, by device key.",
					Computed:            true,
					NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
						"kind":          schema.StringAttribute{MarkdownDescription: "`full` or `incremental`.", Computed: true},
						"changed_bytes": schema.Int64Attribute{MarkdownDescription: "Bytes to copy: the whole disk for a full copy; null where they could not be measured.", Computed: true},
					}},
				},
				"log_file": schema.StringAttribute{MarkdownDescription: "migratekit's log of it.", Computed: true},
			},
		},
		"cycles": schema.Int64Attribute{MarkdownDescription: "How many cycles ended well.", Computed: true},
		"planned_cycle": schema.MapAttribute{
			MarkdownDescription: "What the cycle was planned to copy, by device key: `incremental`, or `full: ` and the reason. It stays what was planned.",
			Computed:            true, ElementType: types.StringType,
		},
	}
}
