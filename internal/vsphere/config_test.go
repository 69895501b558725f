package vsphere

import "testing"

func TestParseServer(t *testing.T) {
	t.Parallel()
	for server, want := range map[string]string{
		"vcenter.example.org":             "https://vcenter.example.org/sdk",
		" vcenter.example.org:8443\n":     "https://vcenter.example.org:8443/sdk",
		"https://vcenter.example.org/sdk": "https://vcenter.example.org/sdk",
		"2001:db8::1":                     "https://[2001:db8::1]/sdk",
		"[2001:db8::1]:8443":              "https://[2001:db8::1]:8443/sdk",
		"http://vcenter.example.org":      "",
		"https://u:p@vcenter.example.org": "",
		"https://":                        "",
	} {
		u, err := ParseServer(server)
		if want == "" && err == nil {
			t.Errorf("%q is %s", server, u)
		}
		if want != "" && (err != nil || u.String() != want) {
			t.Errorf("%q is %s, %v", server, u, err)
		}
	}
}
