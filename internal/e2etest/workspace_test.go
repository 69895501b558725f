// Package e2etest tests the built provider under the terraform in PATH: a provider inside the test process gets no signals, does not exit and
// does not log out.
package e2etest

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// binaries is the directory with the built provider.
var binaries string

func TestMain(m *testing.M) {
	if migratekittest.Called() {
		os.Exit(migratekittest.Main())
	}
	if standsIn() {
		os.Exit(standIn())
	}
	if err := os.Chdir("../.."); err != nil { // to the examples, guides and sources
		log.Fatal(err)
	}
	log.SetOutput(io.Discard) // silence the simulator
	// Processes started here get the default signal handling, even if the tests run under nohup.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vma-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binaries = dir
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(directory string, flags ...string) error {
	args := append([]string{"build", "-o", filepath.Join(directory, "terraform-provider-vma")}, flags...)
	if output, err := exec.CommandContext(context.Background(), "go", append(args, ".")...).CombinedOutput(); err != nil {
		return fmt.Errorf("build the provider: %w\n%s", err, output)
	}
	return nil
}

// buildProvider builds the provider with other flags and returns its directory.
func buildProvider(t *testing.T, flags ...string) string {
	t.Helper()
	directory := t.TempDir()
	if err := build(directory, flags...); err != nil {
		t.Fatal(err)
	}
	return directory
}

// workspace is a directory with a configuration, and an environment.
type workspace struct {
	t   *testing.T
	dir string
	env map[string]string
}

func newWorkspace(t *testing.T, configuration string) *workspace {
	t.Helper()
	w := &workspace{t: t, dir: t.TempDir(), env: map[string]string{"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}}
	w.provider(t, binaries)
	w.write(filepath.Join(w.dir, "main.tf"), "terraform {\n  required_providers {\n    vma = { source = \"vma-project/vma\" }\n  }\n}\nprovider \"vma\" {}\n"+configuration)
	return w
}

// provider makes the CLI load the provider from a directory.
func (w *workspace) provider(t *testing.T, directory string) {
	t.Helper()
	rc := filepath.Join(t.TempDir(), "terraformrc")
	w.env["TF_CLI_CONFIG_FILE"] = rc
	w.write(rc, fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"vma-project/vma\" = %q\n  }\n  direct {}\n}\n", directory))
}

func (w *workspace) write(path, content string) {
	w.t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workspace) use(vcenter *vspheretest.VCenter) {
	w.env["VSPHERE_SERVER"] = vcenter.URL.Host
	w.env["VSPHERE_USER"] = vspheretest.Username
	w.env["VSPHERE_PASSWORD"] = vspheretest.Password
	w.env["VSPHERE_THUMBPRINT"] = vcenter.Thumbprint()
}

// useOpenStack starts an OpenStack, and sets the variables of a login to it.
func (w *workspace) useOpenStack() *openstacktest.Cloud {
	cloud := openstacktest.Start()
	w.t.Cleanup(cloud.Close)
	// What the tests and the examples refer to.
	cloud.Add(openstacktest.Flavor, "f", "m1.small").Add(openstacktest.Network, "n", "dmz").AddSubnet("s", "n", "10.1.0.0/24", "10.1.0.1")
	const network = "b7d3f0de-2c3c-4a8e-bb62-0b0f5d9c1c5e"
	cloud.Add(openstacktest.Flavor, "4c3d2f5e-8f7a-4c1e-9a56-0e6f6f0a7b11", "m1.large").Add(openstacktest.Network, network, "lan").
		AddSubnet("0f8c1c7a-5b7b-4f0e-8a0d-5d4d5a1a9b9e", network, "10.0.0.0/24", "10.0.0.1")
	maps.Copy(w.env, cloud.Environment())
	w.env["HTTP_PROXY"] = cloud.URL() // to the metadata service
	return cloud
}

func (w *workspace) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.t.Context(), "terraform", args...)
	cmd.Dir = w.dir
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); !strings.HasPrefix(name, "VSPHERE_") && !strings.HasPrefix(name, "VMA_") && !strings.HasPrefix(name, "TF_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	for name, value := range w.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// terraform runs a command that must exit with the given status.
func (w *workspace) terraform(want int, args ...string) string {
	w.t.Helper()
	output, err := w.command(append(args, "-no-color")...).CombinedOutput()
	if got := exitStatus(err); got != want {
		w.t.Fatalf("terraform %s exited with %d, want %d:\n%s", strings.Join(args, " "), got, want, output)
	}
	return string(output)
}

func exitStatus(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return -1
}

// stateResource is a resource in the output of terraform show -json.
type stateResource struct {
	Address string         `json:"address"`
	Tainted bool           `json:"tainted"`
	Values  map[string]any `json:"values"`
}

func (w *workspace) resources() []stateResource {
	w.t.Helper()
	var state struct {
		Values struct {
			Root struct {
				Resources []stateResource `json:"resources"`
			} `json:"root_module"`
		} `json:"values"`
	}
	output, err := w.command("show", "-json").Output()
	if err == nil {
		err = json.Unmarshal(output, &state)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return state.Values.Root.Resources
}

func (w *workspace) attribute(address, name string) any {
	w.t.Helper()
	for _, resource := range w.resources() {
		if resource.Address == address {
			if resource.Tainted {
				w.t.Errorf("%s is tainted", address)
			}
			return resource.Values[name]
		}
	}
	w.t.Fatalf("%s is not in state", address)
	return nil
}

func startVCenter(t *testing.T) (*vspheretest.VCenter, *vspheretest.Machine) {
	t.Helper()
	vcenter, err := vspheretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	vm, err := vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/web01"})
	if err != nil {
		t.Fatal(err)
	}
	return vcenter, vm
}

func noSession(t *testing.T, vcenter *vspheretest.VCenter, after string) {
	t.Helper()
	if n := vcenter.Sessions(); n != 0 {
		t.Errorf("%d sessions are left on vCenter after %s", n, after)
	}
}

// replicated returns a workspace with one replication, and the directory with the files of its migratekit.
func replicated(t *testing.T, vcenter *vspheretest.VCenter, lines string) (w *workspace, steer string) {
	t.Helper()
	server, err := nbdtest.Start(nbdtest.Newstyle, map[string]nbdtest.Export{"web01-0": {Size: 1 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	steer = t.TempDir()
	program, err := migratekittest.Install(steer)
	if err != nil {
		t.Fatal(err)
	}
	w = newWorkspace(t, fmt.Sprintf("resource \"vma_replication\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n  nbd = { exports = { \"2000\" = %q } }\n%s\n}\n",
		server.URI("web01-0"), lines))
	w.use(vcenter)
	w.env["VMA_MIGRATEKIT_PATH"] = program
	w.env[migratekittest.Record] = filepath.Join(steer, "runs")
	return w, steer
}

func waitFor(t *testing.T, path string) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s did not appear", path)
		case <-ticker.C:
		}
	}
}

func unzip(t *testing.T, path string) []byte {
	t.Helper()
	archive, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = archive.Close() }()
	var all []byte
	for _, file := range archive.File {
		reader, err := file.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	return all
}

// words joins the words of Terraform's output, without line breaks and bars.
func words(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "│", " ")), " ")
}
