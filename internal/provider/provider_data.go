package provider

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/openstack"
	"github.com/vma-project/terraform-provider-vma/internal/process"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// providerData is what a configured provider passes to its resources, data sources and actions.
type providerData struct {
	// known is false if the provider's configuration depends on values that are known only after apply. Then everything
	// below is empty.
	known   bool
	manager *cbt.Manager
	runner  *replication.Runner
	// vcenter is used through manager and runner; it is here to be closed.
	vcenter *vsphere.Client

	autoCBT               bool
	onLeftoverSnapshot    string
	onBlocked             string
	migratekitPath        string
	migratekitEnvironment map[string]string
	logDirectory          string
	// openstack is nil if no login is configured.
	openstack *openstack.Client
	// cleanText makes a text from others fit for a terminal and for the state.
	cleanText func(s string, limit int) string
	// refreshed has the IDs of the resources that this process has read; a process that only applies a plan reads none.
	refreshed sync.Map
	// planned counts resources for one VM.
	planned *plannedObjects
	// created has the IDs of VMs for which this process has created a vma_cbt.
	created sync.Map
	// attempts has the replications that this process has read or deleted.
	attempts attempts
	// gone has the names of VMs that are in state and no longer in vCenter.
	gone sync.Map
}

// newProviderData takes each value from the configuration, else from the environment, and reports all problems at once.
func newProviderData(ctx context.Context, config providerModel, version string, diags *diag.Diagnostics) *providerData {
	if config.hasUnknown() {
		return &providerData{}
	}
	p := &providerData{
		known:   true,
		planned: newPlannedObjects(),
		autoCBT: boolean(config.AutoCBT, "auto_cbt", "VMA_AUTO_CBT", true, diags),
		onLeftoverSnapshot: choice(config.OnLeftoverSnapshot, "on_leftover_snapshot", "VMA_ON_LEFTOVER_SNAPSHOT",
			diags, onLeftoverFail, onLeftoverRemove),
		onBlocked:      choice(config.OnBlocked, "on_blocked", "VMA_ON_BLOCKED", diags, onBlockedFail, onBlockedWarn),
		migratekitPath: cmp.Or(text(config.MigratekitPath, "VMA_MIGRATEKIT_PATH"), "migratekit"),
		logDirectory: cmp.Or(text(config.LogDirectory, "VMA_LOG_DIRECTORY"),
			filepath.Join(cmp.Or(os.Getenv("TF_DATA_DIR"), ".terraform"), "vma")),
	}
	diags.Append(config.MigratekitEnvironment.ElementsAs(ctx, &p.migratekitEnvironment, false)...)
	p.openstack = config.openStack(ctx, p.migratekitEnvironment, "terraform-provider-vma/"+version, diags)
	log := newLogger()
	settings := vsphere.Config{
		Log:        log,
		Server:     required(text(config.VCenter, "VSPHERE_SERVER"), "vcenter", "VSPHERE_SERVER", diags),
		Username:   credential(config.Username, "username", "VSPHERE_USER", diags),
		Password:   credential(config.Password, "password", "VSPHERE_PASSWORD", diags),
		Insecure:   boolean(config.Insecure, "insecure", "VSPHERE_ALLOW_UNVERIFIED_SSL", false, diags),
		CAFile:     text(config.CAFile, "VSPHERE_CA_FILE"),
		Thumbprint: text(config.Thumbprint, "VSPHERE_THUMBPRINT"),
		UserAgent:  "terraform-provider-vma/" + version,
	}
	if diags.HasError() {
		return nil
	}
	checkServer(config, settings, diags)
	if diags.HasError() {
		return nil
	}
	client, err := vsphere.NewClient(settings)
	if err != nil {
		diags.AddAttributeError(path.Root("ca_file"), "Invalid ca_file",
			"The certificates in ca_file (VSPHERE_CA_FILE) cannot be read. Set it to the path of a PEM file, or to several paths separated as in PATH.\n\n"+err.Error())
		return nil
	}
	p.vcenter = client
	p.manager = cbt.NewManager(client, log)
	p.runner = replication.NewRunner(client, p.manager, process.NewMachine(log), log, config.limits(ctx, diags), version)
	return p
}

// checkServer validates values that may come from the environment, which no schema validates.
func checkServer(config providerModel, settings vsphere.Config, diags *diag.Diagnostics) {
	variable := func(value types.String, name string) string {
		if value.ValueString() != "" {
			return ""
		}
		return name
	}
	if _, err := vsphere.ParseServer(settings.Server); err != nil {
		diags.Append(invalidServer(path.Root("vcenter"), variable(config.VCenter, "VSPHERE_SERVER"), err))
	}
	if settings.Thumbprint == "" {
		return
	}
	if _, err := vsphere.ParseThumbprint(settings.Thumbprint); err != nil {
		diags.Append(invalidThumbprint(path.Root("thumbprint"), variable(config.Thumbprint, "VSPHERE_THUMBPRINT"), settings.Thumbprint, err))
	}
}

func (m providerModel) hasUnknown() bool {
	if m.MigratekitEnvironment.IsUnknown() {
		return true
	}
	for _, element := range m.MigratekitEnvironment.Elements() {
		if element.IsUnknown() {
			return true
		}
	}
	return m.VCenter.IsUnknown() || m.Username.IsUnknown() || m.Password.IsUnknown() || m.Insecure.IsUnknown() ||
		m.OnLeftoverSnapshot.IsUnknown() || m.OnBlocked.IsUnknown() || hasUnknown(m.Concurrency) || hasUnknown(m.OpenStack) || m.CAFile.IsUnknown() || m.Thumbprint.IsUnknown() || m.AutoCBT.IsUnknown() || m.MigratekitPath.IsUnknown() ||
		m.LogDirectory.IsUnknown()
}

// hasUnknown reports whether an attribute of a block is known only after apply.
func hasUnknown(block types.Object) bool {
	if block.IsUnknown() {
		return true
	}
	for _, value := range block.Attributes() {
		if value.IsUnknown() {
			return true
		}
	}
	return false
}

func text(value types.String, variable string) string {
	return cmp.Or(value.ValueString(), os.Getenv(variable))
}

func required(s, attribute, variable string, diags *diag.Diagnostics) string {
	if s == "" {
		diags.AddAttributeError(path.Root(attribute), "Missing "+attribute,
			fmt.Sprintf("The provider needs %s: set it in the provider block, or %s in the environment.", attribute, variable))
	}
	return s
}

// credential is a required text that a process and a login accept. A line break at its end, as a file or a pipe leaves it in the
// environment, is trimmed.
func credential(value types.String, attribute, variable string, diags *diag.Diagnostics) string {
	s := text(value, variable)
	if trimmed := strings.TrimRight(s, "\r\n"); value.ValueString() == "" && trimmed != s {
		diags.AddAttributeWarning(path.Root(attribute), "Line Break Removed",
			fmt.Sprintf("The environment variable %s ends with a line break, which was removed.", variable))
		s = trimmed
	}
	required(s, attribute, variable, diags)
	if hasControl(s) {
		diags.AddAttributeError(path.Root(attribute), "Invalid "+attribute,
			fmt.Sprintf("The value of %s (%s in the environment) has a control character, such as a line break. If it is read from a file, remove the line break with trimspace().", attribute, variable))
	}
	return s
}

// choice returns one of several words; the first one is the default.
func choice(value types.String, attribute, variable string, diags *diag.Diagnostics, words ...string) string {
	s := cmp.Or(text(value, variable), words[0])
	if !slices.Contains(words, s) {
		diags.AddAttributeError(path.Root(attribute), "Invalid "+attribute,
			fmt.Sprintf("The environment variable %s is %q. Set it to %s.", variable, s, strings.Join(words, " or ")))
	}
	return s
}

func boolean(value types.Bool, attribute, variable string, fallback bool, diags *diag.Diagnostics) bool {
	if !value.IsNull() {
		return value.ValueBool()
	}
	s := os.Getenv(variable)
	if s == "" {
		return fallback
	}
	parsed, err := strconv.ParseBool(s)
	switch strings.ToLower(s) {
	case "yes", "on":
		return true
	case "no", "off":
		return false
	}
	if err != nil {
		diags.AddAttributeError(path.Root(attribute), "Invalid "+attribute,
			fmt.Sprintf("The environment variable %s is %q. Set it to true or false.", variable, s))
	}
	return parsed
}

// toProviderData converts the data that Configure methods receive. It returns nil before the provider is configured, as when a configuration is only
// validated.
func toProviderData(data any, diags *diag.Diagnostics) *providerData {
	if data == nil {
		return nil
	}
	p, ok := data.(*providerData)
	if !ok {
		diags.AddError("Unable to Configure vma", fmt.Sprintf("The provider passed on configuration data of the type %T. This is a bug in the provider; please report it.", data))
	}
	return p
}

// oneLine returns an error as one line for the state. tail has the last lines of migratekit, whose "Error:" lines say more than its exit status.
func (p *providerData) oneLine(err error, tail []string) string {
	reasons := slices.DeleteFunc(slices.Clone(tail), func(line string) bool { return !strings.HasPrefix(line, "Error:") })
	text := strings.Join(append([]string{err.Error()}, reasons...), ": ")
	return p.flat(text)
}

// flat makes a text from others one line of bounded length, without secrets.
func (p *providerData) flat(text string) string {
	return p.cleanText(strings.Join(strings.Fields(text), " "), maxSummary)
}

// leftover returns which snapshots of others vma_cbt removes from a VM: those that a run of migratekit left, or none.
func (p *providerData) leftover(ctx context.Context, id string) func(vsphere.Snapshot) bool {
	if p.onLeftoverSnapshot != onLeftoverRemove {
		return nil
	}
	return func(s vsphere.Snapshot) bool { return cbt.IsLeftover(s) && !p.runner.InUse(ctx, id) }
}

func (p *providerData) wasRefreshed(id string) bool {
	_, ok := p.refreshed.Load(id)
	return ok
}
