package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// playground prints instructions and runs commands from standard input, until its end, quit or an interrupt.
func (s *stage) playground(ctx context.Context) error {
	var env strings.Builder
	for _, pair := range s.cli.env {
		name, value, _ := strings.Cut(pair, "=")
		fmt.Fprintf(&env, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	if err := os.WriteFile(filepath.Join(s.cli.dir, "env"), []byte(env.String()), 0o600); err != nil {
		return err
	}
	fmt.Printf(`An embedded vCenter, NBD exports and an OpenStack run; migratekit is a stand-in that copies no data.
In another terminal:

    cd %s
    . ./env
    %s apply -var cycle=1

To follow a copy, in a third terminal in the same directory:

    ../bin/terraform-provider-vma progress

You can change main.tf. The VMs are /DC0/vm/prod/web01, db01 and legacy01. The directory assessment
assesses them; fleet copies twenty more. The directory openstack has a configuration that migrates app01 to OpenStack; its flavor is to be given by its ID:

    cd openstack
    %[2]s apply -var %s

Type a command here to act as another user of vCenter or OpenStack:

`, s.cli.dir, filepath.Base(s.cli.program), flavor)
	tricks := s.tricks()
	for _, t := range tricks {
		fmt.Printf("    %-9s%s\n", t.name, t.help)
	}
	fmt.Printf("    %-9s%s\n\n", "quit", "stop and remove everything")
	lines := make(chan string)
	go func() {
		defer close(lines)
		for input := bufio.NewScanner(os.Stdin); input.Scan(); {
			lines <- strings.TrimSpace(input.Text())
		}
	}()
	for {
		select {
		case <-ctx.Done():
			fmt.Println("\nRemoving everything")
			return nil
		case line, open := <-lines:
			if !open || line == "quit" {
				return nil
			}
			if err := play(tricks, strings.ToLower(line)); err != nil {
				fmt.Println(err)
			}
		}
	}
}

// trick changes something, as another user or tool would.
type trick struct {
	name, help string
	do         func() error
	// then says what a plan makes of it.
	then string
}

func (s *stage) tricks() []trick {
	return []trick{
		{
			"off", "disable CBT on web01", func() error { s.web.SetTracking(false); return nil },
			"A plan with -detailed-exitcode exits with 2, and shows enabled = false -> true. An apply repairs it.",
		},
		{
			"reset", "disable and enable CBT on web01", func() error { s.web.ResetTracking(); return nil },
			"CBT works, but the epoch is new: tracking_intact is false, and the plan warns that the next copy is full.",
		},
		{
			"write", "write 4 MiB in the guest of web01", func() error { s.web.Write(firstKey, 1<<30, 4<<20); return nil },
			"An apply with another cycle copies these 4 MiB.",
		},
		{
			"disk", "add a disk to web01", func() error { _, err := s.web.AddDisk(vspheretest.Disk{Size: gib}); return err },
			"A plan shows initialized = false -> true, and refuses the next cycle to NBD exports until the disk has one.",
		},
		{
			"snapshot", "create a snapshot of web01, as a backup product does", func() error { return s.web.AddSnapshot("nightly", "") },
			"That is no drift. But after off, a plan refuses to enable CBT until you type clean.",
		},
		{"clean", "remove the snapshots of web01", func() error { return s.web.RemoveSnapshots() }, "Nothing stands in the way any more."},
		{
			"lock", "hold web01, as a backup product does while it reads", func() error { s.web.DisableMethod("CreateSnapshot_Task", "backup"); return nil },
			"After off, a plan says which operation is disabled. Type unlock to release it.",
		},
		{"unlock", "release web01", func() error { s.web.EnableMethods(); return nil }, "A plan goes through again."},
		{
			"volume", "delete the volumes of app01 in OpenStack", func() error { s.cloud.DeleteVolumes("app01-"); return nil },
			"In the directory openstack, until the cutover, a plan shows target_intact = false -> true, and warns that the next copy is full.",
		},
		{
			"back", "delete the server of app01, and power the source on",
			func() error {
				s.cloud.DeleteServer("app01")
				return s.app.PowerOn()
			},
			"In the directory openstack: terraform state rm vma_replication.app, then apply without cutover. The copy is full.",
		},
		{
			"slow", "hold copies until you type fast, to try a Ctrl-C", func() error { return os.WriteFile(s.cli.pause, nil, 0o600) },
			"Start an apply with another cycle, and follow it with progress.",
		},
		{"fast", "let copies continue", func() error { return os.RemoveAll(s.cli.pause) }, "Copies end."},
	}
}

func play(tricks []trick, name string) error {
	if name == "" {
		return nil
	}
	for _, t := range tricks {
		if t.name == name {
			if err := t.do(); err != nil {
				return err
			}
			fmt.Printf("Done: %s. %s\n", t.help, t.then)
			return nil
		}
	}
	return fmt.Errorf("unknown command %q: type one of those above", name)
}
