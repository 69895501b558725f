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

// File names in a certificate directory, as the NBD project's tools use them.
const (
	fileCA         = "ca-cert.pem"
	fileClient     = "client-cert.pem"
	fileClientKey  = "client-key.pem"
	errCertificate = "read the certificates of an NBD URI"
)

// tlsConfig returns nil for an export without TLS.
func (u URI) tlsConfig() (*tls.Config, error) {
	if !u.TLS {
		return nil, nil
	}
	config := &tls.Config{ServerName: u.Host, MinVersion: tls.VersionTLS12}
	if u.Socket != "" {
		config.ServerName = "localhost" // a socket has no host name
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
	case errors.Is(err, fs.ErrNotExist): // most servers require no client certificate
	case err != nil:
		return nil, &CertificateError{fmt.Errorf("%s: %w", errCertificate, err)}
	default:
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// CertificateError is returned when the server is not trusted, or the URI's certificates cannot be read.
type CertificateError struct{ Err error }

func (e *CertificateError) Error() string { return e.Err.Error() }
func (e *CertificateError) Unwrap() error { return e.Err }

// startTLS requests TLS (NBD_OPT_STARTTLS) and returns the encrypted connection.
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
		err = fmt.Errorf("negotiate TLS with the NBD server: %w", err)
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
