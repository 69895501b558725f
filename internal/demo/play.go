package main

import (
	"context"
	"fmt"
	"slices"
)

const (
	flavor = "flavor=4c3d2f5e-8f7a-4c1e-9a56-0e6f6f0a7b11"
	// inOpenStack and inFleet make Terraform work in another directory.
	inOpenStack = "-chdir=" + openStackDirectory
	inFleet     = "-chdir=" + fleetDirectory
)

// step is one command of the demo.
type step struct {
	title string
	// before changes something outside Terraform, before the command runs.
	before func() error
	args   []string
	exit   int
	// shows are the lines of the output that matter: each is the first that has the text.
	shows []string
	means string
}

type act struct {
	title string
	steps []step
}

func (s *stage) script() []act {
	apply := func(args ...string) []string { return slices.Concat([]string{"apply", "-auto-approve"}, args) }
	return []act{
		{"Track three VMs, and copy web01 to NBD exports", []step{
			{
				title: "Enable CBT",
				args:  apply("-var", "cycle=0"),
				shows: []string{"web01 poweredOn", "legacy01 poweredOn", "Apply complete!"},
				means: "A temporary snapshot started CBT on the VMs that run. One disk cannot be tracked, which is listed and no error.",
			},
			{
				title: "The first cycle copies everything",
				args:  apply("-var", "cycle=1"),
				shows: []string{`+ "2000" = "full: no change ID yet"`, `"kind" = "full"`, "Apply complete!"},
				means: "The plan says what will be copied, and the state records the change IDs for the next copy.",
			},
			{
				title:  "A backup product disables CBT at night; a check in CI finds it",
				before: func() error { s.web.SetTracking(false); return nil },
				args:   []string{"plan", "-detailed-exitcode", "-var", "cycle=1"},
				exit:   2,
				shows:  []string{"~ enabled = false -> true", `~ "2000" = "full: no change ID yet" -> "full: tracking is off`, "Warning: Full Copy Where Increments"},
				means:  "Exit status 2 is drift. Without this check, the next copy would be a full one, and nobody would know why.",
			},
			{
				title: "The apply repairs it",
				args:  apply("-var", "cycle=1"),
				shows: []string{"vma_replication.web01[0]: Modifications complete", "Apply complete!"},
				means: "CBT works again. The old change IDs are worthless, so this copy was full.",
			},
			{
				title: "The guest writes 5 MiB, and the next cycle copies these only",
				before: func() error {
					s.web.Write(firstKey, 1<<30, 4<<20)
					s.web.Write(firstKey+1, 39<<30, 1<<20)
					return nil
				},
				args:  apply("-var", "cycle=2"),
				shows: []string{`-> "incremental"`, `"changed_bytes" = 5242880`, "Apply complete!"},
				means: "An increment of 60 GiB takes as long as what has changed: here 5 MiB.",
			},
		}},
		{"Move app01 to OpenStack", []step{
			{
				title: "The plan finds a mistake: the name of a flavor instead of its ID",
				args:  []string{inOpenStack, "plan", "-var", "cutover=true"},
				exit:  1,
				shows: []string{"Error: ", "is the name of a flavor", "4c3d2f5e"},
				means: "Nothing was copied yet. Without the check, the cutover would have found it with the source off.",
			},
			{
				title: "With the ID, the first cycle copies to a volume while app01 runs",
				args:  append([]string{inOpenStack}, apply("-var", flavor)...),
				shows: []string{`"kind" = "full"`, "Apply complete!"},
				means: "Nightly cycles would now keep the volume fresh.",
			},
			{
				title:  "The cutover",
				before: func() error { s.app.Write(firstKey, 1<<30, 8<<20); return nil },
				args:   append([]string{inOpenStack}, apply("-var", flavor, "-var", "cutover=true")...),
				shows:  []string{"Warning: Source Will Be Shut Down", `"kind" = "incremental"`, `server = "10.`},
				means:  "The source was shut down, the last 8 MiB were copied, and the server runs.",
			},
		}},
		{"Copy a fleet of twenty", []step{
			{
				title:  "One of them has a snapshot of a backup, and holds up only itself",
				before: func() error { return s.fleet[7].AddSnapshot("nightly", "") },
				args:   append([]string{inFleet}, apply("-parallelism=20")...),
				exit:   1,
				shows:  []string{"Warning: Snapshots in the Way of Change Tracking", `vm19"]: Creation complete`, "change tracking cannot work on"},
				means:  "Nineteen were copied. Exit status 1 and the error say which one was not, why, and what to do.",
			},
			{
				title:  "The backup is done",
				before: func() error { return s.fleet[7].RemoveSnapshots() },
				args:   append([]string{inFleet}, apply()...),
				shows:  []string{"Plan: 1 to add", "Apply complete!", `ready = "20`},
				means:  "Only what was left is copied.",
			},
		}},
	}
}

func (s *stage) play(ctx context.Context) error {
	s.out.print("", "Real commands on an embedded vCenter, NBD exports and an OpenStack; migratekit is a stand-in that copies no data.")
	s.out.print("", "Their whole output: %s", s.out.log.Name())
	n := 0
	for _, a := range s.script() {
		s.out.heading(a.title)
		for _, step := range a.steps {
			n++
			if err := s.perform(ctx, n, step); err != nil {
				return fmt.Errorf("%s: %w", step.title, err)
			}
		}
	}
	s.out.heading(fmt.Sprintf("Left behind: %d sessions on vCenter, %d snapshots of web01", s.vcenter.Sessions(), len(s.web.Snapshots())))
	return nil
}

func (s *stage) perform(ctx context.Context, n int, step step) error {
	if step.before != nil {
		if err := step.before(); err != nil {
			return err
		}
	}
	s.out.step(n, step.title)
	output, err := s.cli.run(ctx, step.exit, step.args...)
	if err != nil {
		return err
	}
	return s.out.result(output, step.shows, step.means)
}
