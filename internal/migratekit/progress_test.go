package migratekit_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// Each report is passed on to its job, with the disk that is being copied. Those of unknown jobs are refused.
func TestProgressReports(t *testing.T) {
	t.Parallel()
	reports := migratekit.NewProgressReports()
	server := httptest.NewServer(reports)
	t.Cleanup(server.Close)
	disk := int32(2000)
	heard := map[string][]migratekit.Progress{}
	for _, job := range []string{"a", "b"} {
		reports.Add(job, func() int32 { return disk }, func(p migratekit.Progress) {
			heard[job] = append(heard[job], p)
		})
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
		disk      int32
		want      int
	}{
		{"a", `{"stage":"Transfer","bytes_transferred":15,"total_bytes":1000,"throughput_bps":7.5,"sync_type":"initial"}`, 2000, 200},
		{"a", `{"stage":"Transfer","percent":2}`, 2000, 200},
		{"a", `{"stage":"Transfer","percent":100}`, 2000, 200},
		{"a", `{"stage":"Transfer","status":"completed"}`, 2000, 200},
		{"a", `{"stage":"Transfer","percent":1}`, 2001, 200},
		{"a", `{"stage":"Transfer","bytes_transferred":1000,"total_bytes":1000}`, 2001, 200},
		{"b", `{"stage":"Transfer"}`, 2000, 200},
		{"c", `{"stage":"Transfer"}`, 2000, 404},
		{"a", `percent=3`, 2000, 400},
	} {
		disk = test.disk
		if got := post(test.job, test.body); got != test.want {
			t.Errorf("%s to job %s: status %d, want %d", test.body, test.job, got, test.want)
		}
	}
	first := migratekit.Progress{Key: 2000, Stage: "Transfer", BytesTransferred: 15, TotalBytes: 1000, ThroughputBPS: 7.5, SyncType: "initial"}
	if len(heard["a"]) != 6 || heard["a"][0] != first || heard["a"][4].Key != 2001 || len(heard["b"]) != 1 {
		t.Errorf("heard %+v", heard)
	}
	if left := reports.Remove("a"); left != 1 {
		t.Errorf("%d jobs are left", left)
	}
	if got := post("a", `{"stage":"Transfer"}`); got != 404 {
		t.Errorf("a job that has ended: status %d", got)
	}
}
