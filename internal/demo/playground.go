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

// playground says how to get onto the stage, and does in vCenter what is asked
// for, until the end of the input or an interrupt.
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

main.tf is yours to change. The machines are /DC0/vm/prod/web01, db01 and legacy01.
What somebody else may do in vCenter, type it here:

    off      switch change tracking of web01 off
    reset    switch it off and on, so that the next copy is full
    write    let the guest of web01 write 4 MiB
    slow     let copies wait until you type fast: time for a Ctrl-C
    fast     let them go on
    snapshot make a snapshot of web01, as a backup product does
    clean    remove its snapshots
    quit     end, and remove all of it

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
			fmt.Println("\nall of it is removed")
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

// meddle is what somebody else does in vCenter.
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
		return errors.New("off, reset, write, slow, fast, snapshot, clean or quit")
	}
	if err == nil {
		enabled, ids := s.web.Tracking()
		fmt.Printf("web01 now: tracking %s, change IDs %d, snapshots %d\n", map[bool]string{true: "on", false: "off"}[enabled], len(ids), len(s.web.Snapshots()))
	}
	return err
}
