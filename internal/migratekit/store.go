package migratekit

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// ChangeIDStore is the HTTP API that migratekit for NBD targets calls. migratekit asks it for the change ID to copy a
// disk from, and files the new one there after the copy. A store serves one run.
type ChangeIDStore struct {
	mux       *http.ServeMux
	job       Job
	requested func(ctx context.Context, key int32)
	stored    func(key int32)

	mu    sync.Mutex
	filed map[int32]string // by device key
	last  int32            // the disk that was asked for last, -1 before
}

// NewChangeIDStore returns the store of a job, for the disks in its KnownChangeIDs. If requested
// is not nil, each answer waits until it returns. stored is called when a change ID was filed, unless it is nil.
func NewChangeIDStore(job Job, requested func(ctx context.Context, key int32), stored func(key int32)) *ChangeIDStore {
	s := &ChangeIDStore{mux: http.NewServeMux(), job: job, requested: requested, stored: stored, filed: map[int32]string{}, last: -1}
	s.mux.HandleFunc("GET /api/v1/replications/changeid", s.get)
	s.mux.HandleFunc("POST /api/v1/replications/{job}/changeid", s.post)
	return s
}

// ServeHTTP implements http.Handler.
func (s *ChangeIDStore) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Filed returns the change IDs that were filed so far, by device key.
func (s *ChangeIDStore) Filed() map[int32]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.filed)
}

// Requested returns the disk whose change ID was asked for last, which is the one that migratekit copies now. It is -1 before the first.
func (s *ChangeIDStore) Requested() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

var errUnknownDisk = errors.New("unknown disk_id")

// parseDiskID returns the device key in "disk-2000".
func (s *ChangeIDStore) parseDiskID(id string) (int32, error) {
	digits, ok := strings.CutPrefix(id, "disk-")
	if !ok {
		return 0, errUnknownDisk
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || strconv.FormatInt(n, 10) != digits {
		return 0, errUnknownDisk
	}
	if _, ok := s.job.KnownChangeIDs[int32(n)]; !ok {
		return 0, errUnknownDisk
	}
	return int32(n), nil
}

func (s *ChangeIDStore) get(w http.ResponseWriter, r *http.Request) {
	if path := r.URL.Query().Get("vm_path"); path != s.job.VMPath && path != escapePattern(s.job.VMPath) {
		http.Error(w, "unknown vm_path", http.StatusNotFound)
		return
	}
	key, err := s.parseDiskID(r.URL.Query().Get("disk_id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	s.mu.Lock()
	s.last = key
	s.mu.Unlock()
	if s.requested != nil {
		s.requested(r.Context(), key)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"change_id": s.job.KnownChangeIDs[key]})
}

// changeIDPattern is <epoch>/<sequence>; the epoch is opaque, but printable.
var changeIDPattern = regexp.MustCompile(`^[ -~]{1,200}/[0-9]+$`)

// maxPost bounds a request's body, in bytes.
const maxPost = 64 << 10

func (s *ChangeIDStore) post(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("job") != s.job.ID {
		http.Error(w, "unknown job", http.StatusNotFound)
		return
	}
	var body struct {
		ChangeID string `json:"change_id"`
		DiskID   string `json:"disk_id"`
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPost))
	if err := decoder.Decode(&body); err != nil || decoder.More() || !changeIDPattern.MatchString(body.ChangeID) {
		http.Error(w, "want change_id and disk_id", http.StatusBadRequest)
		return
	}
	key, err := s.parseDiskID(body.DiskID)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	s.mu.Lock()
	s.filed[key] = body.ChangeID
	s.mu.Unlock()
	if s.stored != nil {
		s.stored(key)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}\n"))
}
