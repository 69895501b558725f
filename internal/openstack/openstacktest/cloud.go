// Package openstacktest is an OpenStack for tests: it refuses what the real one refuses, with its status codes, keeps quotas, attachments and states,
// and counts calls. It has Keystone, Cinder, Nova, Neutron and the metadata service, as far as a migration uses them.
package openstacktest

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// The account that the cloud knows.
const (
	UserID     = "5f0c1c2d7e4b4a0f9d3e6b8a7c1d2e3f"
	UserName   = "migrator"
	Password   = "0penstack-s3cret"
	Domain     = "heat"
	DomainID   = "default"
	ProjectID  = "0f7c1b2a3d4e5f60718293a4b5c6d7e8"
	Project    = "landing"
	Region     = "RegionOne"
	Credential = "c0ffee00c0ffee00c0ffee00c0ffee00"
	// CredentialName is the name of the application credential.
	CredentialName   = "vma"
	CredentialSecret = "cr3dential-s3cret"
)

// Cloud is a running OpenStack.
type Cloud struct {
	server *httptest.Server

	mu      sync.Mutex
	volumes []*Volume
	servers []*Server
	ports   []*Port
	quotas  Quotas
	tokens  map[string]bool
	calls   map[string]int
	status  int // of every answer, 0 for the right one
	refused []refusal
	holds   []*hold
	page    int
	made    int    // IDs
	missing string // type of a service that the catalog does not have
	items   map[Kind][]item
	// forbidden lists are refused with 403.
	forbidden map[Kind]bool
}

// Start starts a cloud.
func Start() *Cloud { return start(httptest.NewServer) }

// StartTLS starts a cloud whose certificate only CA verifies.
func StartTLS() *Cloud { return start(httptest.NewTLSServer) }

// CA is the certificate to trust, in PEM.
func (c *Cloud) CA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.server.Certificate().Raw})
}

func start(serve func(http.Handler) *httptest.Server) *Cloud {
	c := &Cloud{
		tokens: map[string]bool{}, calls: map[string]int{}, page: 1000, items: map[Kind][]item{}, forbidden: map[Kind]bool{}, quotas: unlimited,
		servers: []*Server{{ID: Helper, Name: "helper", Status: "ACTIVE"}},
	}
	c.Add(CinderZone, "nova", "").Add(NovaZone, "nova", "").Add(VolumeType, "7a1c1b0e-0f57-4c55-9a0f-4d8f3f6c1d11", "ssd")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /identity/v3/{$}", c.versions)
	mux.HandleFunc("GET /identity/{$}", c.versions)
	mux.HandleFunc("POST /identity/v3/auth/tokens", c.authenticate)
	c.serveVolumes(mux)
	c.serveServers(mux)
	c.servePorts(mux)
	mux.HandleFunc("GET /openstack/latest/meta_data.json", metadata)
	mux.HandleFunc("GET /network/{$}", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"versions": []any{map[string]any{
			"id": "v2.0", "status": "CURRENT", "links": []any{map[string]any{"rel": "self", "href": c.server.URL + "/network/v2.0/"}},
		}}})
	})
	c.serveInventory(mux)
	c.server = serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.calls[r.Method+" "+r.URL.Path]++
		status := c.status
		for i, each := range c.refused {
			if status == 0 && each.left != 0 && each.method == r.Method && each.matches(r.URL.Path) {
				status = each.status
				c.refused[i].left--
			}
		}
		c.mu.Unlock()
		if status != 0 {
			refuse(w, status, "the cloud is not well")
			return
		}
		c.wait(r, func() { mux.ServeHTTP(w, r) })
	}))
	return c
}

// Close stops the cloud.
func (c *Cloud) Close() { c.server.Close() }

// AuthURL is the address of Keystone.
func (c *Cloud) AuthURL() string { return c.server.URL + "/identity/v3" }

// Environment returns the variables of a login with a password.
func (c *Cloud) Environment() map[string]string {
	return map[string]string{
		"OS_AUTH_URL": c.AuthURL(), "OS_USERNAME": UserName, "OS_PASSWORD": Password, "OS_DOMAIN_NAME": Domain, "OS_PROJECT_NAME": Project,
		"OS_REGION_NAME": Region,
	}
}

// Answer makes every call end with a status code; 0 ends that.
func (c *Cloud) Answer(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

// refusal is a call that fails.
type refusal struct {
	method, path string
	status       int
	left         int // how often, negative for always
}

func (r refusal) matches(path string) bool {
	return strings.HasSuffix(path, r.path) || (strings.HasSuffix(r.path, "/") && strings.Contains(path, r.path))
}

// Refuse makes the calls of a method end with a status code if their path ends with a text, or contains one that ends with a slash; 0 ends that.
func (c *Cloud) Refuse(method, path string, status int) { c.RefuseTimes(method, path, status, -1) }

// RefuseTimes is Refuse for a number of calls.
func (c *Cloud) RefuseTimes(method, path string, status, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = slices.DeleteFunc(c.refused, func(r refusal) bool { return r.method == method && r.path == path })
	if status != 0 {
		c.refused = append(c.refused, refusal{method, path, status, times})
	}
}

// SetPageSize bounds the volumes of a page.
func (c *Cloud) SetPageSize(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.page = n
}

// ExpireTokens ends all tokens.
func (c *Cloud) ExpireTokens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tokens)
}

// Calls returns how often each address was called, by method and path.
func (c *Cloud) Calls() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

func (c *Cloud) versions(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"version": map[string]any{"id": "v3.14", "status": "stable", "links": []any{map[string]any{"rel": "self", "href": c.AuthURL() + "/"}}}})
}

// loginRequest is the body of a login.
type loginRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string `json:"methods"`
			Password struct {
				User user `json:"user"`
			} `json:"password"`
			ApplicationCredential struct {
				ID     string `json:"id"`
				Name   string `json:"name"`
				Secret string `json:"secret"`
				User   user   `json:"user"`
			} `json:"application_credential"`
		} `json:"identity"`
		Scope struct {
			Project struct {
				ID     string `json:"id"`
				Name   string `json:"name"`
				Domain domain `json:"domain"`
			} `json:"project"`
		} `json:"scope"`
	} `json:"auth"`
}

type user struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Password string `json:"password"`
	Domain   domain `json:"domain"`
}

type domain struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (d domain) ours() bool { return d.ID == DomainID || (d.ID == "" && d.Name == Domain) }

func (u user) ours() bool {
	return u.ID == UserID || (u.ID == "" && u.Name == UserName && u.Domain.ours())
}

// accepts reports whether Keystone knows the account and the project.
func (r loginRequest) accepts() bool {
	identity, project := r.Auth.Identity, r.Auth.Scope.Project
	for _, method := range identity.Methods {
		switch method {
		case "password":
			if !identity.Password.User.ours() || identity.Password.User.Password != Password ||
				(project.ID != ProjectID && (project.ID != "" || project.Name != Project || !project.Domain.ours())) {
				return false
			}
		case "application_credential": // it is for one project, so a scope is refused
			credential := identity.ApplicationCredential
			known := credential.ID == Credential || (credential.ID == "" && credential.Name == CredentialName && credential.User.ours())
			if !known || credential.Secret != CredentialSecret || project.ID+project.Name != "" {
				return false
			}
		default:
			return false
		}
	}
	return len(identity.Methods) == 1
}

func (c *Cloud) authenticate(w http.ResponseWriter, r *http.Request) {
	var request loginRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if !request.accepts() {
		refuse(w, http.StatusUnauthorized, "The request you have made requires authentication.")
		return
	}
	c.mu.Lock()
	token := fmt.Sprintf("token-%d", len(c.calls)+len(c.tokens)+int(time.Now().UnixNano()%1e9))
	c.tokens[token] = true
	c.mu.Unlock()
	endpoint := func(path string) []any {
		return []any{map[string]any{"id": "e", "interface": "public", "region": Region, "region_id": Region, "url": c.server.URL + path}}
	}
	w.Header().Set("X-Subject-Token", token)
	answer(w, http.StatusCreated, map[string]any{"token": map[string]any{
		"methods": request.Auth.Identity.Methods, "expires_at": time.Now().Add(time.Hour).UTC().Format("2006-01-02T15:04:05.000000Z"),
		"user":    map[string]any{"id": UserID, "name": UserName, "domain": map[string]any{"id": DomainID, "name": Domain}},
		"project": map[string]any{"id": ProjectID, "name": Project, "domain": map[string]any{"id": DomainID, "name": Domain}},
		"catalog": c.without([]any{
			map[string]any{"id": "k", "type": "identity", "name": "keystone", "endpoints": endpoint("/identity/v3")},
			map[string]any{"id": "c", "type": "block-storage", "name": "cinder", "endpoints": endpoint("/volume/v3/" + ProjectID)},
			map[string]any{"id": "n", "type": "compute", "name": "nova", "endpoints": endpoint("/compute/v2.1")},
			map[string]any{"id": "q", "type": "network", "name": "neutron", "endpoints": endpoint("/network")},
		}),
	}})
}

// RemoveEndpoint takes a type of service out of the catalog.
func (c *Cloud) RemoveEndpoint(service string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missing = service
}

func (c *Cloud) without(catalog []any) []any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.DeleteFunc(catalog, func(each any) bool {
		entry, _ := each.(map[string]any)
		return entry["type"] == c.missing
	})
}

// authorized refuses calls without a valid token, and for other projects.
func (c *Cloud) authorized(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		valid := c.tokens[r.Header.Get("X-Auth-Token")]
		c.mu.Unlock()
		switch {
		case !valid:
			refuse(w, http.StatusUnauthorized, "The request you have made requires authentication.")
		case strings.HasPrefix(r.URL.Path, "/volume/") && r.PathValue("project") != ProjectID:
			refuse(w, http.StatusBadRequest, "Malformed request url")
		default:
			next(w, r)
		}
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// refuse answers as OpenStack's services do.
func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"error": map[string]any{"code": status, "title": http.StatusText(status), "message": message}})
}

// Hold blocks the next call of a method whose path ends with a text, or contains one that ends with a slash. The call is served when release is called, even if
// its client is gone by then; with after, it is served first, and only the answer is held.
func (c *Cloud) Hold(method, path string, after bool) (reached <-chan struct{}, release func()) {
	held := &hold{refusal: refusal{method: method, path: path}, after: after, reached: make(chan struct{}), open: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holds = append(c.holds, held)
	return held.reached, sync.OnceFunc(func() { close(held.open) })
}

type hold struct {
	refusal
	after         bool
	reached, open chan struct{}
}

// wait blocks a call that is to be held.
func (c *Cloud) wait(r *http.Request, serve func()) {
	c.mu.Lock()
	i := slices.IndexFunc(c.holds, func(h *hold) bool { return h.method == r.Method && h.matches(r.URL.Path) })
	var held *hold
	if i >= 0 {
		held = c.holds[i]
		c.holds = slices.Delete(c.holds, i, i+1)
	}
	c.mu.Unlock()
	if held == nil {
		serve()
		return
	}
	if held.after {
		serve()
	}
	close(held.reached)
	<-held.open
	if !held.after {
		serve()
	}
}
