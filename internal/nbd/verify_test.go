package nbd_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/nbd"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
)

const size = 1 << 20

var dial = (&net.Dialer{}).DialContext

func TestVerify(t *testing.T) {
	t.Parallel()
	exports := map[string]nbdtest.Export{"web01-0": {Size: size}, "small": {Size: size - 1}, "frozen": {Size: size, ReadOnly: true}, "": {Size: size}}
	small := &nbd.TooSmallError{}
	tests := map[string]struct {
		manner nbdtest.Manner
		export string
		want   error // nil for success
	}{
		"exact size":                         {nbdtest.Newstyle, "web01-0", nil},
		"the default export":                 {nbdtest.Newstyle, "", nil},
		"a server that wants a block size":   {nbdtest.WantsBlockSize, "web01-0", nil},
		"a server without NBD_OPT_INFO":      {nbdtest.WithoutInfo, "web01-0", nil},
		"too small":                          {nbdtest.Newstyle, "small", small},
		"read-only":                          {nbdtest.Newstyle, "frozen", nbd.ErrReadOnly},
		"unknown export":                     {nbdtest.Newstyle, "other", nbd.ErrUnknownExport},
		"unknown export, no NBD_OPT_INFO":    {nbdtest.WithoutInfo, "other", nbd.ErrUnknownExport},
		"old-style server":                   {nbdtest.OldStyle, "web01-0", nbd.ErrOldStyle},
		"a server of another protocol":       {nbdtest.Nonsense, "web01-0", nbd.ErrNotNBD},
		"a server that wants TLS":            {nbdtest.WantsTLS, "web01-0", nbd.ErrTLSRequired},
		"read-only without NBD_OPT_INFO too": {nbdtest.WithoutInfo, "frozen", nbd.ErrReadOnly},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := nbdtest.Start(test.manner, exports)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Close() })
			err = nbd.Verify(t.Context(), dial, parse(t, server.URI(test.export)), size)
			var tooSmall *nbd.TooSmallError
			switch {
			case test.want == nil && err != nil:
				t.Errorf("got %v", err)
			case errors.As(test.want, &tooSmall):
				if !errors.As(err, &tooSmall) || tooSmall.Size != size-1 || tooSmall.Want != size {
					t.Errorf("got %v", err)
				}
			case test.want != nil && !errors.Is(err, test.want):
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func parse(t *testing.T, s string) nbd.URI {
	t.Helper()
	uri, err := nbd.ParseURI(s)
	if err != nil {
		t.Fatal(err)
	}
	return uri
}

func TestVerifySilentServer(t *testing.T) {
	t.Parallel()
	server, err := nbdtest.Start(nbdtest.Silent, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := nbd.Verify(ctx, dial, parse(t, server.URI("web01-0")), size); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestVerifyWaitsForAnExportThatComesUp(t *testing.T) {
	t.Parallel()
	server, err := nbdtest.Start(nbdtest.Newstyle, map[string]nbdtest.Export{"web01-0": {Size: size, After: 2}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	if err := nbd.Verify(t.Context(), dial, parse(t, server.URI("web01-0")), size); err != nil || server.Asked("web01-0") != 3 {
		t.Errorf("asked %d times: %v", server.Asked("web01-0"), err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil { // nobody listens there now
		t.Fatal(err)
	}
	if err := nbd.Verify(t.Context(), dial, parse(t, "nbd://"+address+"/x"), size); err == nil {
		t.Error("an address where nobody listens was accepted")
	}
}

func TestVerifyTLS(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		manner  nbdtest.Manner
		trusted bool
		want    error // nil for success
	}{
		"a server that wants TLS":         {nbdtest.WantsTLS, true, nil},
		"a server that offers it":         {nbdtest.OffersTLS, true, nil},
		"a server that has none":          {nbdtest.Newstyle, true, nbd.ErrNoTLS},
		"a server that nobody trusts":     {nbdtest.WantsTLS, false, &nbd.CertificateError{}},
		"old style has no TLS":            {nbdtest.OldStyle, true, nbd.ErrOldStyle},
		"another protocol has none":       {nbdtest.Nonsense, true, nbd.ErrNotNBD},
		"a server that knows a name only": {nbdtest.WithoutInfo, true, nbd.ErrNoTLS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, err := nbdtest.Start(test.manner, map[string]nbdtest.Export{"web01-0": {Size: size}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Close() })
			uri := strings.Replace(server.URI("web01-0"), "nbd://", "nbds://", 1)
			if test.trusted {
				directory := t.TempDir()
				if err := server.Certificates(directory); err != nil {
					t.Fatal(err)
				}
				uri += "?tls-certificates=" + url.QueryEscape(directory)
			}
			err = nbd.Verify(t.Context(), dial, parse(t, uri), size)
			if certificate := (&nbd.CertificateError{}); errors.As(test.want, &certificate) {
				if !errors.As(err, &certificate) {
					t.Errorf("got %v", err)
				}
			} else if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if err := nbd.Verify(t.Context(), dial, parse(t, "nbds://127.0.0.1:1/x?tls-certificates="+url.QueryEscape(t.TempDir())), size); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory without certificates: %v", err)
	}
}

func TestVerifyRealServer(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("nbdkit")
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatalf("CI must install nbdkit: %v", err)
	case err != nil:
		t.Skipf("there is no nbdkit to talk to: %v", err)
	}
	certificates := t.TempDir()
	identity, err := nbdtest.Start(nbdtest.Silent, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = identity.Close() })
	if err := identity.Certificates(certificates); err != nil {
		t.Fatal(err)
	}
	trust := "tls-certificates=" + url.QueryEscape(certificates)
	socket := filepath.Join(t.TempDir(), "s")
	port := freePort(t)
	for name, test := range map[string]struct {
		args []string
		uri  string
	}{
		"TCP":             {[]string{"-i", "127.0.0.1", "-p", port}, "nbd://127.0.0.1:" + port + "/web01-0"},
		"a socket":        {[]string{"-U", socket}, "nbd+unix:///web01-0?socket=" + url.QueryEscape(socket)},
		"TLS":             {[]string{"-i", "127.0.0.1", "-p", "PORT", "--tls=require", "--tls-certificates=" + certificates}, "nbds://127.0.0.1:PORT/web01-0?" + trust},
		"TLS, offered":    {[]string{"-i", "127.0.0.1", "-p", "PORT", "--tls=on", "--tls-certificates=" + certificates}, "nbds://127.0.0.1:PORT/web01-0?" + trust},
		"read-only":       {[]string{"-r", "-i", "127.0.0.1", "-p", "PORT"}, "nbd://127.0.0.1:PORT/web01-0"},
		"TLS, not wanted": {[]string{"-i", "127.0.0.1", "-p", "PORT", "--tls=require", "--tls-certificates=" + certificates}, "nbd://127.0.0.1:PORT/web01-0"},
	} {
		want := map[string]error{"read-only": nbd.ErrReadOnly, "TLS, not wanted": nbd.ErrTLSRequired}[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if port := freePort(t); strings.Contains(test.uri, "PORT") {
				test.uri = strings.Replace(test.uri, "PORT", port, 1)
				test.args[slices.Index(test.args, "PORT")] = port
			}
			args := append([]string{"-f", "-P", filepath.Join(t.TempDir(), "pid")}, test.args...)
			server := exec.CommandContext(t.Context(), path, append(args, "memory", "1M")...)
			var output bytes.Buffer
			server.Stderr = &output
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
			uri := parse(t, test.uri)
			if err := nbd.Verify(t.Context(), dial, uri, size); !errors.Is(err, want) {
				t.Errorf("got %v, want %v; nbdkit says: %s", err, want, output.String())
			}
			var small *nbd.TooSmallError
			if err := nbd.Verify(t.Context(), dial, uri, size+1); want == nil && !errors.As(err, &small) {
				t.Errorf("a disk larger than the export: %v", err)
			}
		})
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestParseURI(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", "web01", "http://127.0.0.1/x", "nbd:///x", "nbds:///x", "nbd://u@h/x", "nbd://h:1/x?y", "nbd://h:port/x", "nbd://h:0/x", "nbd://h:65536/x", "nbd://h/a%00b", "nbd://h/a%0Ab", "nbd:x", "nbd://h/a,b",
		"nbd+unix:///x", "nbd+unix://h/x?socket=/s", "nbd://h/x?socket=/s", "nbd://h/x?tls-certificates=/c", "nbds://h/x?tls-psk-file=/p",
	} {
		if uri, err := nbd.ParseURI(bad); err == nil {
			t.Errorf("%q was accepted as %+v", bad, uri)
		}
	}
	for s, want := range map[string]nbd.URI{
		"nbd://127.0.0.1:10808/web01-0":               {Host: "127.0.0.1", Port: "10808", Export: "web01-0"},
		"nbd://[::1]/a/b":                             {Host: "::1", Port: "10809", Export: "a/b"},
		"nbd://localhost:1/x":                         {Host: "127.0.0.1", Port: "1", Export: "x"},
		"nbd://h:010808/x":                            {Host: "h", Port: "10808", Export: "x"},
		"nbd://127.0.0.2/x":                           {Host: "127.0.0.2", Port: "10809", Export: "x"},
		"nbds://nbd.example.org/x?tls-certificates=c": {Host: "nbd.example.org", Port: "10809", Export: "x", TLS: true, Certificates: "c"},
		"nbd+unix:///x?socket=/run/s":                 {Socket: "/run/s", Export: "x"},
		"nbds+unix:///?socket=/run/s":                 {Socket: "/run/s", TLS: true},
	} {
		got := parse(t, s)
		if got.Host != want.Host || got.Port != want.Port || got.Socket != want.Socket || got.Export != want.Export ||
			got.TLS != want.TLS || got.Certificates != want.Certificates || got.Local() != (want.Host == "127.0.0.1") {
			t.Errorf("%s: got %+v", s, got)
		}
	}
	if got := parse(t, "nbds://localhost/a%20b").Plain(); got.String() != "nbd://127.0.0.1:10809/a%20b" || got.TLS {
		t.Errorf("plain: %+v", got)
	}
}
