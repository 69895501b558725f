package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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

// locks are files that are locked while migratekit runs.
type locks []*os.File

// lockPatience is how long a lock may be held by the guard of a run that was killed: it looks once a second whether migratekit has ended.
const (
	lockPatience = 3 * time.Second
	lockEvery    = 100 * time.Millisecond
)

// lockAll locks each name, or none. The files stay: removing one would let two processes lock different files of one name.
func lockAll(ctx context.Context, names []string) (locks, error) {
	if len(names) == 0 {
		return nil, nil
	}
	directory := lockDirectory()
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory for locks: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	var held locks
	for _, name := range names {
		sum := sha256.Sum256([]byte(name))
		file, err := os.OpenFile(filepath.Join(directory, hex.EncodeToString(sum[:16])), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			held.release()
			return nil, fmt.Errorf("open a lock: %w", err)
		}
		for err = lockFile(file); err != nil && ctx.Err() == nil; err = lockFile(file) {
			select {
			case <-ctx.Done():
			case <-time.After(lockEvery):
			}
		}
		if err != nil {
			owner, _ := os.ReadFile(file.Name())
			_ = file.Close()
			held.release()
			return nil, &LockedError{What: name, Owner: strings.TrimSpace(string(owner))}
		}
		_ = file.Truncate(0)
		_, _ = fmt.Fprintf(file, "started by process %d (%s)\n", os.Getpid(), filepath.Base(os.Args[0]))
		held = append(held, file)
	}
	return held, nil
}

func (l locks) release() {
	for _, file := range l {
		_ = file.Close()
	}
}
