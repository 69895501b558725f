package migratekit_test

import (
	"bytes"
	"net"
	"net/http"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// Reports of each job go to whoever listens for it, throttled; what nobody
// listens for is refused, and with the last job the listener goes.
func TestProgressListener(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	listener := migratekit.NewProgressListener(address)
	heard := map[string][]migratekit.Progress{}
	listen := func(job string) func() {
		stop, err := listener.Listen(t.Context(), job, func(p migratekit.Progress) { heard[job] = append(heard[job], p) })
		if err != nil {
			t.Fatal(err)
		}
		return stop
	}
	post := func(job, body string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/api/v1/progress/"+job+"/update", bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode
	}
	stopA, stopB := listen("a"), listen("b")
	for _, test := range []struct {
		job, body string
		want      int
	}{
		{"a", `{"stage":"copy","disk_id":"disk-2000","percent":1.5,"bytes_transferred":15,"total_bytes":1000,"throughput_bps":7.5,"sync_type":"full"}`, 204},
		{"a", `{"stage":"copy","disk_id":"disk-2000","percent":2}`, 204}, // too soon to be passed on
		{"a", `{"stage":"copy","disk_id":"disk-2001"}`, 204},
		{"a", `{"stage":"done","disk_id":"disk-2000"}`, 204},
		{"b", `{"stage":"copy","disk_id":"disk-2000"}`, 204},
		{"c", `{"stage":"copy"}`, 404},
		{"a", `percent=3`, 400},
	} {
		if got := post(test.job, test.body); got != test.want {
			t.Errorf("%s to job %s: status %d, want %d", test.body, test.job, got, test.want)
		}
	}
	first := migratekit.Progress{Stage: "copy", DiskID: "disk-2000", Percent: 1.5, BytesTransferred: 15, TotalBytes: 1000, ThroughputBPS: 7.5, SyncType: "full"}
	if len(heard["a"]) != 3 || heard["a"][0] != first || heard["a"][2].Stage != "done" || len(heard["b"]) != 1 {
		t.Errorf("heard %+v", heard)
	}
	stopA()
	if got := post("a", `{"stage":"copy"}`); got != 404 {
		t.Errorf("a job that has ended: status %d", got)
	}
	stopB()
	if got := post("b", `{"stage":"copy"}`); got != 0 {
		t.Errorf("the listener is still there: status %d", got)
	}
}

// Where the port is taken nothing is heard, and nothing is wrong.
func TestProgressListenerWithoutItsPort(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	stop, err := migratekit.NewProgressListener(address).Listen(t.Context(), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	again, err := migratekit.NewProgressListener(address).Listen(t.Context(), "b", nil)
	if err == nil {
		t.Error("two listen at one port")
	}
	again()
}

// freeAddress is a loopback address where nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
