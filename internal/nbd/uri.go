// Package nbd asks an NBD server about one export: whether it is there, how
// large it is and whether it may be written. It speaks the fixed newstyle
// negotiation of the NBD protocol and transfers no data.
//
// It knows neither Terraform nor vSphere.
package nbd

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// defaultPort is the port that IANA assigned to NBD.
const defaultPort = "10809"

// local is the only address that migratekit connects to.
const local = "127.0.0.1"

// URI names an export: nbd://host[:port]/name, nbds:// for the same over TLS, or
// nbd+unix:///name?socket=path.
type URI struct {
	// Host and Port say where the server listens; both are "" for a socket.
	Host, Port string
	// Socket is the path of a Unix domain socket, "" for TCP.
	Socket string
	// TLS says that the server is spoken to over TLS.
	TLS bool
	// Certificates is a directory with ca-cert.pem, and client-cert.pem and
	// client-key.pem where the server asks for them; "" for what the system
	// trusts.
	Certificates string
	// Export is the name of the export, "" for the server's default one.
	Export string
	text   string
}

// ParseURI reads an NBD URI. Source: the NBD project's text on URIs.
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
			return URI{}, fmt.Errorf("parse NBD URI %q: the parameter %q has no meaning here", s, parameter)
		}
	}
	switch {
	case unix && (uri.Socket == "" || u.Host != ""):
		return URI{}, fmt.Errorf("parse NBD URI %q: want %s:///name?socket=path", s, u.Scheme)
	case unix:
		uri.Port = ""
	case uri.Host == "":
		return URI{}, fmt.Errorf("parse NBD URI %q: it has no host; want %s://host:port/name", s, u.Scheme)
	case uri.Host == "localhost":
		uri.Host = local // and not ::1
	}
	if strings.Contains(uri.Export, ",") {
		return URI{}, fmt.Errorf("parse NBD URI %q: migratekit takes a comma in the name of an export for the end of it", s)
	}
	return uri, nil
}

// endpoint is where to connect, for net.Dial.
func (u URI) endpoint() (network, address string) {
	if u.Socket != "" {
		return "unix", u.Socket
	}
	return "tcp", net.JoinHostPort(u.Host, u.Port)
}

func (u URI) String() string { return u.text }

// Local says whether the server is where migratekit connects: 127.0.0.1.
func (u URI) Local() bool { return u.Host == local }

// Plain is the same export as migratekit asks for it, without TLS.
func (u URI) Plain() URI {
	plain := URI{Host: u.Host, Port: u.Port, Export: u.Export}
	plain.text = (&url.URL{Scheme: "nbd", Host: net.JoinHostPort(u.Host, u.Port), Path: "/" + u.Export}).String()
	return plain
}
