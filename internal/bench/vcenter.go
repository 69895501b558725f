package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

func path(i int) string { return fmt.Sprintf("/DC0/vm/estate/vm%04d", i) }

// estate is the embedded vCenter in its own process, to keep its memory and GC out of the measurements.
type estate struct {
	process *exec.Cmd
	told
}

// told is the JSON that the vCenter process prints at start.
type told struct {
	Server, Thumbprint, Control string
	Moids                       []string
}

func startEstate(ctx context.Context, vms int) (*estate, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	e := &estate{process: exec.CommandContext(ctx, self, "-vcenter", fmt.Sprint(vms))}
	e.process.Stderr = os.Stderr
	output, err := e.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := e.process.Start(); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(bufio.NewReader(output)).Decode(&e.told); err != nil {
		return nil, errors.Join(fmt.Errorf("the vCenter did not start: %w", err), e.process.Process.Kill())
	}
	return e, nil
}

// close kills the process, which has nothing to save.
func (e *estate) close() {
	_ = e.process.Process.Kill()
	_ = e.process.Wait()
}

// ask sends a request to the control server of the vCenter process.
func (e *estate) ask(ctx context.Context, what string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.Control+"/"+what, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", what, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(answer)
}

// counts are the calls since the last request, by method, and the open sessions.
type counts struct {
	Calls    map[string]int
	Sessions int
}

// serveEstate runs the vCenter process.
func serveEstate(vms int) error {
	vcenter, err := vspheretest.Start()
	if err != nil {
		return err
	}
	machines := make([]*vspheretest.Machine, vms)
	about := told{Server: vcenter.URL.Host, Thumbprint: vcenter.Thumbprint()}
	for i := range machines {
		if machines[i], err = vcenter.AddVM(vspheretest.Spec{Path: path(i)}); err != nil {
			return err
		}
		about.Moids = append(about.Moids, machines[i].Moid())
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	about.Control = listener.Addr().String()
	if err := json.NewEncoder(os.Stdout).Encode(about); err != nil {
		return err
	}
	var slow *vspheretest.Interceptor
	mux := http.NewServeMux()
	mux.HandleFunc("/counts", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(counts{vcenter.Calls(), vcenter.Sessions()})
		vcenter.ResetCalls()
	})
	mux.HandleFunc("/track", func(w http.ResponseWriter, _ *http.Request) {
		for _, machine := range machines {
			machine.SetTracking(true)
			machine.Stun()
		}
		_ = json.NewEncoder(w).Encode(len(machines))
	})
	mux.HandleFunc("/latency", func(w http.ResponseWriter, r *http.Request) {
		latency, err := time.ParseDuration(r.URL.Query().Get("of"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if slow != nil {
			slow.Release()
		}
		slow = vcenter.Intercept(&vspheretest.Interceptor{Before: func(http.ResponseWriter, *http.Request) bool {
			time.Sleep(latency)
			return false
		}})
		_ = json.NewEncoder(w).Encode(latency)
	})
	scene := &fleet{vcenter: vcenter}
	for name, step := range map[string]func(r *http.Request) error{
		"/fleet": func(r *http.Request) error {
			n, err := strconv.Atoi(r.URL.Query().Get("n"))
			return errors.Join(err, scene.add(n))
		},
		"/vanish": func(*http.Request) error { return scene.vanish() },
		"/mend":   func(*http.Request) error { return scene.mend() },
	} {
		mux.HandleFunc(name, func(w http.ResponseWriter, r *http.Request) {
			if err := step(r); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			_ = json.NewEncoder(w).Encode(len(scene.vms))
		})
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	return server.Serve(listener)
}
