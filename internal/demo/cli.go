package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hc-install/product"
	"github.com/hashicorp/hc-install/releases"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

//go:embed main.tf
var configuration []byte

//go:embed openstack.tf
var openStackConfiguration []byte

// openStackDirectory has the configuration of the act that migrates to OpenStack.
const openStackDirectory = "openstack"

// cli runs a real Terraform or OpenTofu with this provider.
type cli struct {
	program, dir string
	env          []string // in addition to that of this process
	pause        string   // copies do not end while this file exists
}

func newCLI(ctx context.Context, dir, release string, vcenter *vspheretest.VCenter, cloud *openstacktest.Cloud, exports map[string]string) (*cli, error) {
	program, err := find(ctx, dir)
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return nil, err
	}
	migratekit, err := migratekittest.Install(bin)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "terraformrc")
	variables, err := json.Marshal(map[string]any{"exports": exports})
	if err != nil {
		return nil, err
	}
	work := filepath.Join(dir, "work")
	if err := errors.Join(
		os.Mkdir(work, 0o700),
		os.Mkdir(filepath.Join(work, openStackDirectory), 0o700),
		os.WriteFile(filepath.Join(work, openStackDirectory, "main.tf"), openStackConfiguration, 0o600),
		os.WriteFile(filepath.Join(work, "main.tf"), configuration, 0o600),
		os.WriteFile(filepath.Join(work, "demo.auto.tfvars.json"), variables, 0o600),
	); err != nil {
		return nil, err
	}
	c := &cli{program: program, dir: work, pause: filepath.Join(dir, "pause"), env: []string{
		"TF_CLI_CONFIG_FILE=" + config, "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1",
		"VSPHERE_SERVER=" + vcenter.URL.Host, "VSPHERE_USER=" + vspheretest.Username,
		"VSPHERE_PASSWORD=" + vspheretest.Password, "VSPHERE_THUMBPRINT=" + vcenter.Thumbprint(),
		"VMA_MIGRATEKIT_PATH=" + migratekit, migratekittest.Pause + "=" + filepath.Join(dir, "pause"),
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HTTP_PROXY=" + cloud.URL(), // to the metadata service, which says that this machine is a server of the project
	}}
	for name, value := range cloud.Environment() {
		c.env = append(c.env, name+"="+value)
	}
	if release == "" {
		err = c.build(ctx, bin, config)
	} else {
		err = c.install(ctx, release, filepath.Join(dir, "mirror"), config)
	}
	if err != nil {
		return nil, err
	}
	fmt.Printf("The embedded vCenter listens on %s, an OpenStack on %s; migratekit is a stand-in that copies no data.\n", vcenter.URL, cloud.URL())
	return c, nil
}

// find returns terraform or tofu from PATH, or downloads Terraform.
func find(ctx context.Context, dir string) (string, error) {
	for _, name := range []string{"terraform", "tofu"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	fmt.Println("Downloading Terraform …")
	install := &releases.LatestVersion{Product: product.Terraform, InstallDir: dir}
	path, err := install.Install(ctx)
	if err != nil {
		return "", fmt.Errorf("neither terraform nor tofu is in PATH, and Terraform cannot be downloaded: %w", err)
	}
	return path, nil
}

// run prints a command and its output, and fails unless it exits with want.
func (c *cli) run(ctx context.Context, want int, args ...string) error {
	fmt.Printf("\n$ %s %s\n", filepath.Base(c.program), strings.Join(args, " "))
	err := c.quietly(ctx, os.Stdout, args...)
	fmt.Println()
	var exit *exec.ExitError
	switch {
	case err == nil && want == 0:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == want:
		return nil
	case err == nil:
		return fmt.Errorf("%s exited with 0, not %d", args[0], want)
	}
	return err
}

func (c *cli) quietly(ctx context.Context, output io.Writer, args ...string) error {
	command := exec.CommandContext(ctx, c.program, args...)
	command.Dir, command.Env = c.dir, append(os.Environ(), c.env...)
	command.Stdout, command.Stderr = output, os.Stderr
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	return command.Run()
}

// last is the last cycle in state.
type last struct {
	Kind         string `json:"kind"`
	ChangedBytes int64  `json:"changed_bytes"`
}

// lastCycle returns nil if no cycle has run yet. args are Terraform's own, before the command.
func (c *cli) lastCycle(ctx context.Context, args ...string) (*last, error) {
	var l *last
	return l, c.output(ctx, &l, "last_cycle", args...)
}

// output reads an output of the configuration; one that is not there leaves into as it is.
func (c *cli) output(ctx context.Context, into any, name string, args ...string) error {
	var output bytes.Buffer
	if err := c.quietly(ctx, &output, append(args, "output", "-json")...); err != nil {
		return err
	}
	var values map[string]struct {
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(output.Bytes(), &values); err != nil {
		return err
	}
	if raw, ok := values[name]; ok {
		return json.Unmarshal(raw.Value, into)
	}
	return nil
}
