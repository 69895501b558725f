package vsphere

import "testing"

// A path has one canonical form.
func FuzzCanonicalPath(f *testing.F) {
	for _, path := range []string{"/DC0/vm/web01", "/DC0/vm/a%2fb", "/DC0/vm/a%2Fb", "/DC0/vm/%5c%25", "%", "%2", "%%2f"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		once := CanonicalPath(path)
		if twice := CanonicalPath(once); twice != once {
			t.Errorf("%q becomes %q, and that %q", path, once, twice)
		}
	})
}

// A vCenter's address is refused, or leads to a server.
func FuzzParseServer(f *testing.F) {
	for _, server := range []string{"vcenter.example.org", "https://[::1]:8443/sdk", "fe80::1%eth0", "2001:db8::1", "user:pass@host", "host:99999", "\x00"} {
		f.Add(server)
	}
	f.Fuzz(func(t *testing.T, server string) {
		u, err := ParseServer(server)
		if err != nil {
			return
		}
		if u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
			t.Errorf("%q is %s", server, u)
		}
	})
}
