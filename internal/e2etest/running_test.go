package e2etest

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	output *output
	ended  chan struct{}
	err    error
}

// output can be read while the command writes to it.
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

// startGroup starts terraform in a process group of its own, as a shell does.
func (w *workspace) startGroup(args ...string) *running {
	w.t.Helper()
	return w.begin(&syscall.SysProcAttr{Setpgid: true}, args...)
}

func (w *workspace) begin(attr *syscall.SysProcAttr, args ...string) *running {
	w.t.Helper()
	r := &running{t: w.t, cmd: w.command(append(args, "-no-color")...), output: &output{}, ended: make(chan struct{})}
	r.cmd.SysProcAttr = attr
	r.cmd.Stdout, r.cmd.Stderr = r.output, r.output
	r.cmd.WaitDelay = 10 * time.Second // a provider may keep the output open after terraform is killed
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

// signalGroup signals terraform and its providers together.
func (r *running) signalGroup(signal syscall.Signal) {
	r.t.Helper()
	if err := syscall.Kill(-r.cmd.Process.Pid, signal); err != nil {
		r.t.Error(err)
	}
}

// until waits for an event. The test fails if terraform ends first.
func (r *running) until(happened <-chan struct{}) {
	r.t.Helper()
	select {
	case <-happened:
	case <-r.ended:
		r.t.Fatalf("it ended before:\n%s", r.output.String())
	}
}

// interruptAt interrupts an apply in the first task of a method and returns its output. The apply must fail.
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

// heeds waits until Terraform reports that it received the interrupt.
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
