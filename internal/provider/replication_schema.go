package provider

import (
	"context"
	"maps"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
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
		MarkdownDescription: "Whether to enable CBT if it is disabled. With `false` CBT is not checked: the cycle runs with a warning, and migratekit decides what to do. Default: the provider's `auto_cbt`.",
		Optional:            true,
	}
	attributes["cutover"] = schema.BoolAttribute{
		MarkdownDescription: "Whether to shut down the source, run the last cycle and boot the new server (`openstack` only). This happens once and cannot be undone. Default: `false`.",
		Optional:            true, Computed: true, Default: booldefault.StaticBool(false),
	}
	attributes["compression_method"] = schema.StringAttribute{
		MarkdownDescription: "How the ESXi host compresses the data that it sends: `none`, `zlib`, `fastlz` or `skipz`. Default: migratekit's own.",
		Optional:            true, Validators: []validator.String{stringvalidator.OneOf("none", "zlib", "fastlz", "skipz")},
	}
	attributes["extra_args"] = schema.ListAttribute{
		MarkdownDescription: "Arguments to add to migratekit's command line. Arguments that the provider sets itself are rejected. With `--debug` migratekit logs the password, but the provider redacts it. Default: none.",
		Optional:            true, ElementType: types.StringType, Validators: []validator.List{noNulls{}, listvalidator.ValueStringsAre(validArgument()), listvalidator.SizeAtMost(maxArguments)},
	}
	attributes["triggers"] = schema.MapAttribute{
		MarkdownDescription: "Any values; a changed value runs another cycle in place, which is incremental if CBT allows it. Default: none; then another cycle runs only if increments were lost, if the last cycle failed, or for a cutover.",
		Optional:            true, ElementType: types.StringType,
	}
	attributes["on_tracking_reset"] = schema.StringAttribute{
		MarkdownDescription: "What to do if CBT was reset since the last cycle: `full` copies everything and warns, `fail` stops with an error at plan. Default: `full`.",
		Optional:            true, Computed: true, Default: stringdefault.StaticString(onResetFull),
		Validators: []validator.String{stringvalidator.OneOf(onResetFull, onResetFail)},
	}
	attributes["on_target_lost"] = schema.StringAttribute{
		MarkdownDescription: "What to do if OpenStack no longer has a volume or its change ID: `full` copies everything and warns, `fail` stops with an error at plan. Default: `full`.",
		Optional:            true, Validators: []validator.String{stringvalidator.OneOf(onResetFull, onResetFail)},
	}
	attributes["on_attached_volume"] = schema.StringAttribute{
		MarkdownDescription: "What to do with a volume that an unknown run has attached to the machine that migratekit runs on: `fail`, or `detach` it. A volume that an interrupted run of this provider attached there is used without asking, and one that is attached elsewhere is always an error. Default: `fail`.",
		Optional:            true, Validators: []validator.String{stringvalidator.OneOf(onAttachedFail, onAttachedDetach)},
	}
	attributes["cutover_limits"] = schema.SingleNestedAttribute{
		MarkdownDescription: "Limits for the last successful cycle before a cutover. The plan refuses a cutover if the cycle is older, copied more, or copied an unknown amount. Default: no limits; a cutover after no cycle, or after one that ended more than a day ago, is only warned about.",
		Optional:            true,
		Attributes: map[string]schema.Attribute{
			"max_age":           schema.StringAttribute{MarkdownDescription: "How long ago the cycle may have ended, such as `2h`. Default: no limit.", Optional: true, Validators: []validator.String{validDuration()}},
			"max_changed_bytes": schema.Int64Attribute{MarkdownDescription: "How many bytes the cycle may have copied. Default: no limit.", Optional: true, Validators: []validator.Int64{int64validator.AtLeast(0)}},
		},
	}
	attributes["shutdown_timeout"] = schema.StringAttribute{
		MarkdownDescription: "How long the guest may take to shut down in a cutover, from the moment that vCenter was asked to shut it down. Default: `15m`.",
		Optional:            true, Validators: []validator.String{validDuration()},
	}
	attributes["on_shutdown_timeout"] = schema.StringAttribute{
		MarkdownDescription: "What to do with a guest that does not shut down in time in a cutover: `fail` stops migratekit, and the guest may still shut down, because a shutdown cannot be cancelled; `power_off` turns the virtual machine off, as pulling the plug would. Default: `fail`.",
		Optional:            true, Validators: []validator.String{stringvalidator.OneOf(onShutdownFail, onShutdownPowerOff)},
	}
	attributes["on_leftover_snapshot"] = schema.StringAttribute{
		MarkdownDescription: "What to do with a snapshot named `migratekit` that an earlier run left: `fail` or `remove` it. migratekit itself would stop and ask. Default: the provider's `on_leftover_snapshot`.",
		Optional:            true, Computed: true, Validators: []validator.String{stringvalidator.OneOf(onLeftoverFail, onLeftoverRemove)},
	}
	attributes["on_blocked"] = onBlockedAttribute()
	attributes["stop_grace"] = schema.StringAttribute{
		MarkdownDescription: "How long migratekit may take to exit after an interrupt, before it is killed. It needs the time to remove its snapshot. Default: `5m`.",
		Optional:            true, Computed: true, Default: stringdefault.StaticString(defaultStopGrace), Validators: []validator.String{validDuration()},
	}
	attributes["stall_timeout"] = schema.StringAttribute{
		MarkdownDescription: "How long a copy may be without progress before migratekit is stopped and the cycle fails. It is never shorter than the time that 2 % of the largest disk take at 10 MB/s, and does not apply once a cutover has shut down the source. For `nbd`, a copy is watched only if no other process of this machine has the port 8081, where its progress arrives. Default: `1h`.",
		Optional:            true, Validators: []validator.String{validDuration()},
	}
	maps.Copy(attributes, replicationResults())
	attributes["timeouts"] = describedTimeouts(ctx, timeouts.Opts{
		Create: true, Read: true, Update: true,
		CreateDescription: describeTimeout("the first cycle", cycleTimeout),
		ReadDescription:   describeTimeout("reading", readTimeout),
		UpdateDescription: describeTimeout("a later cycle", cycleTimeout),
	})
	resp.Schema = schema.Schema{
		MarkdownDescription: "Copies a virtual machine with migratekit, behind the CBT gate: if changed block tracking (CBT) cannot be enabled, the apply fails " +
			"before migratekit starts. The first cycle copies everything; a change of `triggers` runs another cycle, which copies only what changed.",
		Attributes: attributes,
	}
}

// sameTarget replaces the resource if the kind of target changes, because the new target has none of the copied data.
func sameTarget() []planmodifier.Object {
	const description = "Changing the kind of target (openstack or nbd) replaces the resource."
	return []planmodifier.Object{objectplanmodifier.RequiresReplaceIf(
		func(ctx context.Context, req planmodifier.ObjectRequest, resp *objectplanmodifier.RequiresReplaceIfFuncResponse) {
			var state replicationModel
			resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
			imported := state.OpenStack.IsNull() && state.NBD.IsNull() // it has no target yet
			resp.RequiresReplace = !imported && req.StateValue.IsNull() != req.PlanValue.IsNull()
		}, description, description)}
}

func openStackAttribute() schema.Attribute {
	text := func(description string, validators ...validator.String) schema.Attribute {
		return schema.StringAttribute{MarkdownDescription: description, Optional: true, Validators: validators}
	}
	return schema.SingleNestedAttribute{
		MarkdownDescription: "Copies to OpenStack volumes, with VEXXHOST's migratekit and the login of the provider's `openstack`. migratekit must run on a server of the same project. Set exactly one of `openstack` and `nbd`.",
		Optional:            true,
		PlanModifiers:       sameTarget(),
		Attributes: map[string]schema.Attribute{
			"availability_zone":       text("Availability zone of the volumes, and of the server at cutover. Required for a cutover. Default: the cloud's own.", validArgument()),
			"volume_type":             text("Type of the volumes. Default: the cloud's own.", validArgument()),
			"disk_bus_type":           text("Bus that the server sees its disks on: `virtio` or `scsi`. migratekit writes `scsi` to the metadata of the volumes, where Nova does not look, so it has no effect unless you set the image properties too. Default: migratekit's own.", stringvalidator.OneOf("virtio", "scsi")),
			"os_type":                 text("Operating system, a value of the image property `os_type`. Default: none.", validArgument()),
			"enable_qemu_guest_agent": schema.BoolAttribute{MarkdownDescription: "Whether OpenStack uses the QEMU guest agent of the server. Default: `false`.", Optional: true},
			"flavor_id":               text("ID of the server's flavor. Required for a cutover. Default: none.", validIdentifier()),
			"network_mappings": schema.ListNestedAttribute{
				MarkdownDescription: "Subnet for each network card of the source. Required for a cutover. Default: none.",
				Optional:            true,
				Validators:          []validator.List{noNulls{}},
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"mac":        schema.StringAttribute{MarkdownDescription: "MAC address of the source's network card.", Required: true, Validators: []validator.String{validMAC()}},
					"network_id": schema.StringAttribute{MarkdownDescription: "ID of the network.", Required: true, Validators: []validator.String{validIdentifier()}},
					"subnet_id":  schema.StringAttribute{MarkdownDescription: "ID of the subnet.", Required: true, Validators: []validator.String{validIdentifier()}},
					"ip":         text("IP address to assign. Default: any free address of the subnet.", validIP()),
				}},
			},
			"security_group_ids": schema.ListAttribute{MarkdownDescription: "IDs of the security groups of the server. Default: that of the project.", Optional: true, ElementType: types.StringType, Validators: []validator.List{noNulls{}, listvalidator.ValueStringsAre(validIdentifier())}},
			"run_v2v":            schema.BoolAttribute{MarkdownDescription: "Whether virt-v2v converts the system disk at cutover. Default: migratekit's own, which is `true`.", Optional: true},
		},
	}
}

func nbdAttribute() schema.Attribute {
	return schema.SingleNestedAttribute{
		MarkdownDescription: "Copies to NBD exports, with the migratekit build that writes to them. Set exactly one of `openstack` and `nbd`.",
		Optional:            true,
		PlanModifiers:       sameTarget(),
		Attributes: map[string]schema.Attribute{
			"exports": schema.MapAttribute{
				MarkdownDescription: "NBD URI of each disk to copy, by device key: `{ \"2000\" = \"nbd://127.0.0.1:10808/web01-0\" }`. All exports must be on 127.0.0.1 and use the same port. An export `nbds://…?tls-certificates=DIRECTORY` is verified over TLS, but must also accept connections without TLS, because migratekit does not support it. If the URI of a disk changes, its next copy is full.",
				Required:            true, ElementType: types.StringType,
				Validators: []validator.Map{
					mapvalidator.SizeAtLeast(1),
					noNulls{},
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
			MarkdownDescription: "Whether CBT works on the virtual machine. Always planned as `true`, so a plan shows drift if it stopped working.",
			Computed:            true, Default: booldefault.StaticBool(true),
		},
		"tracking_intact": schema.BoolAttribute{
			MarkdownDescription: "Whether the disks still have the epochs of the last cycle, so that the next cycle can be incremental. Always planned as `true`: if it is `false`, a plan shows a full cycle.",
			Computed:            true, Default: booldefault.StaticBool(true),
		},
		"target_intact": schema.BoolAttribute{
			MarkdownDescription: "Whether OpenStack still has the volumes and change IDs of the last cycle; always `true` for `nbd`. Always planned as `true`: if it is `false`, a plan shows a full cycle.",
			Computed:            true,
		},
		"volumes": schema.MapNestedAttribute{
			MarkdownDescription: "Volumes in OpenStack, by device key; null for `nbd`.",
			Computed:            true,
			NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
				"id":       schema.StringAttribute{MarkdownDescription: "ID of the volume.", Computed: true},
				"name":     schema.StringAttribute{MarkdownDescription: "Name of the volume.", Computed: true},
				"size_gib": schema.Int64Attribute{MarkdownDescription: "Size in GiB.", Computed: true},
				"type":     schema.StringAttribute{MarkdownDescription: "Volume type.", Computed: true},
				"zone":     schema.StringAttribute{MarkdownDescription: "Availability zone.", Computed: true},
			}},
		},
		"server": schema.SingleNestedAttribute{
			MarkdownDescription: "The server that the cutover booted; null before. It stays as it was at the cutover.",
			Computed:            true,
			Attributes: map[string]schema.Attribute{
				"id":        schema.StringAttribute{MarkdownDescription: "ID of the server.", Computed: true},
				"name":      schema.StringAttribute{MarkdownDescription: "Name of the server.", Computed: true},
				"addresses": schema.ListAttribute{MarkdownDescription: "IP addresses of the server.", Computed: true, ElementType: types.StringType},
			},
		},
		"status": schema.StringAttribute{
			MarkdownDescription: "Result of the last cycle: `replicated`, `interrupted`, `failed` or `cut_over`. After `interrupted` or `failed` the next apply continues.",
			Computed:            true,
		},
		"change_ids": schema.MapAttribute{
			MarkdownDescription: "Change ID that the next cycle starts from, by device key. It is the change ID of the snapshot that was copied last.",
			Computed:            true, ElementType: types.StringType,
		},
		"last_cycle": schema.SingleNestedAttribute{
			MarkdownDescription: "The last cycle that migratekit ran.",
			Computed:            true,
			Attributes: map[string]schema.Attribute{
				"kind":          schema.StringAttribute{MarkdownDescription: "Kind of the cycle: `full`, `incremental` or `mixed`.", Computed: true},
				"started_at":    schema.StringAttribute{MarkdownDescription: "Start of the cycle, in RFC 3339.", Computed: true},
				"ended_at":      schema.StringAttribute{MarkdownDescription: "End of the cycle, in RFC 3339.", Computed: true},
				"changed_bytes": schema.Int64Attribute{MarkdownDescription: "Bytes to copy on all disks; null if they could not be measured.", Computed: true},
				"disks": schema.MapNestedAttribute{
					MarkdownDescription: "How each disk was copied, by device key.",
					Computed:            true,
					NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
						"kind":          schema.StringAttribute{MarkdownDescription: "Kind of the copy: `full` or `incremental`.", Computed: true},
						"changed_bytes": schema.Int64Attribute{MarkdownDescription: "Bytes to copy, the whole disk for a full copy; null if they could not be measured.", Computed: true},
					}},
				},
				"log_file":             schema.StringAttribute{MarkdownDescription: "Path of migratekit's log of the cycle.", Computed: true},
				"duration_seconds":     schema.Int64Attribute{MarkdownDescription: "How long migratekit ran, in seconds.", Computed: true},
				"bytes_per_second":     schema.Int64Attribute{MarkdownDescription: "`changed_bytes` divided by `duration_seconds`; null if the bytes are not known.", Computed: true},
				"changed_bytes_reason": schema.StringAttribute{MarkdownDescription: "Why `changed_bytes` is not known; null if it is known.", Computed: true},
			},
		},
		"last_error": schema.StringAttribute{
			MarkdownDescription: "Why the last cycle failed, in one line; null if it succeeded.",
			Computed:            true,
		},
		"cycles": schema.Int64Attribute{MarkdownDescription: "Number of cycles that succeeded.", Computed: true},
		"planned_cycle": schema.MapAttribute{
			MarkdownDescription: "Kind of copy that was planned for each disk, by device key: `incremental`, or `full: ` and the reason. It does not change if the copy turns out to be of another kind.",
			Computed:            true, ElementType: types.StringType,
		},
	}
}
