package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// metadataAddress tells a server of OpenStack its ID. migratekit asks there, too, and through the same proxy.
	metadataAddress = "http://169.254.169.254/openstack/latest/meta_data.json"
	// metadataTimeout bounds one request: a machine that is no server may have nothing at that address.
	metadataTimeout = 5 * time.Second
	metadataPause   = 30 * time.Second
	maxMetadata     = 1 << 20
)

// metadataService remembers its first good answer, and a failure for a while: the VMs of a plan must not wait one after the other.
type metadataService struct {
	mu     sync.Mutex
	server string
	failed error
	until  time.Time
}

// serverID returns the ID of the server of OpenStack that this machine is.
func (s *metadataService) serverID(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != "" || (s.failed != nil && time.Now().Before(s.until)) {
		return s.server, s.failed
	}
	server, err := askMetadata(ctx)
	s.server, s.failed = server, err
	if s.until = time.Now().Add(metadataPause); ctx.Err() != nil {
		s.failed = nil
	}
	return server, err
}

func askMetadata(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, metadataAddress, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("ask the metadata service: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	var metadata struct {
		UUID string `json:"uuid"`
	}
	err = json.NewDecoder(io.LimitReader(response.Body, maxMetadata)).Decode(&metadata)
	switch {
	case response.StatusCode != http.StatusOK:
		return "", fmt.Errorf("ask the metadata service: it answered %s", response.Status)
	case err != nil:
		return "", fmt.Errorf("ask the metadata service: %w", err)
	case metadata.UUID == "":
		return "", errors.New("ask the metadata service: its answer has no uuid")
	}
	return metadata.UUID, nil
}
