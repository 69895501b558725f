package e2etest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/progress"
)

// showProgress runs the subcommand on the log directory of a workspace.
func (w *workspace) showProgress(args ...string) string {
	w.t.Helper()
	command := exec.CommandContext(w.t.Context(), filepath.Join(binaries, "terraform-provider-vma"), append([]string{"progress"}, args...)...)
	command.Dir = w.dir
	for name, value := range w.env {
		command.Env = append(command.Env, name+"="+value)
	}
	output, err := command.CombinedOutput()
	if err != nil {
		w.t.Fatalf("progress: %v\n%s", err, output)
	}
	return string(output)
}

func (w *workspace) cycles() []progress.File {
	w.t.Helper()
	var files []progress.File
	if err := json.Unmarshal([]byte(w.showProgress("-json")), &files); err != nil {
		w.t.Fatal(err)
	}
	return files
}

// The progress of a cycle can be read while it runs, after it, and after its provider was killed; in both dialects.
func TestProgressOfACycle(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"nbd", "openstack"} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			vcenter, vm := startVCenter(t)
			w, steer := replicated(t, vcenter, "  triggers = { run = 1 }\n  on_leftover_snapshot = \"remove\"")
			if target == "openstack" {
				w.useOpenStack()
				w.write(filepath.Join(w.dir, "main.tf"), requiresVMA+"resource \"vma_replication\" \"web\" {\n  vm_path = \"/DC0/vm/web01\"\n  openstack = {}\n  on_leftover_snapshot = \"remove\"\n}\n")
			}
			if got := w.showProgress(); !strings.HasPrefix(got, "no cycles in .terraform") {
				t.Errorf("before the first cycle: %q", got)
			}
			w.env[migratekittest.Rate] = "400000000" // less than three seconds
			apply := w.start("apply", "-auto-approve")
			last, seen := -1.0, 0
			for running := true; running; {
				select {
				case <-apply.ended:
					running = false
				case <-time.After(200 * time.Millisecond):
				}
				for _, file := range w.cycles() {
					if file.Percent < last {
						t.Errorf("%.1f %% after %.1f %%", file.Percent, last)
					}
					// Another provider of this machine may have the port of the posts, so that the percent moves at the end only.
					if last = file.Percent; file.Status == progress.StatusRunning && (last > 0 || target == "nbd") {
						seen++
					}
				}
			}
			if got := apply.wait(); got != 0 {
				t.Fatalf("exit status %d:\n%s", got, apply.output.String())
			}
			_, ids := vm.Tracking()
			files := w.cycles()
			if len(files) != 1 || seen == 0 {
				t.Fatalf("seen %d times while it ran: %+v", seen, files)
			}
			file := files[0]
			disk := file.Disks["2000"]
			if file.Kind != "cycle" || file.Status != "replicated" || file.Percent != 100 || file.EndedAt == nil || *file.Bytes != 1<<30 || *file.TotalBytes != 1<<30 || file.Error != nil ||
				file.VMPath != "/DC0/vm/web01" || file.VMName != "web01" || file.PID == 0 || file.ProviderVersion == "" || disk.Kind != "full" || disk.Target == "" || disk.ChangeIDBefore != "" ||
				disk.ChangeIDAfter == "" || !strings.Contains(disk.Target, "web01") || ids[2000] == "" {
				t.Errorf("%+v", file)
			}
			if log, _ := w.attribute("vma_replication.web", "last_cycle").(map[string]any)["log_file"].(string); log != file.LogFile || progress.Path(log) != strings.TrimSuffix(log, ".log")+".json" {
				t.Errorf("log file %q, and %q", log, file.LogFile)
			}
			if got := w.showProgress("-once"); !strings.HasPrefix(got, "replicated  100.0%  /DC0/vm/web01  1.0 GiB of 1.0 GiB") {
				t.Errorf("%q", got)
			}
			// A provider that was killed leaves a file that says running.
			w.env[migratekittest.Pause] = filepath.Join(steer, "pause")
			w.write(w.env[migratekittest.Pause], "")
			w.write(filepath.Join(w.dir, "main.tf"), strings.Replace(read(t, filepath.Join(w.dir, "main.tf")), "on_leftover", "timeouts = { update = \"1h\" }\n  cutover = false\n  stall_timeout = \"2h\"\n  on_leftover", 1))
			killed := w.startGroup("apply", "-auto-approve", "-replace=vma_replication.web")
			waitFor(t, w.env[migratekittest.Pause]+".waiting")
			killed.signalGroup(syscall.SIGKILL)
			killed.wait()
			_ = os.Remove(w.env[migratekittest.Pause])
			if got := w.showProgress(); !strings.HasPrefix(got, "lost ") || !strings.Contains(got, "no sign of process") || !strings.Contains(got, "replicated") {
				t.Errorf("after a kill:\n%s", got)
			}
		})
	}
}

// A cycle that fails says why in its file, without secrets.
func TestProgressOfAFailure(t *testing.T) {
	t.Parallel()
	vcenter, _ := startVCenter(t)
	w, _ := replicated(t, vcenter, "")
	w.env[migratekittest.Fail] = "2000"
	w.terraform(1, "apply", "-auto-approve")
	files := w.cycles()
	if len(files) != 1 || files[0].Status != "failed" || files[0].Error == nil || !strings.Contains(*files[0].Error, "failed to run nbdcopy") || files[0].EndedAt == nil || files[0].Percent >= 100 {
		t.Errorf("%+v", files)
	}
	if got := w.showProgress(); !strings.HasPrefix(got, "failed ") || !strings.Contains(got, "failed to run nbdcopy") {
		t.Errorf("%q", got)
	}
}
