package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// build builds the provider into bin and makes the CLI load it from there.
func (c *cli) build(ctx context.Context, bin, config string) error {
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(bin, "terraform-provider-vma"), ".")
	build.Stdout, build.Stderr = os.Stdout, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the provider: %w", err)
	}
	overrides := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"vma-project/vma\" = %q\n  }\n  direct {}\n}\n", bin)
	return os.WriteFile(config, []byte(overrides), 0o600)
}

// install creates a filesystem mirror of a release and runs terraform init with it, as with a registry.
func (c *cli) install(ctx context.Context, release, mirror, config string) error {
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		return err
	}
	address, err := c.address(ctx)
	if err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(release, "terraform-provider-vma_*.zip"))
	if err == nil && len(archives) == 0 {
		err = fmt.Errorf("there is no release in %s: run make snapshot first", release)
	}
	if err != nil {
		return err
	}
	packed := filepath.Join(mirror, filepath.FromSlash(address))
	if err := os.MkdirAll(packed, 0o700); err != nil {
		return err
	}
	for _, archive := range archives {
		content, err := os.ReadFile(archive)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(packed, filepath.Base(archive)), content, 0o600); err != nil {
			return err
		}
	}
	if err := os.WriteFile(config, fmt.Appendf(nil, "provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror), 0o600); err != nil {
		return err
	}
	for _, at := range [][]string{nil, {inOpenStack}, {inFleet}, {"-chdir=" + assessDirectory}} {
		output, err := c.run(ctx, 0, append(at, "init")...)
		if err != nil {
			return err
		}
		if at == nil {
			if err := c.out.result(output, []string{"Installed vma-project/vma"}, "The release is installed from a mirror, as from a registry."); err != nil {
				return err
			}
		}
	}
	return nil
}

var required = regexp.MustCompile(`provider\[(.*/vma-project/vma)\]`)

// address returns the provider address that the CLI expects: Terraform and OpenTofu use different registries.
func (c *cli) address(ctx context.Context) (string, error) {
	var output bytes.Buffer
	if err := c.quietly(ctx, &output, "providers"); err != nil {
		return "", err
	}
	found := required.FindSubmatch(output.Bytes())
	if found == nil {
		return "", errors.New("the configuration does not require vma-project/vma")
	}
	return string(found[1]), nil
}
