package migratekit_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

func call(t *testing.T, method, address, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(content)
}

// Paths, names and the empty answer are those that migratekit expects.
func TestChangeIDStore(t *testing.T) {
	t.Parallel()
	store := migratekit.NewChangeIDStore(migratekit.Job{ID: "job-1", VMPath: "/DC0/vm/a b", KnownChangeIDs: map[int32]string{2000: "e/1", 2001: ""}}, nil, nil)
	server := httptest.NewServer(store)
	t.Cleanup(server.Close)
	get := func(path, disk string) string {
		return server.URL + "/api/v1/replications/changeid?" + url.Values{"vm_path": {path}, "disk_id": {disk}}.Encode()
	}
	post := server.URL + "/api/v1/replications/job-1/changeid"
	for disk, want := range map[string]string{"disk-2000": "e/1", "disk-2001": ""} {
		status, answer := call(t, http.MethodGet, get("/DC0/vm/a b", disk), "")
		var body map[string]string
		if err := json.Unmarshal([]byte(answer), &body); err != nil || status != http.StatusOK || body["change_id"] != want {
			t.Errorf("%s: %d %s", disk, status, answer)
		}
	}
	refused := map[string][3]string{
		"another VM":           {http.MethodGet, get("/DC0/vm/other", "disk-2000"), ""},
		"another disk":         {http.MethodGet, get("/DC0/vm/a b", "disk-2009"), ""},
		"no disk":              {http.MethodGet, get("/DC0/vm/a b", "2000"), ""},
		"another job":          {http.MethodPost, strings.Replace(post, "job-1", "job-2", 1), `{"change_id":"e/2","disk_id":"disk-2000"}`},
		"no JSON":              {http.MethodPost, post, "change_id=e/2"},
		"no change ID":         {http.MethodPost, post, `{"disk_id":"disk-2000"}`},
		"a foreign disk":       {http.MethodPost, post, `{"change_id":"e/2","disk_id":"disk-1"}`},
		"too much":             {http.MethodPost, post, `{"change_id":"` + strings.Repeat("x", 100<<10) + `","disk_id":"disk-2000"}`},
		"a method of no sense": {http.MethodDelete, post, ""},
	}
	for name, r := range refused {
		if status, answer := call(t, r[0], r[1], r[2]); status < 400 || status > 499 {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if len(store.Filed()) != 0 {
		t.Errorf("refused requests were filed: %v", store.Filed())
	}
	if status, answer := call(t, http.MethodPost, post, `{"change_id":"e/2","disk_id":"disk-2001"}`); status != http.StatusOK {
		t.Errorf("%d %s", status, answer)
	}
	if got := store.Filed(); !maps.Equal(got, map[int32]string{2001: "e/2"}) {
		t.Errorf("posted %v", got)
	}
}
