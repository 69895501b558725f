package migratekit_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// Reports are throttled. Those of unknown jobs are refused.
func TestProgressReports(t *testing.T) {
	t.Parallel()
	reports := migratekit.NewProgressReports()
	server := httptest.NewServer(reports)
	t.Cleanup(server.Close)
	heard := map[string][]migratekit.Progress{}
	for _, job := range []string{"a", "b"} {
		reports.Add(job, func(p migratekit.Progress) { heard[job] = append(heard[job], p) })
	}
	post := func(job, body string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/api/v1/progress/"+job+"/update", bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		return response.StatusCode
	}
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
	if left := reports.Remove("a"); left != 1 {
		t.Errorf("%d jobs are left", left)
	}
	if got := post("a", `{"stage":"copy"}`); got != 404 {
		t.Errorf("a job that has ended: status %d", got)
	}
}
