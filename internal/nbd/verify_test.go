package nbd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/nbd"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
)

const size = 1 << 20

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
			err = nbd.Verify(t.Context(), parse(t, server.URI(test.export)), size)
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
	if err := nbd.Verify(ctx, parse(t, server.URI("web01-0")), size); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestVerifyWaitsForAnExportThatComesUp(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil { // nobody listens there now
		t.Fatal(err)
	}
	if err := nbd.Verify(t.Context(), parse(t, "nbd://"+address+"/x"), size); err == nil {
		t.Error("an address where nobody listens was accepted")
	}
}

// A real server, where the machine has one: listing is off, as it often is.
func TestVerifyRealServer(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("nbdkit")
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatalf("CI must install nbdkit: %v", err)
	case err != nil:
		t.Skipf("there is no nbdkit to talk to: %v", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	pid := filepath.Join(t.TempDir(), "pid")
	server := exec.CommandContext(t.Context(), path, "-f", "-P", pid, "-i", "127.0.0.1", "-p", fmt.Sprint(port), "memory", "1M")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	uri := parse(t, fmt.Sprintf("nbd://127.0.0.1:%d/web01-0", port))
	if err := nbd.Verify(t.Context(), uri, size); err != nil {
		t.Error(err)
	}
	if err := nbd.Verify(t.Context(), uri, size+1); err == nil {
		t.Error("a disk larger than the export was accepted")
	}
}

func TestParseURI(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "web01", "http://127.0.0.1/x", "nbd:///x", "nbds://127.0.0.1/x", "nbd+unix:///x?socket=/s", "nbd://u@h/x", "nbd://h:1/x?y", "nbd://h:port/x"} {
		if uri, err := nbd.ParseURI(bad); err == nil {
			t.Errorf("%q was accepted as %+v", bad, uri)
		}
	}
	got := parse(t, "nbd://127.0.0.1:10808/web01-0")
	if got.Address() != "127.0.0.1:10808" || got.Export != "web01-0" || !got.Local() {
		t.Errorf("got %+v", got)
	}
	if got := parse(t, "nbd://[::1]/a/b"); got.Address() != "[::1]:10809" || got.Export != "a/b" || got.Local() {
		t.Errorf("got %+v", got)
	}
	if got := parse(t, "nbd://localhost:1/x"); !got.Local() || got.Address() != "127.0.0.1:1" {
		t.Errorf("got %+v", got)
	}
	if parse(t, "nbd://10.0.0.1/x").Local() || parse(t, "nbd://127.0.0.2/x").Local() {
		t.Error("only 127.0.0.1 is where migratekit connects")
	}
}
