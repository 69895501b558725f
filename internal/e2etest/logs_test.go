package e2etest

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// logLines returns the provider's own lines of a JSON log.
func logLines(t *testing.T, path string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(read(t, path)) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil {
			continue
		}
		module, _ := fields["@module"].(string)
		if _, own := fields["tf_req_id"]; own && !strings.HasPrefix(module, "sdk") {
			lines = append(lines, fields)
		}
	}
	return lines
}

// TF_LOG_PROVIDER=INFO describes a run in a dozen lines, with consistent field names.
func TestLogTellsTheStory(t *testing.T) {
	t.Parallel()
	vcenter, vm := startVCenter(t)
	w, _ := replicated(t, vcenter, "")
	w.env["TF_LOG_PROVIDER"] = "INFO"
	log := filepath.Join(w.dir, "run.log.json")
	w.env["TF_LOG_PATH"] = log
	w.env["TF_LOG"] = "JSON"
	w.terraform(0, "apply", "-auto-approve")
	lines := logLines(t, log)
	var story []string
	fields := map[string]map[string]any{}
	for _, line := range lines {
		message, _ := line["@message"].(string)
		if line["@level"] == "info" || line["@level"] == "warn" {
			story = append(story, message)
		}
		fields[message] = line
	}
	if len(story) < 8 || len(story) > 12 {
		t.Errorf("%d lines:\n%s", len(story), strings.Join(story, "\n"))
	}
	_, ids := vm.Tracking()
	for message, want := range map[string][]string{
		"Logged in to vCenter":          {"server", "duration_ms"},
		"Writing changeTrackingEnabled": {"vm_path", "enabled"},
		"Change tracking works":         {"vm_path", "disk", "change_id"},
		"Starting migratekit":           {"vm_path", "log_file"},
		"Disk copied":                   {"vm_path", "disk", "kind", "change_id", "changed_bytes"},
		"migratekit completed":          {"vm_path", "kind", "duration_ms"},
	} {
		if !slices.Contains(story, message) {
			t.Errorf("the story has no %q:\n%s", message, strings.Join(story, "\n"))
			continue
		}
		for _, field := range want {
			if _, ok := fields[message][field]; !ok {
				t.Errorf("%q has no %s: %v", message, field, fields[message])
			}
		}
	}
	if ids[2000] == "" || fields["Disk copied"]["vm_path"] != "/DC0/vm/web01" {
		t.Errorf("%v", fields["Disk copied"])
	}
}

// TF_LOG_PROVIDER=INFO stays readable with many VMs: two lines for each that is changed, and none for one that is only read.
func TestLogOfManyVMs(t *testing.T) {
	t.Parallel()
	const n = 20
	f := newFleet(t, n)
	f.write(filepath.Join(f.dir, "main.tf"), requiresVMA+"resource \"vma_cbt\" \"vm\" {\n  count   = 20\n  vm_path = format(\"/DC0/vm/fleet/vm%03d\", count.index)\n}\n")
	f.env["TF_LOG_PROVIDER"] = "INFO"
	for _, test := range []struct {
		args        []string
		least, most int
	}{
		{[]string{"apply", "-auto-approve"}, 2 * n, 2*n + 20},
		{[]string{"plan", "-detailed-exitcode"}, 0, 20},
	} {
		log := filepath.Join(f.dir, test.args[0]+".log")
		f.env["TF_LOG_PATH"] = log
		f.terraform(0, test.args...)
		if lines := strings.Count(read(t, log), "\n"); lines < test.least || lines > test.most {
			t.Errorf("%s: %d lines, want %d to %d:\n%s", test.args[0], lines, test.least, test.most, read(t, log))
		}
	}
}

// TF_LOG_PROVIDER=DEBUG adds each vCenter call with its duration, and never the password.
func TestLogHasEachCall(t *testing.T) {
	t.Parallel()
	vcenter, _ := startVCenter(t)
	w := newWorkspace(t, cbtOf(""))
	w.use(vcenter)
	w.terraform(0, "apply", "-auto-approve")
	log := filepath.Join(w.dir, "run.log.json")
	w.env["TF_LOG_PATH"] = log
	w.env["TF_LOG"] = "JSON"
	w.env["TF_LOG_PROVIDER"] = "DEBUG"
	vcenter.ResetCalls()
	w.terraform(0, "plan", "-detailed-exitcode")
	logged := map[string]int{}
	for _, line := range logLines(t, log) {
		if line["@message"] != "Called vCenter" {
			continue
		}
		call, _ := line["call"].(string)
		if _, timed := line["duration_ms"]; !timed {
			t.Errorf("no time: %v", line)
		}
		logged[call]++
	}
	// These two calls belong to no Terraform request.
	for call, n := range vcenter.Calls() {
		if call != "RetrieveServiceContent" && call != "Logout" && logged[call] != n {
			t.Errorf("%s was called %d times and logged %d times", call, n, logged[call])
		}
	}
	if logged["Login"] != 1 {
		t.Errorf("logged: %v", logged)
	}
	if strings.Contains(read(t, log), vspheretest.Password) {
		t.Error("the password is in the log")
	}
}
