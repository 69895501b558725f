package progress

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// KindCycle is the kind of a file about a cycle.
const KindCycle = "cycle"

// StatusRunning is the status while a cycle runs. At its end it is that of the resource: replicated, interrupted, failed or cut_over.
const (
	StatusRunning = "running"
	// StatusLost is shown for a cycle whose process died, or does not write any more. No file has it.
	StatusLost = "lost"
)

// File is the progress of one cycle. Unknown numbers are null.
type File struct {
	Kind            string     `json:"kind"`
	Status          string     `json:"status"`
	VMPath          string     `json:"vm_path"`
	VMName          string     `json:"vm_name"`
	VMID            string     `json:"vm_id"`
	ProviderVersion string     `json:"provider_version"`
	PID             int        `json:"pid"`
	StartedAt       time.Time  `json:"started_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
	EndedAt         *time.Time `json:"ended_at"`
	// Percent is that of all disks.
	Percent        float64 `json:"percent"`
	Bytes          *int64  `json:"bytes"`
	TotalBytes     *int64  `json:"total_bytes"`
	BytesPerSecond *int64  `json:"bytes_per_second"`
	SecondsLeft    *int64  `json:"seconds_left"`
	Error          *string `json:"error"`
	LogFile        string  `json:"log_file"`
	// Disks are by device key.
	Disks map[string]Disk `json:"disks"`
}

// Disk is the progress of one disk.
type Disk struct {
	// Kind is full or incremental.
	Kind       string  `json:"kind"`
	Percent    float64 `json:"percent"`
	Bytes      *int64  `json:"bytes"`
	TotalBytes *int64  `json:"total_bytes"`
	// Target is the volume or the export.
	Target string `json:"target"`
	// ChangeIDBefore is what the copy starts from, ChangeIDAfter what the next one starts from, "" if there is none.
	ChangeIDBefore string `json:"change_id_before"`
	ChangeIDAfter  string `json:"change_id_after"`
}

// suffixes of a log and of its progress.
const (
	logSuffix  = ".log"
	fileSuffix = ".json"
)

// Path returns the path of the progress of a log.
func Path(log string) string { return strings.TrimSuffix(log, logSuffix) + fileSuffix }

func (f File) encode() ([]byte, error) {
	encoded, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the progress: %w", err)
	}
	return append(encoded, '\n'), nil
}

// write replaces a file atomically. Only its owner can read it.
func (f File) write(path string) error {
	encoded, err := f.encode()
	if err != nil {
		return err
	}
	next := path + ".new"
	err = os.WriteFile(next, encoded, 0o600)
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		_ = os.Remove(next)
		return fmt.Errorf("write the progress: %w", err)
	}
	return nil
}

// overwrite replaces the content of a file in place: that needs no room on a full disk.
func (f File) overwrite(path string) error {
	encoded, err := f.encode()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("complete the progress: %w", err)
	}
	_, err = file.Write(encoded)
	if err == nil {
		err = file.Truncate(int64(len(encoded)))
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("complete the progress: %w", err)
	}
	return nil
}

// maxFile bounds a file that is read, in bytes.
const maxFile = 1 << 20

// ReadDirectory returns the cycles of a log directory. Files that are not about a cycle are left out.
func ReadDirectory(directory string) ([]File, error) {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return nil, fmt.Errorf("read the log directory: %w", err)
	}
	var files []File
	for _, entry := range entries {
		about, err := entry.Info()
		if err != nil || !about.Mode().IsRegular() || about.Size() > maxFile || !strings.HasSuffix(entry.Name(), fileSuffix) {
			continue
		}
		content, err := os.ReadFile(filepath.Join(directory, entry.Name()))
		var file File
		if err == nil && json.Unmarshal(content, &file) == nil && file.Kind == KindCycle && file.Status != "" {
			file.Percent = max(min(file.Percent, 100), 0)
			files = append(files, file)
		}
	}
	return files, nil
}
