package replication

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
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

// maxLog bounds a log, in bytes.
const maxLog = 1 << 30

// cappedLog is a log that drops its oldest half when it is full, and says so at its head.
type cappedLog struct {
	path string
	max  int64

	mu      sync.Mutex
	file    *os.File
	size    int64
	dropped int64
}

// createLog creates a log that only its owner can read. checkLogDirectory has made its directory.
func createLog(path string) (*cappedLog, error) {
	file, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make migratekit's log: %w", err)
	}
	return &cappedLog{path: path, max: maxLog, file: file}, nil
}

// write adds a line. It fails silently, because a full disk must not end the copy.
func (l *cappedLog) write(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, _ := io.WriteString(l.file, line+"\n")
	if l.size += int64(n); l.size > l.max {
		l.drop()
	}
}

// drop replaces the file by one without its oldest half.
func (l *cappedLog) drop() {
	half := l.size / 2
	kept := bufio.NewReader(io.NewSectionReader(l.file, half, l.size-half))
	cut, _ := kept.ReadString('\n') // up to the end of a line
	next, err := os.OpenFile(l.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	dropped := l.dropped + half + int64(len(cut))
	head, _ := fmt.Fprintf(next, "# %d bytes of older lines were dropped, because the log reached %d bytes\n", dropped, l.max)
	copied, err := io.Copy(next, kept)
	if err == nil {
		err = os.Rename(next.Name(), l.path)
	}
	if err != nil { // a full disk
		_, _ = next.Close(), os.Remove(next.Name())
		l.size -= half // it tries again later
		return
	}
	_ = l.file.Close()
	l.file, l.size, l.dropped = next, int64(head)+copied, dropped
}

func (l *cappedLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.file.Close()
}
