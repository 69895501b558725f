package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// LockedError is returned if another migratekit of this machine works on the same VM, or writes to the same export.
type LockedError struct {
	// What is the VM or the export.
	What string
	// Owner describes the process that holds the lock.
	Owner string
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("another migratekit on this machine works on %s: %s", e.What, e.Owner)
}

// errLocked is returned for a file that another process has locked.
var errLocked = errors.New("locked")

// Locks are held until Release, and by the guard of a run while its migratekit lives.
type Locks []*os.File

// lockPatience is how long a lock may be held by the guard of a run that was killed: it looks once a second whether migratekit has ended.
const (
	lockPatience = 3 * time.Second
	lockEvery    = 100 * time.Millisecond
)

// Lock locks each name on this machine, or none. It waits a moment, or not at all if the context has ended. The error is a LockedError
// if another run holds one of them. The files stay: removing one would let two processes lock different files of one name.
func (m *Machine) Lock(ctx context.Context, names ...string) (Locks, error) {
	directory, err := lockDirectory()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	var held Locks
	for _, name := range names {
		file, err := os.OpenFile(lockPath(directory, name), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			held.Release()
			return nil, fmt.Errorf("open a lock: %w", err)
		}
		for err = lockFile(file); errors.Is(err, errLocked) && ctx.Err() == nil; err = lockFile(file) {
			select {
			case <-ctx.Done():
			case <-time.After(lockEvery):
			}
		}
		if err != nil {
			owner, _ := os.ReadFile(file.Name())
			_ = file.Close()
			held.Release()
			if !errors.Is(err, errLocked) {
				return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
			}
			return nil, &LockedError{What: name, Owner: string(owner)}
		}
		held = append(held, file)
	}
	starting := fmt.Sprintf("it is being started by process %d (%s)", os.Getpid(), filepath.Base(os.Args[0]))
	for _, file := range held {
		if killed(file) {
			Locks{file}.describe(starting + killedBefore)
		} else {
			Locks{file}.describe(starting)
		}
	}
	return held, nil
}

// A lock that is free tells from what it last said whether the end of its run was seen.
const (
	runningPrefix = "it is process "
	killedBefore  = "; the end of the run before was not seen"
)

func killed(file *os.File) bool {
	content := make([]byte, 1<<10)
	n, _ := file.ReadAt(content, 0)
	text := string(content[:n])
	return strings.HasPrefix(text, runningPrefix) || strings.HasSuffix(text, killedBefore)
}

// Forget notes that the run has ended and left nothing behind.
func (l Locks) Forget() { l.describe("") }

// Unfinished reports whether a run with a lock is under way, or was killed so that its end was not seen.
func (m *Machine) Unfinished(name string) bool {
	directory, err := lockDirectory()
	if err != nil {
		return false
	}
	file, err := os.Open(lockPath(directory, name))
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	return lockFile(file) != nil || killed(file)
}

func lockPath(directory, name string) string {
	sum := sha256.Sum256([]byte(name))
	return filepath.Join(directory, hex.EncodeToString(sum[:16]))
}

// describe sets what another process reads that finds a lock held.
func (l Locks) describe(owner string) {
	for _, file := range l {
		_ = file.Truncate(0)
		_, _ = file.WriteAt([]byte(owner), 0)
	}
}

// lockDirectory is the same for every process of the user, whatever its TMPDIR is, if the machine has a /tmp.
func lockDirectory() (string, error) {
	var errs []error
	for _, parent := range []string{"/tmp", os.TempDir()} {
		directory := filepath.Join(parent, fmt.Sprintf("terraform-provider-vma-%d", os.Getuid()))
		if err := makePrivate(directory); err != nil {
			errs = append(errs, err)
			continue
		}
		return directory, nil
	}
	return "", fmt.Errorf("make a directory for locks: %w", errors.Join(errs...))
}

// makePrivate makes a directory of the user. One that others may write to could have links in it, to files that would be truncated.
func makePrivate(directory string) error {
	if err := os.Mkdir(directory, 0o700); err == nil || !errors.Is(err, fs.ErrExist) {
		return err //nolint:wrapcheck // it has the path
	}
	info, err := os.Lstat(directory)
	if err != nil {
		return err //nolint:wrapcheck // it has the path
	}
	if !isPrivate(info) {
		return fmt.Errorf("%s is not a directory that only this user may use: remove it", directory)
	}
	return nil
}

// Release ends the locks, unless a guard holds them too.
func (l Locks) Release() {
	for _, file := range l {
		_ = file.Close()
	}
}
