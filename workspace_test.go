package main_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// binaries is where TestMain has built the provider.
var binaries string

func TestMain(m *testing.M) {
	if migratekittest.Called() {
		os.Exit(migratekittest.Main())
	}
	if standsIn() {
		os.Exit(standIn())
	}
	log.SetOutput(io.Discard) // the simulator's own chatter
	// A terminal's signals are at their defaults for what is started here, also
	// where the tests run under nohup.
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

// buildProvider builds the provider in another way, and gives its directory.
func buildProvider(t *testing.T, flags ...string) string {
	t.Helper()
	directory := t.TempDir()
	if err := build(directory, flags...); err != nil {
		t.Fatal(err)
	}
	return directory
}

// workspace is a directory with a configuration, and the environment of one
// practitioner.
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

// provider makes the workspace use the provider that is in a directory.
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

// useOpenStack sets what a cycle to OpenStack is checked for.
func (w *workspace) useOpenStack() {
	for _, variable := range []string{"OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_ID"} {
		w.env[variable] = "x"
	}
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

// terraform runs a command that must end with the given status.
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

// stateResource is a resource as "terraform show -json" has it.
type stateResource struct {
	Address string         `json:"address"`
	Tainted bool           `json:"tainted"`
	Values  map[string]any `json:"values"`
}

// resources are those in state.
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

// attribute reads an attribute of a resource out of the state.
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

// running is a terraform under way.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	output *output
	ended  chan struct{}
	err    error
}

// output is what a command prints, to be read while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (w *workspace) start(args ...string) *running {
	w.t.Helper()
	return w.begin(nil, args...)
}

// startGroup starts a terraform in a process group of its own, as a shell does.
func (w *workspace) startGroup(args ...string) *running {
	w.t.Helper()
	return w.begin(&syscall.SysProcAttr{Setpgid: true}, args...)
}

func (w *workspace) begin(attr *syscall.SysProcAttr, args ...string) *running {
	w.t.Helper()
	r := &running{t: w.t, cmd: w.command(append(args, "-no-color")...), output: &output{}, ended: make(chan struct{})}
	r.cmd.SysProcAttr = attr
	r.cmd.Stdout, r.cmd.Stderr = r.output, r.output
	r.cmd.WaitDelay = 10 * time.Second // a provider may hold the output of a terraform that was killed
	if err := r.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(r.ended)
		r.err = r.cmd.Wait()
	}()
	return r
}

func (r *running) interrupt() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		r.t.Error(err)
	}
}

// signalGroup signals terraform and its providers at once.
func (r *running) signalGroup(signal syscall.Signal) {
	r.t.Helper()
	if err := syscall.Kill(-r.cmd.Process.Pid, signal); err != nil {
		r.t.Error(err)
	}
}

// until waits for something that happens while it runs.
func (r *running) until(happened <-chan struct{}) {
	r.t.Helper()
	select {
	case <-happened:
	case <-r.ended:
		r.t.Fatalf("it ended before:\n%s", r.output.String())
	}
}

// interruptAt interrupts an apply while the first task of a method is under way,
// which then ends, and gives what it printed. It must fail.
func (w *workspace) interruptAt(method string, vcenter *vspheretest.VCenter, vm *vspheretest.Machine) string {
	w.t.Helper()
	reached := make(chan struct{})
	release := vm.HoldTasks(method)
	vcenter.Observe(method, 0, 1, func() { close(reached) })
	apply := w.start("apply", "-auto-approve")
	apply.until(reached)
	apply.interrupt()
	apply.heeds()
	release()
	if got := apply.wait(); got != 1 {
		w.t.Errorf("an interrupted apply exited with %d:\n%s", got, apply.output.String())
	}
	return apply.output.String()
}

// heeds waits until Terraform says that it has seen the interrupt.
func (r *running) heeds() {
	r.t.Helper()
	const text = "Interrupt received"
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !strings.Contains(r.output.String(), text) {
		select {
		case <-r.ended:
			if !strings.Contains(r.output.String(), text) {
				r.t.Fatalf("it ended without %q:\n%s", text, r.output.String())
			}
		case <-ticker.C:
		}
	}
}

func (r *running) wait() int {
	<-r.ended
	return exitStatus(r.err)
}

// replicated is a workspace with one replication, and a migratekit that steers
// by files in a directory.
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

// waitFor waits for a file that another process makes.
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

// words is a text without its line breaks.
func words(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "│", " ")), " ")
}
