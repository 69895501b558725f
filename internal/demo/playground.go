package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	fmt.Printf(`
In another terminal:

    cd %s
    . ./env
    %s apply -var cycle=1

To follow a copy, in a third terminal in the same directory:

    ../bin/terraform-provider-vma progress

You can change main.tf. The VMs are /DC0/vm/prod/web01, db01 and legacy01. The directory openstack has
a configuration that migrates app01 to OpenStack; its flavor is to be given by its ID:

    cd openstack
    %[2]s apply -var flavor=4c3d2f5e-8f7a-4c1e-9a56-0e6f6f0a7b11

Type a command here to act as another user of vCenter:

    off      disable CBT on web01
    reset    disable and enable CBT on web01, so that the next copy is full
    write    write 4 MiB in the guest of web01
    slow     hold copies until you type fast, to try a Ctrl-C
    fast     let copies continue
    snapshot create a snapshot of web01, as a backup product does
    clean    remove the snapshots of web01
    quit     stop and remove everything

`, s.cli.dir, filepath.Base(s.cli.program))
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
			if err := s.meddle(strings.ToLower(line)); err != nil {
				fmt.Println(err)
			}
		}
	}
}

// meddle changes something in vCenter, as another user or tool would.
func (s *stage) meddle(what string) error {
	var err error
	switch what {
	case "":
		return nil
	case "off":
		s.web.SetTracking(false)
	case "reset":
		s.web.ResetTracking()
	case "write":
		s.web.Write(firstKey, 1<<30, 4<<20)
	case "slow":
		err = os.WriteFile(s.cli.pause, nil, 0o600)
	case "fast":
		err = os.RemoveAll(s.cli.pause)
	case "snapshot":
		err = s.web.AddSnapshot("nightly", "")
	case "clean":
		err = s.web.RemoveSnapshots()
	default:
		return errors.New("unknown command: type off, reset, write, slow, fast, snapshot, clean or quit")
	}
	if err == nil {
		enabled, ids := s.web.Tracking()
		fmt.Printf("web01 now: CBT %s, change IDs %d, snapshots %d\n", map[bool]string{true: "enabled", false: "disabled"}[enabled], len(ids), len(s.web.Snapshots()))
	}
	return err
}
