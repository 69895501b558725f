// Package nbd queries one export of an NBD server: whether it exists, its size and whether it is writable. It uses
// the fixed newstyle negotiation of the NBD protocol and transfers no data.
//
// It knows neither Terraform nor vSphere.
package nbd

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// defaultPort is IANA's port for NBD.
const defaultPort = "10809"

// local is the only address that migratekit connects to.
const local = "127.0.0.1"

// URI names an export: nbd://host[:port]/name, nbds:// for TLS, or nbd+unix:///name?socket=path.
type URI struct {
	// Host and Port are "" for a socket.
	Host, Port string
	// Socket is the path of a Unix domain socket, "" for TCP.
	Socket string
	// TLS is true for nbds:// and nbds+unix://.
	TLS bool
	// Certificates is a directory with ca-cert.pem, plus client-cert.pem and client-key.pem if the server requires
	// them; "" means the system's root CAs.
	Certificates string
	// Export is the name of the export, "" for the server's default export.
	Export string
	text   string
}

// ParseURI parses an NBD URI. Source: the NBD project's URI specification.
func ParseURI(s string) (URI, error) {
	u, err := url.Parse(s)
	if err != nil {
		return URI{}, fmt.Errorf("parse NBD URI %q: %w", s, err)
	}
	scheme, unix := strings.CutSuffix(u.Scheme, "+unix")
	if (scheme != "nbd" && scheme != "nbds") || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return URI{}, fmt.Errorf("parse NBD URI %q: want nbd://host:port/name", s)
	}
	query := u.Query()
	uri := URI{
		Host: u.Hostname(), Port: cmp.Or(u.Port(), defaultPort), Socket: query.Get("socket"), TLS: scheme == "nbds",
		Certificates: query.Get("tls-certificates"), Export: strings.TrimPrefix(u.Path, "/"), text: s,
	}
	for parameter := range query {
		known := (parameter == "socket" && unix) || (parameter == "tls-certificates" && uri.TLS)
		if !known {
			return URI{}, fmt.Errorf("parse NBD URI %q: the parameter %q is not supported here", s, parameter)
		}
	}
	switch {
	case unix && (uri.Socket == "" || u.Host != ""):
		return URI{}, fmt.Errorf("parse NBD URI %q: want %s:///name?socket=path", s, u.Scheme)
	case unix:
		uri.Port = ""
	case uri.Host == "":
		return URI{}, fmt.Errorf("parse NBD URI %q: it has no host; want %s://host:port/name", s, u.Scheme)
	case strings.EqualFold(uri.Host, "localhost"):
		uri.Host = local // localhost may also be ::1
	}
	if port, err := strconv.ParseUint(uri.Port, 10, 16); uri.Port != "" && (err != nil || port == 0) {
		return URI{}, fmt.Errorf("parse NBD URI %q: the port is not between 1 and 65535", s)
	} else if uri.Port != "" {
		uri.Port = strconv.FormatUint(port, 10)
	}
	if strings.ContainsFunc(uri.Export, unicode.IsControl) {
		return URI{}, fmt.Errorf("parse NBD URI %q: the export name contains a control character", s)
	}
	if strings.Contains(uri.Export, ",") {
		return URI{}, fmt.Errorf("parse NBD URI %q: the export name contains a comma, and migratekit would cut it off there", s)
	}
	return uri, nil
}

// endpoint returns the arguments for net.Dial.
func (u URI) endpoint() (network, address string) {
	if u.Socket != "" {
		return "unix", u.Socket
	}
	return "tcp", net.JoinHostPort(u.Host, u.Port)
}

func (u URI) String() string { return u.text }

// Local reports whether the host is 127.0.0.1, the only address that migratekit connects to.
func (u URI) Local() bool { return u.Host == local }

// Plain returns the same export without TLS, as migratekit requests it.
func (u URI) Plain() URI {
	plain := URI{Host: u.Host, Port: u.Port, Export: u.Export}
	plain.text = (&url.URL{Scheme: "nbd", Host: net.JoinHostPort(u.Host, u.Port), Path: "/" + u.Export}).String()
	return plain
}
