package provider

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
	"github.com/vma-project/terraform-provider-vma/internal/replication"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// services is what a configured provider hands to its resources and data
// sources.
type services struct {
	// known is false where the provider's configuration depends on values that
	// are known after apply only; then everything below is empty.
	known   bool
	vcenter *vsphere.Client
	manager *cbt.Manager
	runner  *replication.Runner

	username, password    string
	autoCBT               bool
	migratekitPath        string
	migratekitEnvironment map[string]string
	logDirectory          string
	// refreshed are the IDs of the resources that were read in this process. One
	// that applies a plan refreshes none.
	refreshed sync.Map
	// gone are the names of VMs that were in state and are in vCenter no more.
	gone sync.Map

	// missingTools is migratekit.MissingTools, asked once.
	missingTools func() string
}

// newServices takes each value from the configuration, else from the
// environment, and says all that is wrong at once.
func newServices(ctx context.Context, config providerModel, version string, diags *diag.Diagnostics) *services {
	if config.hasUnknown() {
		return &services{}
	}
	s := &services{
		known:          true,
		username:       required(config.Username, "username", "VSPHERE_USER", diags),
		password:       required(config.Password, "password", "VSPHERE_PASSWORD", diags),
		autoCBT:        boolean(config.AutoCBT, "auto_cbt", "VMA_AUTO_CBT", true, diags),
		migratekitPath: cmp.Or(text(config.MigratekitPath, "VMA_MIGRATEKIT_PATH"), "migratekit"),
		logDirectory: cmp.Or(text(config.LogDirectory, "VMA_LOG_DIRECTORY"),
			filepath.Join(cmp.Or(os.Getenv("TF_DATA_DIR"), ".terraform"), "vma")),
	}
	diags.Append(config.MigratekitEnvironment.ElementsAs(ctx, &s.migratekitEnvironment, false)...)
	log := newLogger()
	settings := vsphere.Config{
		Log:        log,
		Server:     required(config.VCenter, "vcenter", "VSPHERE_SERVER", diags),
		Username:   s.username,
		Password:   s.password,
		Insecure:   boolean(config.Insecure, "insecure", "VSPHERE_ALLOW_UNVERIFIED_SSL", false, diags),
		CAFile:     text(config.CAFile, "VSPHERE_CA_FILE"),
		Thumbprint: text(config.Thumbprint, "VSPHERE_THUMBPRINT"),
		UserAgent:  "terraform-provider-vma/" + version,
	}
	if diags.HasError() {
		return nil
	}
	checkServer(settings, diags)
	if diags.HasError() {
		return nil
	}
	client, err := vsphere.NewClient(settings)
	if err != nil {
		diags.AddAttributeError(path.Root("ca_file"), "Invalid ca_file",
			"The certificates to trust cannot be read. Give the paths of PEM files, separated as in PATH, in ca_file or VSPHERE_CA_FILE.\n\n"+err.Error())
		return nil
	}
	s.missingTools = sync.OnceValue(func() string {
		return migratekit.MissingTools(context.WithoutCancel(ctx), s.migratekitEnvironment)
	})
	s.vcenter = client
	s.manager = cbt.NewManager(client, log)
	s.runner = replication.NewRunner(client, s.manager, log)
	return s
}

// checkServer checks what may have come from the environment, which no schema
// has validated.
func checkServer(settings vsphere.Config, diags *diag.Diagnostics) {
	if _, err := vsphere.ParseServer(settings.Server); err != nil {
		diags.Append(invalidServer(path.Root("vcenter"), err))
	}
	if settings.Thumbprint == "" {
		return
	}
	if _, err := vsphere.ParseThumbprint(settings.Thumbprint); err != nil {
		diags.Append(invalidThumbprint(path.Root("thumbprint"), settings.Thumbprint, err))
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
		m.CAFile.IsUnknown() || m.Thumbprint.IsUnknown() || m.AutoCBT.IsUnknown() || m.MigratekitPath.IsUnknown() ||
		m.LogDirectory.IsUnknown()
}

func text(value types.String, variable string) string {
	return cmp.Or(value.ValueString(), os.Getenv(variable))
}

func required(value types.String, attribute, variable string, diags *diag.Diagnostics) string {
	s := text(value, variable)
	if s == "" {
		diags.AddAttributeError(path.Root(attribute), "Missing "+attribute,
			fmt.Sprintf("The provider needs %s: set it in the provider block, or %s in the environment.", attribute, variable))
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
	if err != nil {
		diags.AddAttributeError(path.Root(attribute), "Invalid "+attribute,
			fmt.Sprintf("The environment variable %s is %q. Write true or false.", variable, s))
	}
	return parsed
}

// servicesOf takes what Configure was given; nil before the provider itself is
// configured, as when a configuration is only validated.
func servicesOf(data any, diags *diag.Diagnostics) *services {
	if data == nil {
		return nil
	}
	s, ok := data.(*services)
	if !ok {
		diags.AddError("Unable to Configure vma", fmt.Sprintf("The provider handed on a %T. This is a defect of the provider; please report it.", data))
	}
	return s
}

func (s *services) wasRefreshed(id string) bool {
	_, ok := s.refreshed.Load(id)
	return ok
}
