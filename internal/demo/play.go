package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"
)

func (s *stage) play(ctx context.Context) error {
	apply := func(cycle string) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) {
			if err := s.cli.run(ctx, 0, "apply", "-auto-approve", "-no-color", "-var", "cycle="+cycle); err != nil {
				return "", err
			}
			return s.outcome(ctx)
		}
	}
	acts := []struct {
		title string
		run   func(context.Context) (string, error)
	}{
		{"Enable CBT on three VMs", apply("0")},
		{"Show the CBT status of each VM", func(ctx context.Context) (string, error) {
			err := s.cli.run(ctx, 0, "output", "-raw", "status")
			return "status table", err
		}},
		{"Run the first cycle of web01: a full copy", apply("1")},
		{"Somebody disables CBT on web01 in vCenter, outside Terraform", func(context.Context) (string, error) {
			s.web.SetTracking(false)
			return "done in vCenter", nil
		}},
		{"A plan shows the drift (exit status 2), as in a CI job", func(ctx context.Context) (string, error) {
			err := s.cli.run(ctx, 2, "plan", "-no-color", "-detailed-exitcode", "-var", "cycle=1")
			return "drift found", err
		}},
		{"The apply repairs it; the old change IDs are no longer valid, so this copy is full", apply("1")},
		{"The guest writes 5 MiB; the next cycle copies only these", func(ctx context.Context) (string, error) {
			s.web.Write(firstKey, 1<<30, 4<<20)
			s.web.Write(firstKey+1, 39<<30, 1<<20)
			return apply("2")(ctx)
		}},
		{"A plan to migrate app01 to OpenStack finds a mistake before anything is copied: the name of a flavor instead of its ID", func(ctx context.Context) (string, error) {
			err := s.migrate(ctx, 1, "plan", "-no-color", "-var", "cutover=true")
			return "refused at plan", err
		}},
		{"With the ID, the first cycle copies app01 to a volume while it runs", func(ctx context.Context) (string, error) {
			return s.migrated(ctx, "apply", "-auto-approve", "-no-color", "-var", flavor)
		}},
		{"The cutover: the source is shut down, the rest is copied, and a server boots", func(ctx context.Context) (string, error) {
			s.app.Write(firstKey, 1<<30, 8<<20)
			return s.migrated(ctx, "apply", "-auto-approve", "-no-color", "-var", flavor, "-var", "cutover=true")
		}},
		{"Destroy: removes the resources from state, and changes neither source nor target", func(ctx context.Context) (string, error) {
			err := s.cli.run(ctx, 0, "destroy", "-auto-approve", "-no-color", "-var", "cycle=2")
			return fmt.Sprintf("%d sessions left on vCenter, snapshots left on web01: %d", s.vcenter.Sessions(), len(s.web.Snapshots())), err
		}},
	}
	for i, a := range acts {
		fmt.Printf("\n=== %d. %s\n", i+1, a.title)
		started := time.Now()
		result, err := a.run(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", a.title, err)
		}
		s.acts = append(s.acts, act{what: a.title, result: result, took: time.Since(started)})
	}
	return nil
}

// outcome summarizes the result of the last apply, from Terraform's own output.
func (s *stage) outcome(ctx context.Context) (string, error) {
	last, err := s.cli.lastCycle(ctx)
	if err != nil {
		return "", err
	}
	enabled, _ := s.web.Tracking()
	if last == nil {
		return fmt.Sprintf("CBT enabled on web01: %t", enabled), nil
	}
	return fmt.Sprintf("CBT enabled on web01: %t; last cycle %s, %d MiB to copy", enabled, last.Kind, last.ChangedBytes>>20), nil
}

const flavor = "flavor=4c3d2f5e-8f7a-4c1e-9a56-0e6f6f0a7b11"

// inOpenStack makes Terraform work in the other directory.
const inOpenStack = "-chdir=" + openStackDirectory

func (s *stage) migrate(ctx context.Context, want int, args ...string) error {
	return s.cli.run(ctx, want, append([]string{inOpenStack}, args...)...)
}

// migrated runs an apply, and summarizes its result.
func (s *stage) migrated(ctx context.Context, args ...string) (string, error) {
	if err := s.migrate(ctx, 0, args...); err != nil {
		return "", err
	}
	last, err := s.cli.lastCycle(ctx, inOpenStack)
	if err != nil || last == nil {
		return "", err
	}
	server := ""
	err = s.cli.output(ctx, &server, "server", inOpenStack)
	return fmt.Sprintf("last cycle %s; address of the server: %s", last.Kind, server), err
}

func (s *stage) summary() {
	fmt.Print("\n=== What happened\n\n")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for i, a := range s.acts {
		_, _ = fmt.Fprintf(w, "%d\t%s\t%s\t%.1f s\n", i+1, a.what, a.result, a.took.Seconds())
	}
	_ = w.Flush()
}
