// Package nbdtest is an in-process NBD server for tests and the demo. It negotiates exports but stores no data.
package nbdtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
)

// Manner is how a server behaves.
type Manner int

// WithoutInfo supports only NBD_OPT_EXPORT_NAME. A client must survive OldStyle, Silent and Nonsense.
const (
	Newstyle Manner = iota
	WithoutInfo
	OldStyle
	Silent
	Nonsense
	// WantsTLS refuses all other options outside TLS, OffersTLS does not.
	WantsTLS
	OffersTLS
	// WantsBlockSize describes an export only to clients that ask for its block size, as qemu-nbd does if that is
	// more than one byte.
	WantsBlockSize
)

// Export describes one export.
type Export struct {
	// Size is in bytes.
	Size     uint64
	ReadOnly bool
	// After is how many requests find no export before it comes up.
	After int
}

// Server listens on a free loopback port.
type Server struct {
	listener net.Listener
	manner   Manner
	exports  map[string]Export
	identity tls.Certificate
	running  sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	asked map[string]int
}

// Start starts a server. The caller must Close it.
func Start(manner Manner, exports map[string]Export) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Server{
		listener: listener, manner: manner, exports: exports,
		identity: identity(), conns: map[net.Conn]bool{}, asked: map[string]int{},
	}
	s.running.Add(1)
	go s.accept()
	return s, nil
}

// URI returns the address of an export.
func (s *Server) URI(export string) string {
	return fmt.Sprintf("nbd://%s/%s", s.listener.Addr(), export)
}

// identity returns a self-signed certificate for 127.0.0.1.
func identity() tls.Certificate {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return server.TLS.Certificates[0]
}

// Certificates writes the server's certificate and key to a directory, under the names that NBD URIs and servers use.
func (s *Server) Certificates(directory string) error {
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.identity.Certificate[0]})
	der, err := x509.MarshalPKCS8PrivateKey(s.identity.PrivateKey)
	if err != nil {
		return fmt.Errorf("encode the key: %w", err)
	}
	for name, content := range map[string][]byte{
		"ca-cert.pem": certificate, "server-cert.pem": certificate,
		"server-key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	} {
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Asked returns how often clients requested an export.
func (s *Server) Asked(export string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[export]
}

// Close stops the server and drops its connections.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		err = errors.Join(err, conn.Close())
	}
	s.mu.Unlock()
	s.running.Wait()
	return err
}

func (s *Server) accept() {
	defer s.running.Done()
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.running.Go(func() {
			_ = s.serve(conn) // a client that disconnects is not an error
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
			_ = conn.Close()
		})
	}
}

const (
	magic       = 0x4e42444d41474943
	optionMagic = 0x49484156454f5054
	replyMagic  = 0x0003e889045565a9
	oldMagic    = 0x00420281861253
	startTLS    = 5
	ack         = 1
)

func (s *Server) serve(conn net.Conn) error {
	switch s.manner {
	case Silent:
		_, err := io.Copy(io.Discard, conn)
		return err
	case Nonsense:
		_, err := conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		return err
	case OldStyle:
		if err := send(conn, uint64(magic), uint64(oldMagic), uint64(1<<30), uint32(0)); err != nil {
			return err
		}
		_, err := conn.Write(make([]byte, 124))
		return err
	case Newstyle, WithoutInfo, WantsTLS, OffersTLS, WantsBlockSize:
	}
	if err := send(conn, uint64(magic), uint64(optionMagic), uint16(3)); err != nil {
		return err
	}
	var flags uint32
	if err := binary.Read(conn, binary.BigEndian, &flags); err != nil {
		return err
	}
	for secure := false; ; {
		var head struct {
			Magic          uint64
			Option, Length uint32
		}
		if err := binary.Read(conn, binary.BigEndian, &head); err != nil {
			return err
		}
		data := make([]byte, head.Length)
		if _, err := io.ReadFull(conn, data); err != nil {
			return err
		}
		if head.Option == startTLS && (s.manner == WantsTLS || s.manner == OffersTLS) {
			if err := send(conn, uint64(replyMagic), head.Option, uint32(ack), uint32(0)); err != nil {
				return err
			}
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.identity}, MinVersion: tls.VersionTLS12})
			secure = true
			continue
		}
		if more, err := s.answer(conn, head.Option, data, flags&2 != 0, secure); !more || err != nil {
			return err
		}
	}
}

// answer handles one option; more is false when the negotiation is over.
func (s *Server) answer(conn net.Conn, option uint32, data []byte, noZeroes, secure bool) (more bool, err error) {
	const (
		exportName, abort, info      = 1, 2, 6
		repInfo                      = 3
		unsupported, tlsReqd, unknwn = 1<<31 | 1, 1<<31 | 5, 1<<31 | 6
		blockSizeReqd                = 1<<31 | 8
	)
	reply := func(kind uint32, payload ...byte) error {
		if err := send(conn, uint64(replyMagic), option, kind, uint32(len(payload))); err != nil {
			return err
		}
		_, err := conn.Write(payload)
		return err
	}
	switch {
	case option == abort:
		return false, reply(ack)
	case s.manner == WantsTLS && !secure:
		return true, reply(tlsReqd)
	case option == exportName:
		export, ok := s.find(string(data))
		if !ok {
			return false, nil
		}
		if err := send(conn, export.Size, transmission(export)); err != nil || noZeroes {
			return false, err
		}
		_, err := conn.Write(make([]byte, 124))
		return false, err
	case option == info && s.manner != WithoutInfo && len(data) >= 4:
		length := binary.BigEndian.Uint32(data)
		if int(length) > len(data)-4 {
			return false, nil
		}
		export, ok := s.find(string(data[4 : 4+length]))
		if !ok {
			return true, reply(unknwn)
		}
		if s.manner == WantsBlockSize && !bytes.Contains(data[4+length:], []byte{0, 3}) {
			return true, reply(blockSizeReqd)
		}
		payload := binary.BigEndian.AppendUint16(nil, 0)
		payload = binary.BigEndian.AppendUint64(payload, export.Size)
		payload = binary.BigEndian.AppendUint16(payload, transmission(export))
		if err := reply(repInfo, payload...); err != nil {
			return false, err
		}
		return true, reply(ack)
	}
	return true, reply(unsupported)
}

func (s *Server) find(name string) (Export, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[name]++
	export, ok := s.exports[name]
	return export, ok && s.asked[name] > export.After
}

func transmission(e Export) uint16 {
	if e.ReadOnly {
		return 1 | 2
	}
	return 1
}

func send(w io.Writer, values ...any) error {
	for _, value := range values {
		if err := binary.Write(w, binary.BigEndian, value); err != nil {
			return err
		}
	}
	return nil
}
