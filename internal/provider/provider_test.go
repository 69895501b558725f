package provider_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/provider"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// TestMain runs the binary as migratekit if it has that name, and clears the caller's environment.
func TestMain(m *testing.M) {
	if migratekittest.Called() {
		os.Exit(migratekittest.Main())
	}
	log.SetOutput(io.Discard) // silence the simulator
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		for _, prefix := range []string{"VSPHERE_", "VMA_", "OS_", "TF_LOG"} {
			if strings.HasPrefix(name, prefix) {
				_ = os.Unsetenv(name)
			}
		}
	}
	_ = os.Setenv("TF_CLI_CONFIG_FILE", os.DevNull)
	_ = os.Setenv("CHECKPOINT_DISABLE", "1")
	metadata := openstacktest.ServeMetadata() // this machine is a server of every cloud
	_ = os.Setenv("HTTP_PROXY", metadata.URL)
	if err := nameRegistry(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// nameRegistry tells the test framework the CLI's default registry. Terraform and OpenTofu have different
// ones, and the framework knows Terraform's only.
func nameRegistry() error {
	directory, err := os.MkdirTemp("", "vma-registry-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	if err := os.WriteFile(filepath.Join(directory, "main.tf"), []byte("provider \"vma\" {}\n"), 0o600); err != nil {
		return err
	}
	cli := exec.CommandContext(context.Background(), cmp.Or(os.Getenv("TF_ACC_TERRAFORM_PATH"), "terraform"), "providers")
	cli.Dir = directory
	output, err := cli.Output()
	if err != nil {
		return fmt.Errorf("ask the CLI for its registry: %w", err)
	}
	if found := regexp.MustCompile(`provider\[([^/\]]+)/`).FindSubmatch(output); found != nil {
		return os.Setenv("TF_ACC_PROVIDER_HOST", string(found[1]))
	}
	return fmt.Errorf("the CLI names no registry:\n%s", output)
}

// estate is the environment of one test: an embedded vCenter, an OpenStack, a stand-in migratekit and a log directory.
type estate struct {
	*vspheretest.VCenter
	cloud      *openstacktest.Cloud
	dir        string
	migratekit string
	env        map[string]string // for migratekit
}

func newEstate(t *testing.T) *estate {
	t.Helper()
	vcenter, err := vspheretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program, err := migratekittest.Install(dir)
	if err != nil {
		t.Fatal(err)
	}
	e := &estate{VCenter: vcenter, dir: dir, migratekit: program, env: map[string]string{
		migratekittest.Record: filepath.Join(dir, "runs"),
	}}
	e.cloud = openstacktest.Start()
	t.Cleanup(e.cloud.Close)
	e.cloud.Add(openstacktest.Flavor, "f", "m1.tiny").Add(openstacktest.Flavor, "f1", "m1.small").Add(openstacktest.Network, "n", "lan").Add(openstacktest.Network, "n1", "dmz").
		AddSubnet("s", "n", "10.1.0.0/24", "10.1.0.1").AddSubnet("s1", "n1", "10.0.0.0/24", "10.0.0.1").
		Add(openstacktest.SecurityGroup, "g1", "web").Add(openstacktest.SecurityGroup, "g2", "db")
	maps.Copy(e.env, e.cloud.Environment())
	t.Cleanup(func() {
		if err := vcenter.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// factories serve the provider in this process and close it at the end of the test.
func (e *estate) factories(t *testing.T) map[string]func() (tfprotov6.ProviderServer, error) {
	t.Helper()
	return map[string]func() (tfprotov6.ProviderServer, error){
		"vma": func() (tfprotov6.ProviderServer, error) {
			p := provider.New("test")
			t.Cleanup(func() {
				if err := p.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
			return p.Server(), nil
		},
	}
}

func (e *estate) provider(extra ...string) string {
	var env strings.Builder
	for name, value := range e.env {
		fmt.Fprintf(&env, "    %s = %q\n", name, value)
	}
	return fmt.Sprintf(`
provider "vma" {
  vcenter         = %q
  username        = %q
  password        = %q
  thumbprint      = %q
  migratekit_path = %q
  log_directory   = %q
  migratekit_environment = {
%s  }
  %s
}
`, e.URL.Host, vspheretest.Username, vspheretest.Password, e.Thumbprint(), e.migratekit,
		filepath.Join(e.dir, "logs"), env.String(), strings.Join(extra, "\n  "))
}

func (e *estate) addVM(t *testing.T, spec vspheretest.Spec) *vspheretest.Machine {
	t.Helper()
	vm, err := e.AddVM(spec)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func (e *estate) runs(t *testing.T) []migratekittest.Invocation {
	t.Helper()
	runs, err := migratekittest.Invocations(e.env[migratekittest.Record])
	if err != nil {
		t.Fatal(err)
	}
	return runs
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
