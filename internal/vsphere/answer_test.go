package vsphere

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

func TestHasResult(t *testing.T) {
	t.Parallel()
	task := types.ManagedObjectReference{Type: "Task", Value: "task-1"}
	for name, test := range map[string]struct {
		body *methods.CreateSnapshot_TaskBody
		want bool
	}{
		"a result":          {&methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{Returnval: task}}, true},
		"no response":       {&methods.CreateSnapshot_TaskBody{}, false},
		"an empty response": {&methods.CreateSnapshot_TaskBody{Res: &types.CreateSnapshot_TaskResponse{}}, false},
	} {
		if got := hasResult(test.body); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if !hasResult(&methods.LogoutBody{Res: &types.LogoutResponse{}}) {
		t.Error("a method without a result")
	}
	if !hasResult(&methods.WaitForUpdatesExBody{Res: &types.WaitForUpdatesExResponse{}}) {
		t.Error("no update")
	}
}

// A server that is no vCenter gets an error that names the method, and nothing crashes.
func TestForeignServers(t *testing.T) {
	t.Parallel()
	envelope := func(body string) string {
		return `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>` + body + `</soapenv:Body></soapenv:Envelope>`
	}
	for name, answer := range map[string]string{
		"an empty body":         envelope(""),
		"an empty content":      envelope(`<RetrieveServiceContentResponse xmlns="urn:vim25"/>`),
		"no session manager":    envelope(`<RetrieveServiceContentResponse xmlns="urn:vim25"><returnval><rootFolder type="Folder">group-d1</rootFolder></returnval></RetrieveServiceContentResponse>`),
		"another kind of thing": envelope(`<GetWeatherResponse/>`),
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/xml")
			_, _ = io.WriteString(w, answer)
		}))
		t.Cleanup(server.Close)
		client, err := NewClient(Config{Server: server.URL, Username: "u", Password: "p", Insecure: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.VM(t.Context(), "vm-1")
		if empty, ok := errors.AsType[*NoResultError](err); !ok || empty.Method != "RetrieveServiceContent" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	body := &boundedBody{ReadCloser: io.NopCloser(strings.NewReader("0123456789")), left: 4}
	var got bytes.Buffer
	if _, err := io.Copy(&got, body); !errors.Is(err, errAnswerTooLarge) || got.String() != "0123" {
		t.Errorf("%q, %v", got.String(), err)
	}
}
