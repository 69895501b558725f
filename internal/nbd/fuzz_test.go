package nbd_test

import (
	"context"
	"net"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/nbd"
)

// A server may send anything: the answer is an export or an error, without a crash.
func FuzzNegotiate(f *testing.F) {
	const newstyle = "NBDMAGICIHAVEOPT\x00\x03"
	f.Add([]byte(""))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Add([]byte("NBDMAGIC\x00\x00\x42\x02\x81\x86\x12\x53\x00\x00\x00\x00\x40\x00\x00\x00\x00\x00\x00\x01"))
	f.Add([]byte(newstyle + "\x00\x03\xe8\x89\x04\x55\x65\xa9\x00\x00\x00\x07\x00\x00\x00\x03\xff\xff\xff\xff"))
	f.Add([]byte(newstyle + "\x00\x03\xe8\x89\x04\x55\x65\xa9\x00\x00\x00\x07\x80\x00\x00\x06\x00\x00\x00\x02no"))
	uri, err := nbd.ParseURI("nbd://127.0.0.1:10809/a")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		export, err := nbd.Negotiate(t.Context(), func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() { _, _ = server.Write(answer); _ = server.Close() }()
			go discard(server)
			return client, nil
		}, uri)
		if err == nil && export.Size == 0 && len(answer) < 18 {
			t.Errorf("%q is an export", answer)
		}
	})
}

func discard(conn net.Conn) {
	buffer := make([]byte, 512)
	for {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

func FuzzParseURI(f *testing.F) {
	for _, text := range []string{"nbd://127.0.0.1:10809/a", "nbds://[::1]/%2F%00", "nbd+unix:///a?socket=/x", "nbd://h:0x1/a,b", "nbd://\x00"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		uri, err := nbd.ParseURI(text)
		if err != nil {
			return
		}
		again, err := nbd.ParseURI(uri.String())
		if err != nil || again.String() != uri.String() {
			t.Errorf("%q is read as %q, and that as %q, %v", text, uri, again, err)
		}
	})
}
