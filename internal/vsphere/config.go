package vsphere

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/vmware/govmomi/vim25/soap"
)

// Config says which vCenter, and how to trust it.
type Config struct {
	// Server is a host, a host:port or a URL.
	Server   string
	Username string
	Password string
	// Insecure switches the verification of the certificate off.
	Insecure bool
	// CAFile lists PEM files to trust in place of the system's roots, separated
	// as in PATH.
	CAFile string
	// Thumbprint is the SHA-256 fingerprint of the only certificate to accept:
	// 32 bytes in hex, with or without colons.
	Thumbprint string
	// UserAgent names the client in vCenter's list of sessions.
	UserAgent string
	// Log takes what happens: tasks at INFO, each call at DEBUG; nil for nobody.
	Log *slog.Logger
}

// ParseServer makes the URL of the API from what a practitioner writes: a host,
// a host:port or a URL. Credentials in it are refused: they would end in logs.
func ParseServer(server string) (*url.URL, error) {
	u, err := soap.ParseURL(strings.TrimSpace(server))
	if err != nil {
		if parse, ok := errors.AsType[*url.Error](err); ok {
			err = parse.Err // without the URL, which may hold a password
		}
		return nil, fmt.Errorf("parse address of vCenter: %w", err)
	}
	switch {
	case u == nil || u.Hostname() == "":
		return nil, errors.New("the address of vCenter has no host")
	case u.Scheme != "https":
		return nil, fmt.Errorf("the address of vCenter must use https, not %s", u.Scheme)
	case u.User.String() != ":":
		return nil, errors.New("the address of vCenter holds credentials; give them in username and password")
	}
	u.User = nil
	return u, nil
}

// ParseThumbprint gives a fingerprint in the form that vSphere prints: 32
// upper-case hex pairs with colons.
func ParseThumbprint(thumbprint string) (string, error) {
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

// tlsConfig trusts the roots of the system, those of CAFile, one certificate
// by its fingerprint, or (insecure) anything.
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

func loadRoots(files string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	for _, name := range filepath.SplitList(files) {
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

// ThumbprintError says that the server showed another certificate than the one
// whose fingerprint was configured.
type ThumbprintError struct {
	Got, Want string
}

func (e *ThumbprintError) Error() string {
	return fmt.Sprintf("the certificate's SHA-256 fingerprint is %s, not %s", e.Got, e.Want)
}
