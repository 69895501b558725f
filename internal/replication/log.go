package replication

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// roomForLog is the free space that a log directory must have, in bytes.
	roomForLog = 64 << 10
	// maxLogName bounds the VM's part of a log's name, in bytes; file systems allow 255 in all.
	maxLogName = 150
)

// checkLogDirectory makes the directory, and checks that a log can be written to it.
func checkLogDirectory(directory string) error {
	if err := os.MkdirAll(directory, 0o700); err != nil {
		return fmt.Errorf("make the directory for migratekit's log: %w", err)
	}
	file, err := os.CreateTemp(directory, ".writable-")
	if err != nil {
		return fmt.Errorf("write to the directory for migratekit's log: %w", err)
	}
	_, err = file.Write(make([]byte, roomForLog)) // on a full disk files can be created, but not written
	return errors.Join(err, file.Close(), os.Remove(file.Name()))
}

// logPath returns a new path for the log of a cycle.
func logPath(directory, vm string) string {
	name := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|%`, r) || r < ' ' {
			return '_'
		}
		return r
	}, vm)
	if len(name) > maxLogName {
		name = strings.ToValidUTF8(name[:maxLogName], "")
	}
	return filepath.Join(directory, fmt.Sprintf("%s-%s-%s.log", name,
		time.Now().UTC().Format("20060102T150405Z"), strings.ToLower(rand.Text()[:6])))
}

// createLog creates a log that only its owner can read. checkLogDirectory has made its directory.
func createLog(path string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make migratekit's log: %w", err)
	}
	return file, nil
}
