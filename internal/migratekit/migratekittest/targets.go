package migratekittest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// targets take the copies, and store the change ID of each disk's last copy.
type targets interface {
	get(disk disk) (string, error)
	put(disk disk, changeID string) error
	connect(disk disk) error
	disconnect(disk disk) error
}

func newTargets(ctx context.Context, o options, s *source) (targets, error) {
	if !o.nbd() {
		return newVolumes(ctx, o, s)
	}
	for _, name := range []string{"CLOUDSTACK_API_KEY", "CLOUDSTACK_SECRET_KEY"} {
		if os.Getenv(name) == "" {
			return nil, fmt.Errorf("%s is not set", name)
		}
	}
	return &store{ctx: ctx, vmPath: s.path, job: os.Getenv("MIGRATEKIT_JOB_ID")}, nil
}

// store is a client of the change-ID store that the program for NBD targets uses.
type store struct {
	ctx         context.Context //nolint:containedctx // the life of one run
	vmPath, job string
}

func (s *store) base() string {
	if base := os.Getenv("CLOUDSTACK_API_URL"); base != "" {
		return base
	}
	return "http://localhost:8082"
}

func (s *store) connect(disk) error    { return nil }
func (s *store) disconnect(disk) error { return nil }

func (s *store) get(of disk) (string, error) {
	key := of.key
	query := url.Values{"vm_path": {s.vmPath}, "disk_id": {fmt.Sprintf("disk-%d", key)}}
	var answer struct {
		ChangeID string `json:"change_id"`
	}
	err := s.call(http.MethodGet, "/api/v1/replications/changeid?"+query.Encode(), nil, &answer)
	return answer.ChangeID, err
}

func (s *store) put(of disk, changeID string) error {
	key := of.key
	if s.job == "" {
		return nil // without a job nothing is stored
	}
	body, err := json.Marshal(map[string]string{"change_id": changeID, "disk_id": fmt.Sprintf("disk-%d", key)})
	if err != nil {
		return err
	}
	return s.call(http.MethodPost, "/api/v1/replications/"+url.PathEscape(s.job)+"/changeid", body, nil)
}

// report posts progress to the fixed address that the real program uses, and ignores errors. Like the real program it names no disk, and
// the kind of copy only in the first report of a disk.
func (s *store) report(percent int, full bool, size int64) {
	if s.job == "" {
		return
	}
	post := map[string]any{"stage": "Transfer", "status": "running", "bytes_transferred": size / 100 * int64(percent), "total_bytes": size}
	switch percent {
	case 0:
		post["sync_type"] = map[bool]string{true: "initial", false: "incremental"}[full]
	case 100:
		post["status"] = "completed"
		fallthrough
	default:
		post["percent"] = percent
	}
	body, err := json.Marshal(post)
	if err != nil {
		return
	}
	request, err := http.NewRequestWithContext(s.ctx, http.MethodPost, "http://localhost:8081/api/v1/progress/"+s.job+"/update", bytes.NewReader(body))
	if err != nil {
		return
	}
	if response, err := http.DefaultClient.Do(request); err == nil {
		_ = response.Body.Close()
	}
}

func (s *store) call(method, path string, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(s.ctx, method, s.base()+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("change ID store: %s: %s", response.Status, strings.TrimSpace(string(content)))
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(content, answer)
}

// logger writes the format of logrus, with the keys in another order.
type logger struct {
	to io.Writer
	vm string
}

func (l *logger) info(msg, disk string)  { l.line("info", msg, disk) }
func (l *logger) warn(msg, disk string)  { l.line("warning", msg, disk) }
func (l *logger) error(msg, disk string) { l.line("error", msg, disk) }

func (l *logger) line(level, msg, disk string) {
	if disk != "" {
		disk = fmt.Sprintf(" disk=%q", disk)
	}
	_, _ = fmt.Fprintf(l.to, "time=%q level=%s msg=%q%s vm=%s\n", time.Now().UTC().Format(time.RFC3339), level, msg, disk, l.vm)
}

// pace takes the time that a copy at Rate takes, and reports whole percents.
func pace(ctx context.Context, bytes int64, progress func(percent int)) error {
	rate, err := strconv.ParseInt(os.Getenv(Rate), 10, 64)
	if err != nil || rate <= 0 {
		return nil
	}
	began := time.Now()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for reported := 0; reported < 100; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if now := int(min(time.Since(began).Seconds()*float64(rate)*100/float64(bytes), 100)); now > reported {
			reported = now
			progress(now)
		}
	}
	return nil
}

// pause waits while the file named by Pause exists.
func pause(ctx context.Context) error {
	file := os.Getenv(Pause)
	if file == "" {
		return ctx.Err()
	}
	if err := os.WriteFile(file+".waiting", nil, 0o600); err != nil {
		return err
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(file); os.IsNotExist(err) {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
