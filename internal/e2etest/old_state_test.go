package e2etest

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// State of the first release has none of the attributes that came later. It plans no change and shows no drift.
func TestStateOfTheFirstRelease(t *testing.T) {
	t.Parallel()
	later := []string{"target_intact", "volumes", "server", "last_error", "stall_timeout", "on_blocked", "on_target_lost", "on_attached_volume", "cutover_limits", "shutdown_timeout", "on_shutdown_timeout"}
	age := func(w *workspace) {
		path := filepath.Join(w.dir, "terraform.tfstate")
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var state map[string]any
		if err := json.Unmarshal(content, &state); err != nil {
			t.Fatal(err)
		}
		resources, _ := state["resources"].([]any)
		instances, _ := resources[0].(map[string]any)["instances"].([]any)
		instance, _ := instances[0].(map[string]any)
		encoded, _ := instance["private"].(string)
		private := map[string][]byte{}
		if decoded, err := base64.StdEncoding.DecodeString(encoded); err != nil || json.Unmarshal(decoded, &private) != nil {
			t.Fatalf("private state: %v", err)
		}
		delete(private, "volumes")
		kept, err := json.Marshal(private)
		if err != nil {
			t.Fatal(err)
		}
		instance["private"] = base64.StdEncoding.EncodeToString(kept)
		attributes, _ := instance["attributes"].(map[string]any)
		for _, name := range later {
			delete(attributes, name)
		}
		if content, err = json.Marshal(state); err != nil {
			t.Fatal(err)
		}
		w.write(path, string(content))
	}
	for _, target := range []string{"nbd", "openstack"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			vcenter, _ := startVCenter(t)
			w, _ := replicated(t, vcenter, "")
			if target == "openstack" {
				w.useOpenStack()
				w.write(filepath.Join(w.dir, "main.tf"), requiresVMA+"resource \"vma_replication\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n  openstack = {}\n}\n")
			}
			w.terraform(0, "apply", "-auto-approve")
			age(w)
			w.terraform(0, "plan", "-detailed-exitcode")
			w.terraform(0, "plan", "-detailed-exitcode", "-refresh-only")
			w.terraform(0, "plan", "-detailed-exitcode", "-refresh=false")
			w.terraform(0, "apply", "-auto-approve")
		})
	}
}
