// Package nbd asks an NBD server about one export: whether it is there, how
// large it is and whether it may be written. It speaks the fixed newstyle
// negotiation of the NBD protocol and transfers no data.
//
// It knows neither Terraform nor vSphere.
package nbd

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// defaultPort is the port that IANA assigned to NBD.
const defaultPort = "10809"

// local is the only address that migratekit connects to.
const local = "127.0.0.1"

// URI names an export: nbd://host[:port]/name.
type URI struct {
	// Host and Port say where the server listens.
	Host, Port string
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
	switch u.Scheme {
	case "nbd":
	case "nbds", "nbd+unix", "nbds+unix":
		return URI{}, fmt.Errorf("parse NBD URI %q: the scheme %s cannot be used, because migratekit connects by plain TCP; "+
			"let a tunnel on this machine carry TLS and name its port here: nbd://127.0.0.1:port/name", s, u.Scheme)
	default:
		return URI{}, fmt.Errorf("parse NBD URI %q: want nbd://host:port/name", s)
	}
	if u.Hostname() == "" {
		return URI{}, fmt.Errorf("parse NBD URI %q: it has no host; want nbd://host:port/name", s)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return URI{}, fmt.Errorf("parse NBD URI %q: want nbd://host:port/name and nothing else", s)
	}
	if strings.Contains(u.Path, ",") {
		return URI{}, fmt.Errorf("parse NBD URI %q: migratekit takes a comma in the name of an export for the end of it", s)
	}
	host := u.Hostname()
	if host == "localhost" {
		host = local // and not ::1
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	return URI{Host: host, Port: port, Export: strings.TrimPrefix(u.Path, "/"), text: s}, nil
}

// Address is host:port.
func (u URI) Address() string { return net.JoinHostPort(u.Host, u.Port) }

func (u URI) String() string { return u.text }

// Local says whether the server is where migratekit connects: 127.0.0.1.
func (u URI) Local() bool { return u.Host == local }
