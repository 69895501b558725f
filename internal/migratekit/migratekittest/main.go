// Package migratekittest is a stand-in for the two migratekits. A test binary or the demo runs Main under
// another name. It behaves as those programs do: it logs in to vCenter with its flags, refuses a VM without
// CBT, creates and removes the snapshot "migratekit", chooses a full or an incremental copy by the epoch,
// reads and writes the change-ID store, logs the same lines, obeys signals and exits with 0 or 1. It copies no
// data.
//
// Environment variables change its behavior, see the constants.
package migratekittest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// Environment variables that control the stand-in.
const (
	// Record is a file to which each run appends its Invocation as a line of JSON.
	Record = "MIGRATEKITTEST_RECORD"
	// Pause is a file: copies do not end while it exists. The stand-in creates <file>.waiting when it waits.
	Pause = "MIGRATEKITTEST_PAUSE"
	// Fail is the key of a disk whose copy fails.
	Fail = "MIGRATEKITTEST_FAIL"
	// KeepSnapshot leaves the snapshot when the run fails, and KeepAttached the volume, as the real program may.
	KeepSnapshot = "MIGRATEKITTEST_KEEP_SNAPSHOT"
	KeepAttached = "MIGRATEKITTEST_KEEP_ATTACHED"
	// Expire makes its token useless when it records a copy.
	Expire = "MIGRATEKITTEST_EXPIRE"
	// Rate is how many bytes a second it seems to copy; without it a copy takes no time.
	Rate = "MIGRATEKITTEST_RATE"
	// Deaf makes it ignore SIGINT and SIGTERM.
	Deaf = "MIGRATEKITTEST_DEAF"
)

// Name is the program's name: a binary started under it runs Main.
const Name = "migratekit"

// nbdkit is the program that migratekit reads disks through. The stand-in replaces it and its vddk plugin.
const nbdkit = "nbdkit"

// Called reports whether this process was started as the stand-in.
func Called() bool {
	name := filepath.Base(os.Args[0])
	return name == Name || name == nbdkit
}

// Install links the running executable into dir as migratekit and nbdkit, and returns the path of migratekit.
func Install(dir string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find own executable: %w", err)
	}
	for _, name := range []string{Name, nbdkit} {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			return "", fmt.Errorf("install the stand-in: %w", err)
		}
	}
	return filepath.Join(dir, Name), nil
}

// Main runs the stand-in and returns its exit status.
func Main() int {
	if filepath.Base(os.Args[0]) == nbdkit {
		return 0 // it has every plugin
	}
	// SIGINT and SIGTERM end the run, which removes its snapshot.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if os.Getenv(Deaf) != "" {
		stop()
		signal.Ignore(os.Interrupt, syscall.SIGTERM)
		ctx = context.Background()
	}
	defer stop()
	err := run(ctx, os.Args[1:], os.Stderr)
	if errors.Is(err, errExpired) { // the real program uses the answer without looking at the error
		fmt.Fprint(os.Stderr, "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation]\n\ngoroutine 1 [running]:\n")
		return 2
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "Error: %v\n", err)
		fmt.Fprint(os.Stderr, usage)
		return 1
	}
	return 0
}

const usage = `Usage:
  migratekit migrate [flags]

Flags:
      --availability-zone string         Openstack availability zone for blockdevice & server
      --disk-bus-type string             Specifies the type of disk controller to attach disk devices to (default "virtio")
      --enable-qemu-guest-agent          Sets the hw_qemu_guest_agent metadata parameter to yes
  -h, --help                             help for migrate
      --os-type string                   Set os_type in the volume (image) metadata
      --volume-type string               Openstack volume type

Global Flags:
      --compression-method string        Specifies the compression method to use for the disk (default "skipz")
      --debug                            Enable debug logging
      --vmware-endpoint string           VMware endpoint (hostname or IP only)
      --vmware-password string           VMware password
      --vmware-path string               VMware VM path
      --vmware-username string           VMware username

`

func run(ctx context.Context, args []string, log io.Writer) error {
	options, err := parse(args)
	if err != nil {
		return err
	}
	if err := record(args); err != nil {
		return err
	}
	source, err := connect(ctx, options)
	if err != nil {
		return err
	}
	defer source.logout()
	if !source.tracking {
		return errors.New("change tracking is not enabled on the virtual machine")
	}
	logger := &logger{to: log, vm: source.name}
	if leftover := source.snapshots(Name); len(leftover) > 0 {
		if options.nbd() { // the NBD program does not prompt
			if err := source.remove(ctx, leftover...); err != nil {
				return err
			}
		} else {
			return errors.New("running prompt: EOF") // nobody answers the prompt
		}
	}
	var ports []string
	if options.command == "cutover" {
		if ports, err = ensurePorts(ctx, options, source); err != nil {
			return err
		}
	}
	if err := cycle(ctx, options, source, logger, false); err != nil {
		return err
	}
	if options.command != "cutover" {
		logger.info("Migration completed", "")
		return nil
	}
	if err := source.shutDown(ctx); err != nil {
		return fmt.Errorf("shutting down the source: %w", err)
	}
	if err := cycle(ctx, options, source, logger, options.runV2V); err != nil {
		return err
	}
	if err := boot(ctx, options, source, ports); err != nil {
		return err
	}
	logger.info("Cutover completed", "")
	return nil
}

func cycle(ctx context.Context, options options, source *source, logger *logger, runV2V bool) error {
	snapshot, err := source.snapshot(ctx, Name)
	if err != nil {
		return fmt.Errorf("creating snapshot: %w", err)
	}
	err = copyDisks(ctx, options, source, snapshot, logger, runV2V)
	if err != nil && (os.Getenv(KeepSnapshot) != "" || errors.Is(err, errExpired)) {
		return err
	}
	if removed := source.remove(context.WithoutCancel(ctx), snapshot.ref); err == nil {
		err = removed
	}
	return err
}

func copyDisks(ctx context.Context, options options, source *source, snapshot *snapshot, log *logger, runV2V bool) error {
	for i, disk := range snapshot.disks {
		targets, err := newTargets(ctx, options, source) // it logs in once for each disk
		if err != nil {
			return err
		}
		if options.nbd() && !options.wants(disk.key) { // the real program fails there too, after it copied the disks before
			return fmt.Errorf("no NBD target for disk %d", disk.key)
		}
		if disk.changeID == "" {
			return fmt.Errorf("CBT is not enabled on disk %d", disk.key)
		}
		if err := copyDisk(ctx, targets, disk, log, runV2V && i == 0); err != nil {
			return err
		}
	}
	return nil
}

func copyDisk(ctx context.Context, targets targets, disk disk, log *logger, runV2V bool) error {
	previous, err := targets.get(disk)
	if err != nil {
		return err
	}
	if err := targets.connect(disk); err != nil {
		return err
	}
	err = transfer(ctx, targets, disk, previous, log)
	if err == nil && runV2V { // the disk is no longer what the change ID stands for
		disk.changeID = ""
	}
	if err == nil {
		err = targets.put(disk, disk.changeID)
	}
	if err != nil && (os.Getenv(KeepAttached) != "" || errors.Is(err, errExpired)) {
		return err
	}
	_ = targets.disconnect(disk) // its error is dropped
	return err
}

// transfer copies a disk, and reports that as the real programs do.
func transfer(ctx context.Context, targets targets, disk disk, previous string, log *logger) error {
	full := previous == "" || epoch(previous) != epoch(disk.changeID)
	if full && previous != "" {
		log.warn("Change ID mismatch, full copy needed", disk.file)
	}
	bar, message := "Incremental copy", "Starting incremental copy"
	if full {
		bar, message = "Full copy", "Starting full copy"
	}
	store, nbd := targets.(*store)
	if nbd {
		message = "\U0001F680 " + strings.Replace(message, "Starting ", "Starting parallel ", 1)
	}
	log.info(message, disk.file)
	progress := func(percent int) {
		if nbd {
			store.report(percent, full, disk.bytes)
			return
		}
		fmt.Printf("\r\x1b[K%s  %d%% [==========>          ]", bar, percent) // the next line is glued to it
	}
	progress(0)
	if err := pace(ctx, disk.bytes, progress); err != nil {
		return err
	}
	if os.Getenv(Rate) == "" {
		progress(50)
	}
	if err := pause(ctx); err != nil {
		return err
	}
	if os.Getenv(Fail) == fmt.Sprint(disk.key) {
		return fmt.Errorf("failed to run nbdcopy: exit status 1, nbdkit was: %s", strings.Join(os.Args, " "))
	}
	progress(100)
	log.error("Error reading progress: read |0: file already closed", disk.file) // the real program logs this in a successful run
	if full && !nbd {
		log.info("Full copy completed", disk.file)
	}
	return nil
}

func epoch(id string) string { return id[:max(strings.LastIndex(id, "/"), 0)] }
