package vsphere

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/vim25/soap"
)

// Config is the address of a vCenter, the credentials and how to verify its certificate.
type Config struct {
	// Server is a host, a host:port or a URL.
	Server   string
	Username string
	Password string
	// Insecure disables certificate verification.
	Insecure bool
	// CAFile lists PEM files that replace the system's root CAs, separated as in PATH.
	CAFile string
	// Thumbprint is the SHA-256 fingerprint of the only accepted certificate: 32 bytes in hex, colons optional.
	Thumbprint string
	// UserAgent is the client's name in vCenter's session list.
	UserAgent string
	// Log receives tasks at INFO and each call at DEBUG; nil disables logging.
	Log *slog.Logger
}

// ParseServer returns the API URL for a host, a host:port or a URL. It rejects credentials: they would be logged.
func ParseServer(server string) (*url.URL, error) {
	server = strings.TrimSpace(server)
	if address, err := netip.ParseAddr(server); err == nil && address.Is6() {
		server = "[" + server + "]"
	}
	u, err := soap.ParseURL(server)
	if err != nil {
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err // omit the URL: it may contain a password
		}
		return nil, fmt.Errorf("parse vCenter address: %w", err)
	}
	switch {
	case u == nil || u.Hostname() == "":
		return nil, errors.New("the vCenter address has no host")
	case u.Scheme != "https":
		return nil, fmt.Errorf("the vCenter address must use https, not %s", u.Scheme)
	case u.User.String() != ":":
		return nil, errors.New("the vCenter address contains credentials; set username and password instead")
	}
	u.User = nil
	return u, nil
}

// ParseThumbprint returns a fingerprint in vSphere's format: 32 upper-case hex pairs with colons.
func ParseThumbprint(thumbprint string) (string, error) {
	thumbprint = strings.TrimSpace(thumbprint)
	if label, value, ok := strings.Cut(thumbprint, "="); ok && strings.EqualFold(strings.TrimSpace(label), "sha256 fingerprint") {
		thumbprint = value // the whole line that openssl prints
	}
	digits := strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(thumbprint), ":", ""))
	if len(digits) != 64 || strings.Trim(digits, "0123456789ABCDEF") != "" {
		return "", errors.New("a SHA-256 fingerprint is 32 bytes in hex, with or without colons")
	}
	pairs := make([]string, 0, 32)
	for ; digits != ""; digits = digits[2:] {
		pairs = append(pairs, digits[:2])
	}
	return strings.Join(pairs, ":"), nil
}

func (c Config) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pool, err := loadRoots(c.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	switch {
	case c.Thumbprint != "":
		want, err := ParseThumbprint(c.Thumbprint)
		if err != nil {
			return nil, err
		}
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error {
			if got := soap.ThumbprintSHA256(state.PeerCertificates[0]); got != want {
				return &ThumbprintError{Got: got, Want: want}
			}
			return nil
		}
	case c.Insecure:
		config.InsecureSkipVerify = true
	}
	return config, nil
}

// maxCAFile bounds a file of certificates, in bytes.
const maxCAFile = 10 << 20

func loadRoots(files string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, name := range filepath.SplitList(files) {
		info, err := os.Stat(filepath.Clean(name))
		if err != nil {
			return nil, fmt.Errorf("read CA file: %w", err)
		}
		if !info.Mode().IsRegular() || info.Size() > maxCAFile {
			return nil, fmt.Errorf("read CA file: %s is not a regular file of at most %d bytes", name, maxCAFile)
		}
		pem, err := os.ReadFile(filepath.Clean(name))
		if err != nil {
			return nil, fmt.Errorf("read CA file: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read CA file: %s holds no certificate in PEM", name)
		}
	}
	return pool, nil
}

// ThumbprintError is returned when the server's certificate does not have the configured fingerprint.
type ThumbprintError struct {
	Got, Want string
}

func (e *ThumbprintError) Error() string {
	return fmt.Sprintf("the certificate's SHA-256 fingerprint is %s, not %s", e.Got, e.Want)
}
