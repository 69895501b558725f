package e2etest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// migrationPath has the guides in their order, and what happens outside Terraform before each.
var migrationPath = []pathStep{
	{"assessment.md.tmpl", nil},
	{"enable-cbt.md", nil},
	{"first-copies.md", nil},
	{"nightly-increments.md", write},
	{"cutover.md", write},
	{"afterwards.md", func(t *testing.T, vms map[string]*vspheretest.Machine) {
		t.Helper()
		vms["web02"].Write(2000, 2<<20, 1<<20)
	}},
	{"going-back.md", func(t *testing.T, vms map[string]*vspheretest.Machine) {
		t.Helper()
		if err := vms["web01"].PowerOn(); err != nil {
			t.Fatal(err)
		}
	}},
}

type pathStep struct {
	guide  string
	before func(t *testing.T, vms map[string]*vspheretest.Machine)
}

func write(t *testing.T, vms map[string]*vspheretest.Machine) {
	t.Helper()
	for _, vm := range vms {
		vm.Write(2000, 1<<20, 3<<20)
	}
}

// The guides form one path. The test writes each block to its file, runs each command in one directory, and requires each output that a guide shows.
func TestGuidesAreOnePath(t *testing.T) {
	t.Parallel()
	vcenter, err := vspheretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	vms := map[string]*vspheretest.Machine{}
	for i := 1; i <= 3; i++ {
		name := fmt.Sprintf("web%02d", i)
		vm, err := vcenter.AddVM(vspheretest.Spec{
			Path: "/DC0/vm/prod/" + name, Disks: []vspheretest.Disk{{}, {}}, MACs: []string{fmt.Sprintf("00:50:56:aa:bb:%02d", i)},
		})
		if err != nil {
			t.Fatal(err)
		}
		vms[name] = vm
	}
	w, _ := replicated(t, vcenter, "")
	cloud := w.useOpenStack()
	s := &showcase{workspace: w}
	s.besideOthers()
	for _, step := range migrationPath {
		if step.before != nil {
			step.before(t, vms)
		}
		follow(t, w, cloud, step.guide)
		if status := map[string]string{"afterwards.md": "cut_over", "going-back.md": "replicated"}[step.guide]; status != "" {
			if state := collapse(w.terraform(0, "state", "show", `vma_replication.vms["web01"]`)); !strings.Contains(state, "status = \""+status+"\"") {
				t.Errorf("after %s: %s", step.guide, state)
			}
		}
	}
}

var block = regexp.MustCompile("(?s)(?:```([a-z]+)\n(.*?)```|\\{\\{ tffile \"([^\"]+)\" \\}\\})")

// follow does what a guide says.
func follow(t *testing.T, w *workspace, cloud *openstacktest.Cloud, guide string) {
	t.Helper()
	output, commands, compared := "", 0, 0
	for _, found := range block.FindAllStringSubmatch(read(t, "templates/guides/"+guide), -1) {
		kind, text := found[1], found[2]
		if found[3] != "" {
			kind, text = "terraform", read(t, found[3])
		}
		switch kind {
		case "terraform":
			name, ok := strings.CutPrefix(strings.SplitN(text, "\n", 2)[0], "# ")
			if !ok || strings.Contains(name, " ") {
				t.Fatalf("%s: a block does not begin with the name of its file: %s", guide, text)
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(w.dir, name)), 0o700); err != nil {
				t.Fatal(err)
			}
			w.write(filepath.Join(w.dir, name), text)
		case "shell":
			for command := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
				if args, ok := strings.CutPrefix(command, "terraform "); ok {
					output = run(w, args)
					commands++
				} else if name, ok := strings.CutPrefix(command, "openstack server delete "); ok {
					cloud.DeleteServer(name)
				} else if command != "terraform-provider-vma progress" { // TestProgress runs it
					t.Errorf("%s: nothing runs %q", guide, command)
				}
			}
		case "text":
			compared += compare(t, guide, text, output)
		default:
			t.Errorf("%s: nobody follows a block of %s", guide, kind)
		}
	}
	if commands == 0 || compared == 0 {
		t.Errorf("%s: %d commands, %d lines of output", guide, commands, compared)
	}
}

var argument = regexp.MustCompile(`'([^']*)'|(\S+)`)

// run runs a command as a shell would, without questions.
func run(w *workspace, command string) string {
	w.t.Helper()
	var args []string
	for _, match := range argument.FindAllStringSubmatch(command, -1) {
		args = append(args, match[1]+match[2])
	}
	switch {
	case slices.Contains(args, "init"):
		return "" // the provider was just built, so there is nothing to install
	case slices.Contains(args, "apply"):
		args = append(args, "-auto-approve")
	}
	return w.terraform(0, args...)
}

// compare requires each line of a text in the output, in any order, and returns how many there were; … stands for anything.
func compare(t *testing.T, guide, text, output string) (lines int) {
	t.Helper()
	output = collapse(output)
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if line = collapse(line); line == "" {
			continue
		}
		lines++
		pattern := strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".+")
		if !regexp.MustCompile("(?m)^ ?" + pattern + " ?$").MatchString(output) {
			t.Errorf("%s shows %q, and the output is\n%s", guide, line, output)
		}
	}
	return lines
}

var spaces = regexp.MustCompile(`[ \t│╷╵]+`)

func collapse(text string) string { return strings.TrimSpace(spaces.ReplaceAllString(text, " ")) }

// What Terraform's own commands do to increments, as the guide's table says: for each target, the kind of the next copy.
func TestChainsOfIncrements(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		do             func(w *workspace)
		nbd, openStack string
	}{
		"taint":    {func(w *workspace) { w.terraform(0, "taint", "vma_replication.web") }, "full", "incremental"},
		"destroy":  {func(w *workspace) { w.terraform(0, "destroy", "-auto-approve") }, "full", "incremental"},
		"state rm": {func(w *workspace) { w.terraform(0, "state", "rm", "vma_replication.web") }, "full", "incremental"},
		"older state": {func(w *workspace) {
			w.write(filepath.Join(w.dir, "terraform.tfstate"), read(w.t, filepath.Join(w.dir, "older")))
		}, "incremental", "incremental"},
		"moved": {func(w *workspace) {
			w.rename("vma_replication.web", "moved {\n  from = vma_replication.web\n  to   = vma_replication.moved\n}\n")
		}, "incremental", "incremental"},
		"another key": {func(w *workspace) { w.rename("vma_replication.web", "") }, "full", "incremental"},
	} {
		for target, want := range map[string]string{"nbd": test.nbd, "openstack": test.openStack} {
			t.Run(name+", "+target, func(t *testing.T) {
				t.Parallel()
				vcenter, web := startVCenter(t)
				w, _ := replicated(t, vcenter, "  triggers = { cycle = var.cycle }")
				if target == "openstack" {
					w.useOpenStack()
					main := read(t, filepath.Join(w.dir, "main.tf"))
					w.write(filepath.Join(w.dir, "main.tf"), regexp.MustCompile(`nbd = .*`).ReplaceAllString(main, `openstack = { availability_zone = "nova" }`))
				}
				w.write(filepath.Join(w.dir, "more.tf"), "variable \"cycle\" { default = \"1\" }\noutput \"kind\" { value = vma_replication.web.last_cycle.kind }\n")
				w.terraform(0, "apply", "-auto-approve")
				w.write(filepath.Join(w.dir, "older"), read(t, filepath.Join(w.dir, "terraform.tfstate")))
				web.Write(2000, 1<<20, 1<<20)
				w.terraform(0, "apply", "-auto-approve", "-var", "cycle=2")
				test.do(w)
				w.terraform(0, "apply", "-auto-approve", "-var", "cycle=3")
				if got := strings.TrimSpace(w.terraform(0, "output", "-raw", "kind")); got != want {
					t.Errorf("the next copy is %s, want %s", got, want)
				}
			})
		}
	}
}

// rename gives the replication another address in the configuration.
func (w *workspace) rename(address, more string) {
	w.t.Helper()
	kind, name, _ := strings.Cut(address, ".")
	for _, file := range []string{"main.tf", "more.tf"} {
		text := read(w.t, filepath.Join(w.dir, file))
		text = strings.ReplaceAll(strings.ReplaceAll(text, fmt.Sprintf("resource %q %q", kind, name), fmt.Sprintf("resource %q \"moved\"", kind)), address+".", kind+".moved.")
		w.write(filepath.Join(w.dir, file), text)
	}
	w.write(filepath.Join(w.dir, "moved.tf"), more)
}
