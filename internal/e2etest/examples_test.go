package e2etest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi/simulator"

	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

const requiresVMA = "terraform {\n  required_providers {\n    vma = { source = \"vma-project/vma\" }\n  }\n}\n"

// showcase is the examples' environment: three VMs with two disks each, copy targets, a stand-in migratekit.
type showcase struct {
	*workspace
	web *vspheretest.Machine
	// actual replaces the made-up names in the examples with real ones.
	actual *strings.Replacer
}

func newShowcase(t *testing.T) *showcase {
	t.Helper()
	vcenter, legacy := startVCenter(t)
	moids := map[string]string{}
	s := &showcase{}
	for _, name := range []string{"web01", "web02", "db01"} {
		vm, err := vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/prod/" + name, Disks: []vspheretest.Disk{{}, {}}})
		if err != nil {
			t.Fatal(err)
		}
		moids[name] = vm.Moid()
		if name == "web01" {
			s.web = vm
		}
	}
	server, err := nbdtest.Start(nbdtest.Newstyle, map[string]nbdtest.Export{"web01-0": {Size: 1 << 30}, "web01-1": {Size: 1 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	s.workspace, _ = replicated(t, vcenter, "")
	encoded, err := json.Marshal(moids)
	if err != nil {
		t.Fatal(err)
	}
	s.useOpenStack()
	s.env[standInMoids] = string(encoded)
	address, err := url.Parse(server.URI(""))
	if err != nil {
		t.Fatal(err)
	}
	var bios, instance string
	s.web.Look(func(vm *simulator.VirtualMachine) { bios, instance = vm.Config.Uuid, vm.Config.InstanceUuid })
	s.actual = strings.NewReplacer(
		"vm-1042", legacy.Moid(), "127.0.0.1:10808", address.Host,
		"4230b6d1-5f2b-4b0c-9d3c-8f6b7c1a2e3d", bios, "503c5a3e-91b2-7d0c-8f44-3a2b6c1d9e70", instance,
	)
	return s
}

// take replaces the workspace's configuration with an example.
func (s *showcase) take(file, head string) {
	s.t.Helper()
	s.write(filepath.Join(s.dir, "main.tf"), head)
	s.write(filepath.Join(s.dir, "example-"+filepath.Base(file)), s.actual.Replace(read(s.t, file)))
}

// besideOthers also installs the stand-ins for other providers.
func (s *showcase) besideOthers() {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	overrides := fmt.Sprintf("    \"vma-project/vma\" = %q\n", binaries)
	for program := range standIns {
		directory := s.t.TempDir()
		if err := os.Symlink(self, filepath.Join(directory, program)); err != nil {
			s.t.Fatal(err)
		}
		overrides += fmt.Sprintf("    \"hashicorp/%s\" = %q\n", strings.TrimPrefix(program, "terraform-provider-"), directory)
	}
	rc := filepath.Join(s.t.TempDir(), "terraformrc")
	s.write(rc, "provider_installation {\n  dev_overrides {\n"+overrides+"  }\n}\n")
	s.env["TF_CLI_CONFIG_FILE"] = rc
}

func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("examples/*/*/*.*")
	if err != nil || len(files) < 12 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range append(files, "examples/provider/provider.tf") {
		if strings.HasPrefix(filepath.Base(file), "import") {
			continue // covered by TestImportExamples
		}
		if strings.HasPrefix(file, "examples/guides/fleet/") || strings.HasSuffix(file, ".yml") {
			continue // covered by TestFleetExample, or no configuration
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			s := newShowcase(t)
			kind := strings.Split(file, "/")[1]
			switch kind {
			case "actions", "list-resources":
				s.needs("1.14.0")
			case "guides":
				s.besideOthers()
			}
			head := requiresVMA
			switch {
			case strings.HasSuffix(file, ".tfquery.hcl"):
				head += "provider \"vma\" {}\n"
			case kind == "guides", kind == "provider":
				head = ""
			}
			s.take(file, head)
			s.terraform(0, "validate")
			if strings.HasSuffix(file, ".tfquery.hcl") {
				if output := s.terraform(0, "query"); !strings.Contains(output, "/DC0/vm/prod/web01") {
					t.Errorf("query:\n%s", output)
				}
				return
			}
			s.terraform(0, "plan")
			if kind == "resources" || kind == "guides" {
				s.terraform(0, "apply", "-auto-approve")
				s.terraform(0, "plan", "-detailed-exitcode")
			}
		})
	}
}

func TestImportExamples(t *testing.T) {
	t.Parallel()
	const directory = "examples/resources/vma_cbt/"
	web := requiresVMA + "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/prod/web01\"\n}\n"
	command := regexp.MustCompile(`(?m)^terraform import vma_cbt\.web (\S+)$`)
	imports := command.FindAllStringSubmatch(read(t, directory+"import.sh"), -1)
	if len(imports) < 3 {
		t.Fatalf("%d imports", len(imports))
	}
	forms := map[string]func(s *showcase){}
	for _, line := range imports {
		forms["import "+line[1]] = func(s *showcase) {
			id := s.actual.Replace(line[1])
			if id != line[1] && strings.HasPrefix(line[1], "vm-") { // the example's ID belongs to another VM
				id = s.web.Moid()
			}
			s.terraform(0, "import", "vma_cbt.web", id)
		}
	}
	for file, oldest := range map[string]string{"import-by-string-id.tf": "1.11.0", "import-by-identity.tf": "1.12.0"} {
		forms[file] = func(s *showcase) {
			s.needs(oldest)
			s.take(directory+file, web)
			if output := s.terraform(0, "apply", "-auto-approve"); !strings.Contains(output, "1 imported, 0 added, 0 changed") {
				s.t.Errorf("apply:\n%s", output)
			}
		}
	}
	for name, take := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShowcase(t)
			s.web.SetTracking(true)
			s.web.Stun()
			s.write(filepath.Join(s.dir, "main.tf"), web)
			take(s)
			s.terraform(0, "plan", "-detailed-exitcode")
		})
	}
}

// Each terraform block in the guides and the README must validate.
func TestGuides(t *testing.T) {
	t.Parallel()
	guides, err := filepath.Glob("templates/guides/*.md*")
	if err != nil || len(guides) < 10 {
		t.Fatalf("%v, %v", guides, err)
	}
	fence := regexp.MustCompile("(?s)```terraform\n(.*?)```")
	for _, guide := range append(guides, "README.md") {
		if slices.ContainsFunc(migrationPath, func(s pathStep) bool { return s.guide == filepath.Base(guide) }) {
			continue // covered by TestGuidesAreOnePath
		}
		for i, block := range fence.FindAllStringSubmatch(read(t, guide), -1) {
			t.Run(fmt.Sprintf("%s %d", filepath.Base(guide), i+1), func(t *testing.T) {
				t.Parallel()
				w := newWorkspace(t, "")
				head := requiresVMA
				if strings.Contains(block[1], "required_providers") {
					head = ""
				}
				w.write(filepath.Join(w.dir, "main.tf"), head)
				w.write(filepath.Join(w.dir, "guide.tf"), block[1])
				if strings.Contains(block[1], "var.cycle") && !strings.Contains(block[1], `variable "cycle"`) {
					w.write(filepath.Join(w.dir, "variables.tf"), "variable \"cycle\" {}\n")
				}
				if strings.Contains(block[1], "local.vms") {
					w.write(filepath.Join(w.dir, "vms.tf"), "locals {\n  vms = {}\n}\nvariable \"cut_over\" {\n  type = set(string)\n}\n")
				}
				if strings.Contains(block[1], "vma_cbt.web.") && !strings.Contains(block[1], `resource "vma_cbt" "web"`) {
					w.write(filepath.Join(w.dir, "before.tf"), "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/prod/web01\"\n}\n")
				}
				w.terraform(0, "validate")
			})
		}
	}
}

// The files of one folder are valid together: their names are distinct.
func TestExamplesAreValidTogether(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("examples/*/*")
	if err != nil || len(folders) < 10 {
		t.Fatalf("%v, %v", folders, err)
	}
	for _, folder := range folders {
		files, err := filepath.Glob(folder + "/*.tf")
		if err != nil {
			t.Fatal(err)
		}
		files = slices.DeleteFunc(files, func(file string) bool { return strings.HasPrefix(filepath.Base(file), "import") })
		if len(files) == 0 || strings.HasPrefix(folder, "examples/guides/") {
			continue
		}
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			w := newWorkspace(t, "")
			if strings.HasPrefix(folder, "examples/actions/") {
				w.needs("1.14.0")
			}
			w.write(filepath.Join(w.dir, "main.tf"), requiresVMA)
			for _, file := range files {
				w.write(filepath.Join(w.dir, "example-"+filepath.Base(file)), read(t, file))
			}
			w.terraform(0, "validate")
		})
	}
}
