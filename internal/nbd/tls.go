package nbd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// The files of a directory of certificates, as the NBD project's tools name
// them.
const (
	fileCA         = "ca-cert.pem"
	fileClient     = "client-cert.pem"
	fileClientKey  = "client-key.pem"
	errCertificate = "read the certificates of an NBD URI"
)

// tlsConfig is nil for an export without TLS.
func (u URI) tlsConfig() (*tls.Config, error) {
	if !u.TLS {
		return nil, nil
	}
	config := &tls.Config{ServerName: u.Host, MinVersion: tls.VersionTLS12}
	if u.Socket != "" {
		config.ServerName = "localhost" // a socket has no name of its own
	}
	if u.Certificates == "" {
		return config, nil
	}
	authority, err := os.ReadFile(filepath.Join(u.Certificates, fileCA))
	if err != nil {
		return nil, &CertificateError{fmt.Errorf("%s: %w", errCertificate, err)}
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(authority) {
		return nil, &CertificateError{fmt.Errorf("%s: there is no certificate in %s", errCertificate, filepath.Join(u.Certificates, fileCA))}
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(u.Certificates, fileClient), filepath.Join(u.Certificates, fileClientKey))
	switch {
	case errors.Is(err, fs.ErrNotExist): // most servers ask for none
	case err != nil:
		return nil, &CertificateError{fmt.Errorf("%s: %w", errCertificate, err)}
	default:
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// CertificateError says that a server cannot be trusted, or that the
// certificates to do so with cannot be read.
type CertificateError struct{ Err error }

func (e *CertificateError) Error() string { return e.Err.Error() }
func (e *CertificateError) Unwrap() error { return e.Err }

// startTLS asks the server for TLS (NBD_OPT_STARTTLS) and gives the connection
// that goes on inside it.
func startTLS(ctx context.Context, conn net.Conn, config *tls.Config) (net.Conn, error) {
	if err := writeOption(conn, optStartTLS, nil); err != nil {
		return nil, err
	}
	kind, payload, err := readReply(conn, optStartTLS)
	switch {
	case err != nil:
		return nil, err
	case kind == repUnsup, kind == repPolicy:
		return nil, ErrNoTLS
	case kind != repAck:
		return nil, replyError(kind, payload)
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		err = fmt.Errorf("speak TLS with the NBD server: %w", err)
		if untrusted(err) {
			return nil, &CertificateError{err}
		}
		return nil, err
	}
	return secure, nil
}

func untrusted(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	return verification
}
