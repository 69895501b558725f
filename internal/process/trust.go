package process

import (
	"os"
	"path/filepath"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

// variableTrust names a PEM file that replaces all of the system's roots in a Go program.
const variableTrust = "SSL_CERT_FILE"

// systemRoots are where Linux distributions keep their roots. Source: crypto/x509.
var systemRoots = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
}

// writeTrust writes the certificates that the job trusts, beside the system's roots, to a file in directory, and adds its variable.
func writeTrust(job migratekit.Job, directory string, environment map[string]string) error {
	if len(job.TrustedCAs) == 0 {
		return nil
	}
	bundle := append([]byte{}, job.TrustedCAs...)
	roots := systemRoots
	if given := lookUp(inherit(job), variableTrust); given != "" {
		roots = []string{given}
	}
	for _, path := range roots {
		if content, err := os.ReadFile(filepath.Clean(path)); err == nil {
			bundle = append(append(bundle, '\n'), content...)
			break
		}
	}
	environment[variableTrust] = filepath.Join(directory, "trust.pem")
	if err := os.WriteFile(environment[variableTrust], bundle, 0o600); err != nil {
		return &TemporaryError{err}
	}
	return nil
}
