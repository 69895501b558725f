package e2etest

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// The password is in migratekit's argument list and nowhere else.
func TestPasswordIsNowhere(t *testing.T) {
	t.Parallel()
	vcenter, _ := startVCenter(t)
	w, steer := replicated(t, vcenter, "  extra_args = [\"--debug\"]\n")
	w.env["TF_LOG"] = "TRACE"
	w.env["TF_LOG_PATH"] = filepath.Join(w.dir, "trace.log")
	w.write(filepath.Join(w.dir, "cbt.tf"), "resource \"vma_cbt\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n}\ndata \"vma_cbt_status\" \"web\" {\n  vm_path = vma_cbt.web.vm_path\n}\n")
	var shown strings.Builder
	w.env[migratekittest.Fail] = "2000" // migratekit then prints its command line
	shown.WriteString(w.terraform(1, "apply", "-auto-approve"))
	delete(w.env, migratekittest.Fail)
	shown.WriteString(w.terraform(0, "plan", "-out=saved.tfplan"))
	shown.WriteString(w.terraform(0, "apply", "saved.tfplan"))
	w.env["VSPHERE_PASSWORD"] = vspheretest.Password + "-wrong"
	shown.WriteString(w.terraform(1, "plan"))
	w.write(filepath.Join(w.dir, "shown.txt"), shown.String())

	w.nowhere(vspheretest.Password)
	runs, err := migratekittest.Invocations(filepath.Join(steer, "runs"))
	if err != nil || len(runs) != 2 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	if !strings.Contains(strings.Join(runs[0].Args, " "), vspheretest.Password) {
		t.Error("migratekit did not get the password, so this test proves nothing")
	}
	for name, value := range runs[0].Env {
		if strings.Contains(value, vspheretest.Password) {
			t.Errorf("the password is in migratekit's environment, in %s", name)
		}
	}
}

// The password for OpenStack is in migratekit's environment and nowhere else.
func TestOpenStackPasswordIsNowhere(t *testing.T) {
	t.Parallel()
	vcenter, _ := startVCenter(t)
	w, steer := replicated(t, vcenter, "")
	w.useOpenStack()
	w.env["TF_LOG"] = "TRACE"
	w.env["TF_LOG_PATH"] = filepath.Join(w.dir, "trace.log")
	w.env["VMA_LOG_DIRECTORY"] = filepath.Join(w.dir, "logs")
	w.write(filepath.Join(w.dir, "main.tf"), requiresVMA+"resource \"vma_replication\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n  openstack = {}\n}\ndata \"vma_openstack_volumes\" \"all\" {}\n")
	var shown strings.Builder
	w.env[migratekittest.Fail] = "2000"
	shown.WriteString(w.terraform(1, "apply", "-auto-approve"))
	delete(w.env, migratekittest.Fail)
	shown.WriteString(w.terraform(0, "plan", "-out=saved.tfplan"))
	shown.WriteString(w.terraform(0, "apply", "saved.tfplan"))
	w.env["OS_PROJECT_NAME"] = "elsewhere"
	shown.WriteString(w.terraform(1, "plan"))
	w.write(filepath.Join(w.dir, "shown.txt"), shown.String())
	w.nowhere(openstacktest.Password)
	runs, err := migratekittest.Invocations(filepath.Join(steer, "runs"))
	if err != nil || len(runs) != 2 || runs[0].Env["OS_PASSWORD"] != openstacktest.Password {
		t.Errorf("%d runs, %v", len(runs), err)
	}
}

// nowhere searches the workspace: state, saved plans, logs, and what was shown.
func (w *workspace) nowhere(secret string) {
	w.t.Helper()
	searched := map[string]bool{}
	err := filepath.WalkDir(w.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		searched[filepath.Ext(path)] = true
		if strings.HasSuffix(path, ".tfplan") {
			content = append(content, unzip(w.t, path)...)
		}
		if bytes.Contains(content, []byte(secret)) {
			w.t.Errorf("the secret is in %s", path)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, kind := range []string{".tfstate", ".tfplan", ".log", ".txt"} {
		if !searched[kind] {
			w.t.Errorf("there was no %s to search", kind)
		}
	}
}
