package process

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// lockAll locks each name, or none. The files stay: removing one would let two processes lock different files of one name.
func lockAll(names []string) (locks, error) {
	if len(names) == 0 {
		return nil, nil
	}
	directory := lockDirectory()
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory for locks: %w", err)
	}
	var held locks
	for _, name := range names {
		sum := sha256.Sum256([]byte(name))
		file, err := os.OpenFile(filepath.Join(directory, hex.EncodeToString(sum[:16])), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			held.release()
			return nil, fmt.Errorf("open a lock: %w", err)
		}
		if err := lockFile(file); err != nil {
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
