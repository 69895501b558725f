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
	"slices"
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

//go:embed fleet.tf
var fleetConfiguration []byte

//go:embed assessment.tf
var assessmentConfiguration []byte

// The directories beside that of the first act.
const (
	openStackDirectory = "openstack"
	fleetDirectory     = "fleet"
	assessDirectory    = "assessment"
)

// cli runs a real Terraform or OpenTofu with this provider.
type cli struct {
	program, dir string
	env          []string // in addition to that of this process
	pause        string   // copies do not end while this file exists
	out          *out
}

func newCLI(ctx context.Context, dir, release string, vcenter *vspheretest.VCenter, cloud *openstacktest.Cloud, out *out, exports map[string]string) (*cli, error) {
	program, err := findCLI(ctx, dir)
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
	for directory, content := range map[string][]byte{"": configuration, openStackDirectory: openStackConfiguration, fleetDirectory: fleetConfiguration, assessDirectory: assessmentConfiguration} {
		if err := errors.Join(
			os.MkdirAll(filepath.Join(work, directory), 0o700),
			os.WriteFile(filepath.Join(work, directory, "main.tf"), content, 0o600),
		); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(work, "demo.auto.tfvars.json"), variables, 0o600); err != nil {
		return nil, err
	}
	c := &cli{program: program, dir: work, pause: filepath.Join(dir, "pause"), out: out, env: []string{
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
	return c, nil
}

// findCLI returns terraform or tofu from PATH, or downloads Terraform.
func findCLI(ctx context.Context, dir string) (string, error) {
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

// run shows a command, writes its output to the log and returns it. It fails unless the command exits with want.
func (c *cli) run(ctx context.Context, want int, args ...string) (string, error) {
	c.out.command(filepath.Base(c.program) + " " + strings.Join(args, " "))
	var output bytes.Buffer
	at := 1
	if strings.HasPrefix(args[0], "-chdir") {
		at = 2
	}
	err := c.quietly(ctx, io.MultiWriter(&output, c.out.log), slices.Insert(slices.Clone(args), at, "-no-color")...)
	var exit *exec.ExitError
	switch {
	case err == nil && want == 0:
		return output.String(), nil
	case errors.As(err, &exit) && exit.ExitCode() == want:
		return output.String(), nil
	case err == nil:
		err = fmt.Errorf("%s exited with 0, not %d", strings.Join(args, " "), want)
	}
	return "", fmt.Errorf("%w; see %s", err, c.out.log.Name())
}

func (c *cli) quietly(ctx context.Context, output io.Writer, args ...string) error {
	command := exec.CommandContext(ctx, c.program, args...)
	command.Dir, command.Env = c.dir, append(os.Environ(), c.env...)
	command.Stdout, command.Stderr = output, output
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	return command.Run()
}
