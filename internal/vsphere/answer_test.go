package vsphere

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

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

// A proxy that is busy, or a connection that is reset, is tried again; the login succeeds then.
func TestBusyAtFirstContact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, err := NewClient(Config{Server: "vcenter.example.org", Username: "u", Password: "p", Insecure: true})
		if err != nil {
			t.Fatal(err)
		}
		for name, test := range map[string]struct {
			err  error
			busy bool
		}{
			"503":              {&UnavailableError{Status: "503 Service Unavailable"}, true},
			"a reset":          {syscall.ECONNRESET, true},
			"a cut":            {io.ErrUnexpectedEOF, true},
			"a time-out":       {context.DeadlineExceeded, true},
			"nobody listens":   {syscall.ECONNREFUSED, false},
			"a wrong password": {&InvalidLoginError{}, false},
		} {
			if got := isBusy(test.err); got != test.busy {
				t.Errorf("%s: %t", name, got)
			}
		}
		if err := client.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestCommonFormsOfInput(t *testing.T) {
	t.Parallel()
	want := strings.TrimSuffix(strings.Repeat("AB:", 32), ":")
	for _, line := range []string{"sha256 Fingerprint=" + want, "SHA256 Fingerprint=" + want, strings.ReplaceAll(want, ":", "")} {
		if got, err := ParseThumbprint(line); err != nil || got != want {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	if _, err := loadRoots("/dev/zero"); err == nil {
		t.Error("a device is not a file of certificates")
	}
}
