package migratekit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Store is the change-ID store that migratekit for NBD targets asks: a loopback
// server for the time of one run, at a port and under a path that nobody else
// knows. It answers with what it was given and collects what is posted.
type Store struct {
	server *http.Server
	served chan struct{}
	url    string
	path   string
	job    string
	ready  func(context.Context)

	known  map[int32]string // by device key, of every disk; not written once it serves
	mu     sync.Mutex
	posted map[int32]string
}

// StartStore starts the store of one VM, with the change IDs that are known by
// device key. Keys that are not among disks are refused. The caller must Close
// it. Where ready is given, an answer waits for it: the snapshot exists by
// then, and goes only after the copy that the answer starts.
func StartStore(
	ctx context.Context, vmPath, job string, disks []int32, known map[int32]string, ready func(context.Context),
) (*Store, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the change-ID store: %w", err)
	}
	token := rand.Text()
	s := &Store{
		url:    fmt.Sprintf("http://%s/%s", listener.Addr(), token),
		path:   vmPath,
		job:    job,
		ready:  ready,
		known:  map[int32]string{},
		posted: map[int32]string{},
		served: make(chan struct{}),
	}
	for _, key := range disks {
		s.known[key] = known[key]
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /"+token+"/api/v1/replications/changeid", s.get)
	mux.HandleFunc("POST /"+token+"/api/v1/replications/{job}/changeid", s.post)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.served)
		_ = s.server.Serve(listener)
	}()
	return s, nil
}

// URL is where migratekit finds the store.
func (s *Store) URL() string { return s.url }

// Posted are the change IDs that were filed so far, by device key.
func (s *Store) Posted() map[int32]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.posted)
}

// Close stops the store.
func (s *Store) Close() error {
	err := s.server.Close()
	<-s.served
	return err
}

// errNoDisk says that a disk ID is none of this VM's.
var errNoDisk = errors.New("unknown disk_id")

// key reads "disk-2000".
func (s *Store) key(disk string) (int32, error) {
	digits, ok := strings.CutPrefix(disk, "disk-")
	if !ok {
		return 0, errNoDisk
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || strconv.FormatInt(n, 10) != digits {
		return 0, errNoDisk
	}
	if _, ok := s.known[int32(n)]; !ok {
		return 0, errNoDisk
	}
	return int32(n), nil
}

func (s *Store) get(w http.ResponseWriter, r *http.Request) {
	if path := r.URL.Query().Get("vm_path"); path != s.path {
		http.Error(w, "unknown vm_path", http.StatusNotFound)
		return
	}
	key, err := s.key(r.URL.Query().Get("disk_id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	if s.ready != nil {
		s.ready(r.Context())
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"change_id": s.known[key]})
}

// changeIDPattern is <epoch>/<sequence>; the epoch is opaque, and printable.
var changeIDPattern = regexp.MustCompile(`^[ -~]{1,200}/[0-9]+$`)

// maxPost bounds a request's body, in bytes.
const maxPost = 64 << 10

func (s *Store) post(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("job") != s.job {
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
	key, err := s.key(body.DiskID)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	s.mu.Lock()
	s.posted[key] = body.ChangeID
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{}\n"))
}
