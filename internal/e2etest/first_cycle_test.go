package e2etest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// twoDisks returns a workspace with a replication of two disks, whose first cycle failed at the second disk.
func twoDisks(t *testing.T, lines string) (w *workspace, configure func(lines string), vm *vspheretest.Machine) {
	t.Helper()
	vcenter, err := vspheretest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = vcenter.Close() })
	const size = 1 << 30
	if vm, err = vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/web01", Disks: []vspheretest.Disk{{Size: size}, {Size: size}}}); err != nil {
		t.Fatal(err)
	}
	exports := map[string]nbdtest.Export{}
	for _, name := range []string{"a", "b", "c"} {
		exports[name] = nbdtest.Export{Size: size}
	}
	server, err := nbdtest.Start(nbdtest.Newstyle, exports)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	steer := t.TempDir()
	program, err := migratekittest.Install(steer)
	if err != nil {
		t.Fatal(err)
	}
	w = newWorkspace(t, "")
	w.use(vcenter)
	w.env["VMA_MIGRATEKIT_PATH"] = program
	w.env[migratekittest.Record] = filepath.Join(steer, "runs")
	configure = func(lines string) {
		target := fmt.Sprintf("nbd = { exports = { \"2000\" = %q, \"2001\" = %q } }", server.URI("a"), server.URI("b"))
		if strings.Contains(lines, "OTHER") {
			target = strings.ReplaceAll(target, server.URI("a"), server.URI("c"))
		}
		w.write(filepath.Join(w.dir, "main.tf"), "terraform {\n  required_providers {\n    vma = { source = \"vma-project/vma\" }\n  }\n}\n"+
			"resource \"vma_replication\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n"+target+"\n"+strings.ReplaceAll(lines, "OTHER", "")+"\n}\n")
	}
	configure(lines)
	w.env[migratekittest.Fail] = "2001"
	output := words(w.terraform(1, "apply", "-auto-approve"))
	delete(w.env, migratekittest.Fail)
	for _, text := range []string{"Nothing that was copied is lost: the disks", "terraform untaint"} {
		if !strings.Contains(output, text) {
			t.Fatalf("no %q in\n%s", text, output)
		}
	}
	resource := w.resources()[0]
	ids, _ := resource.Values["change_ids"].(map[string]any)
	if reason, _ := resource.Values["last_error"].(string); !resource.Tainted || resource.Values["status"] != "failed" || !strings.Contains(reason, "exit status 1") ||
		strings.Contains(reason, "\n") || resource.Values["last_cycle"] == nil || len(ids) != 1 || ids["2000"] == nil {
		t.Fatalf("tainted %t, values %v", resource.Tainted, resource.Values)
	}
	return w, configure, vm
}

// copied checks how the last cycle copied each disk.
func (w *workspace) copied(want map[string]string) {
	w.t.Helper()
	last, _ := w.attribute("vma_replication.web", "last_cycle").(map[string]any)
	disks, _ := last["disks"].(map[string]any)
	got := map[string]string{}
	for key, each := range disks {
		fields, _ := each.(map[string]any)
		got[key], _ = fields["kind"].(string)
	}
	if !maps.Equal(got, want) {
		w.t.Errorf("copied %v, want %v", got, want)
	}
	if status := w.attribute("vma_replication.web", "status"); status != "replicated" {
		w.t.Errorf("status %v", status)
	}
	if reason := w.attribute("vma_replication.web", "last_error"); reason != nil {
		w.t.Errorf("last_error %v", reason)
	}
	w.terraform(0, "plan", "-detailed-exitcode")
}

// What a first cycle copied completely is not copied in full again by the one that replaces it.
func TestFailedFirstCycleContinues(t *testing.T) {
	t.Parallel()
	continued, again := map[string]string{"2000": "incremental", "2001": "full"}, map[string]string{"2000": "full", "2001": "full"}
	for name, test := range map[string]struct {
		lines string
		next  func(w *workspace, configure func(string), vm *vspheretest.Machine)
		want  map[string]string
	}{
		"plan and apply in one command": {"", func(w *workspace, _ func(string), _ *vspheretest.Machine) {
			output := words(w.terraform(0, "apply", "-auto-approve"))
			if text := "Earlier Attempt Found on /DC0/vm/web01"; !strings.Contains(output, text) {
				w.t.Errorf("no %q in\n%s", text, output)
			}
		}, continued},
		"a saved plan": {"", func(w *workspace, _ func(string), _ *vspheretest.Machine) {
			w.terraform(2, "plan", "-detailed-exitcode", "-out", "plan")
			w.terraform(0, "apply", "plan")
		}, continued},
		"without a refresh": {"", func(w *workspace, _ func(string), _ *vspheretest.Machine) {
			w.terraform(0, "apply", "-auto-approve", "-refresh=false")
		}, continued},
		"create before destroy": {"lifecycle {\n  create_before_destroy = true\n}", func(w *workspace, _ func(string), _ *vspheretest.Machine) {
			w.terraform(0, "apply", "-auto-approve")
		}, again},
		"untaint": {"lifecycle {\n  create_before_destroy = true\n}", func(w *workspace, _ func(string), _ *vspheretest.Machine) {
			w.terraform(0, "untaint", "vma_replication.web")
			w.terraform(0, "apply", "-auto-approve")
		}, continued},
		"another export": {"", func(w *workspace, configure func(string), _ *vspheretest.Machine) {
			configure("OTHER")
			w.terraform(0, "apply", "-auto-approve")
		}, again},
		"failed twice": {"", func(w *workspace, _ func(string), _ *vspheretest.Machine) {
			w.env[migratekittest.Fail] = "2001"
			w.terraform(1, "apply", "-auto-approve")
			delete(w.env, migratekittest.Fail)
			w.terraform(0, "apply", "-auto-approve")
		}, continued},
		"renamed between plan and apply": {"", func(w *workspace, _ func(string), vm *vspheretest.Machine) {
			w.terraform(0, "plan", "-out", "plan")
			for i, name := range []string{"renamed", "web01"} {
				if err := vm.Rename(name); err != nil {
					w.t.Fatal(err)
				}
				if i == 0 {
					w.terraform(1, "apply", "plan")
				}
			}
			w.terraform(0, "apply", "-auto-approve")
		}, continued},
		"refused in between": {"", func(w *workspace, _ func(string), _ *vspheretest.Machine) {
			w.terraform(0, "plan", "-out", "plan")
			refused := func(name, value string) {
				before, set := w.env[name]
				w.env[name] = value
				w.terraform(1, "apply", "plan")
				if w.env[name] = before; !set {
					delete(w.env, name)
				}
				w.terraform(0, "plan", "-out", "plan")
			}
			refused("VMA_LOG_DIRECTORY", "/dev/null/logs")
			refused("VMA_MIGRATEKIT_PATH", "/nowhere/migratekit")
			refused("VSPHERE_PASSWORD", "wrong")
			w.terraform(0, "apply", "plan")
		}, continued},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, configure, vm := twoDisks(t, test.lines)
			test.next(w, configure, vm)
			w.copied(test.want)
		})
	}
}

// Increments that end are announced before they do.
func TestEndOfIncrementsIsAnnounced(t *testing.T) {
	t.Parallel()
	vcenter, _ := startVCenter(t)
	if _, err := vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/web02"}); err != nil {
		t.Fatal(err)
	}
	w, _ := replicated(t, vcenter, "")
	w.terraform(0, "apply", "-auto-approve")
	announced := func(want int, args ...string) {
		t.Helper()
		const text = "Increments End on /DC0/vm/web01"
		if output := words(w.terraform(0, args...)); strings.Count(output, text) != want {
			t.Errorf("terraform %v: %d times %q in\n%s", args, strings.Count(output, text), text, output)
		}
	}
	announced(0, "plan")
	announced(1, "plan", "-destroy")
	main := filepath.Join(w.dir, "main.tf")
	configuration, err := os.ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	w.write(main, strings.NewReplacer("/DC0/vm/web01", "/DC0/vm/web02", "/web01-0", "/web02-0").Replace(string(configuration)))
	announced(1, "plan")
}
