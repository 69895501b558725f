package process

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

func request(t *testing.T, method, address, body string) (status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func noStall() *stallMonitor {
	return newStallMonitor(context.Background(), migratekit.Job{}, migratekit.Sink{}, func() {})
}

func unknownDisk() int32 { return -1 }

func testMachine() *Machine { return NewMachine(slog.New(slog.DiscardHandler)) }

// The change-ID store listens on loopback only, and answers only under its token, which is different for each run.
func TestServeChangeIDStore(t *testing.T) {
	t.Parallel()
	tokens := map[string]bool{}
	for range 3 {
		job := migratekit.Job{ID: "job-1", VMPath: "/p", KnownChangeIDs: map[int32]string{2000: ""}}
		services, err := testMachine().serve(t.Context(), job, migratekit.Sink{}, noStall())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(services.close)
		u, err := url.Parse(services.environment["CLOUDSTACK_API_URL"])
		if err != nil || len(u.Path) < 20 || u.Hostname() != "127.0.0.1" {
			t.Errorf("URL %q, %v", u, err)
		}
		tokens[u.Path] = true
		const call, body = "/api/v1/replications/job-1/changeid", `{"change_id":"e/2","disk_id":"disk-2000"}`
		if status := request(t, http.MethodPost, "http://"+u.Host+call, body); status != http.StatusNotFound {
			t.Errorf("without its token: status %d", status)
		}
		if status := request(t, http.MethodPost, u.String()+call, body); status != http.StatusOK {
			t.Errorf("with its token: status %d", status)
		}
		var outcome migratekit.Outcome
		services.complete(&outcome)
		if got := outcome.ChangeIDs; !maps.Equal(got, map[int32]string{2000: "e/2"}) {
			t.Errorf("filed %v", got)
		}
	}
	if len(tokens) != 3 {
		t.Errorf("tokens repeat: %v", tokens)
	}
}

// The answer to migratekit waits until the sink has seen the request.
func TestServeAnnouncesRequests(t *testing.T) {
	t.Parallel()
	var requested []int32
	job := migratekit.Job{VMPath: "/p", KnownChangeIDs: map[int32]string{2000: "e/1"}}
	services, err := testMachine().serve(t.Context(), job, migratekit.Sink{
		ChangeIDRequested: func(_ context.Context, key int32) { requested = append(requested, key) },
	}, noStall())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(services.close)
	address := services.environment["CLOUDSTACK_API_URL"] + "/api/v1/replications/changeid?vm_path=%2Fp&disk_id=disk-2000"
	if status := request(t, http.MethodGet, address, ""); status != http.StatusOK || len(requested) != 1 || requested[0] != 2000 {
		t.Errorf("status %d, requested %v", status, requested)
	}
}

func TestProgressServerListensWhileJobsRun(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	server := newProgressServer(address)
	add := func(job string) func() {
		stop, err := server.add(t.Context(), job, unknownDisk, func(migratekit.Progress) {})
		if err != nil {
			t.Fatal(err)
		}
		return stop
	}
	stopA, stopB := add("a"), add("b")
	post := func(job string) int {
		return request(t, http.MethodPost, "http://"+address+"/api/v1/progress/"+job+"/update", `{"stage":"copy"}`)
	}
	if got := post("a"); got != http.StatusOK {
		t.Errorf("status %d", got)
	}
	stopA()
	if got := post("a"); got != http.StatusNotFound {
		t.Errorf("a job that has ended: status %d", got)
	}
	stopB()
	if got := post("b"); got != 0 {
		t.Errorf("the server still listens: status %d", got)
	}
}

// Another process may have the port. Then there is no progress, and everything else works.
func TestProgressServerWithoutItsPort(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	stop, err := newProgressServer(address).add(t.Context(), "a", unknownDisk, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	again, err := newProgressServer(address).add(t.Context(), "b", unknownDisk, nil)
	if err == nil {
		t.Error("two servers listen at one port")
	}
	again()
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
