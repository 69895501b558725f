package vspheretest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/types"
)

// The account that the embedded vCenter knows. The password is easy to search
// for, so that a test can prove that it is nowhere.
const (
	Username = "migration@vsphere.local"
	Password = "n0where-T0-be-found!"
)

// VCenter is one embedded vCenter with one datacenter, DC0. All methods may be
// called from any goroutine.
type VCenter struct {
	// URL is the address of the API without credentials: https://127.0.0.1:port/sdk.
	URL *url.URL

	cert    *certificate
	model   *simulator.Model
	service *simulator.Service
	client  *vim25.Client // in the process, past TLS, counters and interceptors
	server  *http.Server
	served  chan struct{}

	mu           sync.Mutex
	ended        chan struct{} // closed when the sessions of now are ended
	tracked      map[types.ManagedObjectReference]*tracking
	missing      map[string]bool // privileges that the account has not
	denied       map[string]bool // methods that fail with NoPermission
	failing      map[string]int  // how many tasks of a method are to fail
	refuseLogins bool
	flagAtOnce   bool
	pageSize     int64
	calls        map[string]int
	directories  map[string]int // VM name to how often it was used
	interceptors []*Interceptor
}

// Option changes how a VCenter is made.
type Option func(*VCenter)

// FlagAtOnce makes config.changeTrackingEnabled of a running VM read true right
// after the reconfigure, although tracking starts with the next stun only. The
// API's text allows both, so code must be right with either.
func FlagAtOnce() Option { return func(v *VCenter) { v.flagAtOnce = true } }

// Start makes an embedded vCenter that listens on a free loopback port. The
// caller must Close it.
func Start(options ...Option) (*VCenter, error) {
	return Listen("127.0.0.1:0", options...)
}

// Listen is Start at the address that is given (host:port).
func Listen(address string, options ...Option) (*VCenter, error) {
	v := &VCenter{
		tracked:     map[types.ManagedObjectReference]*tracking{},
		missing:     map[string]bool{},
		denied:      map[string]bool{},
		failing:     map[string]int{},
		calls:       map[string]int{},
		directories: map[string]int{},
		pageSize:    256 << 20,
		served:      make(chan struct{}),
		ended:       make(chan struct{}),
	}
	for _, option := range options {
		option(v)
	}
	var err error
	if v.cert, err = newCertificate(); err != nil {
		return nil, err
	}
	v.model = simulator.VPX()
	v.model.Machine = 0
	v.model.ClusterHost = 1
	creating.Lock() // the simulator writes variables of its packages meanwhile
	err = v.model.Create()
	creating.Unlock()
	if err != nil {
		return nil, fmt.Errorf("create model: %w", err)
	}
	v.service = v.model.Service
	if v.client, err = vim25.NewClient(context.Background(), v.service); err != nil {
		v.model.Remove()
		return nil, fmt.Errorf("create client: %w", err)
	}
	v.service.Context.Map.Handler = v.handle
	if err := v.serve(address); err != nil {
		v.model.Remove()
		return nil, err
	}
	return v, nil
}

var creating sync.Mutex

func (v *VCenter) serve(address string) error {
	listener, err := listen(address)
	if err != nil {
		return err
	}
	v.URL = &url.URL{Scheme: "https", Host: listener.Addr().String(), Path: vim25.Path}
	withUser := *v.URL
	withUser.User = url.UserPassword(Username, Password)
	v.service.RegisterSDK(v.service.Context.Map)
	v.service.Listen = &withUser // the simulator checks a password only where it has one
	manager := v.service.Context.Map.SessionManager()
	manager.ServiceHostName = v.URL.Host
	manager.ValidLogin = v.validLogin
	v.answer(listener)
	return nil
}

func listen(address string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}

// answer serves calls until the server is closed.
func (v *VCenter) answer(listener net.Listener) {
	server, served := &http.Server{
		Handler:           v.intercept(v.service.ServeMux),
		ReadHeaderTimeout: 10 * time.Second,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{v.cert.tls}, MinVersion: tls.VersionTLS12},
		ErrorLog:          errorLog(),
	}, make(chan struct{})
	v.mu.Lock()
	v.server, v.served = server, served
	v.mu.Unlock()
	go func() {
		defer close(served)
		_ = server.ServeTLS(listener, "", "")
	}()
}

// stop drops all connections and takes no more.
func (v *VCenter) stop() error {
	v.mu.Lock()
	server, served := v.server, v.served
	v.mu.Unlock()
	err := server.Close()
	<-served
	return err
}

// ForgetTasks is what a restart does to the tasks that vCenter knew: they go on,
// and nobody is told how they end.
func (v *VCenter) ForgetTasks() {
	ctx := v.context()
	if manager, ok := ctx.Map.Get(*v.client.ServiceContent.TaskManager).(*simulator.TaskManager); ok {
		for _, task := range slices.Clone(manager.RecentTask) {
			ctx.Map.Remove(ctx, task)
		}
	}
}

// NotReady cuts the connections of that many calls, as a vCenter does that is
// starting.
func (v *VCenter) NotReady(calls int) *Interceptor { return v.DropBefore("", 0, calls) }

// Restart is what a restart of vCenter looks like from outside: connections and
// sessions are gone, tasks on the hosts go on.
func (v *VCenter) Restart() error {
	if err := v.stop(); err != nil {
		return err
	}
	v.DropSessions()
	listener, err := listen(v.URL.Host)
	if err != nil {
		return err
	}
	v.answer(listener)
	return nil
}

// Close stops the server, dropping connections that are open, and removes the
// files of the simulator.
func (v *VCenter) Close() error {
	v.mu.Lock()
	for _, i := range v.interceptors {
		i.Release()
	}
	v.mu.Unlock()
	err := v.stop()
	v.model.Remove()
	return err
}

// CA is the certificate that signs the server's, in PEM.
func (v *VCenter) CA() []byte { return v.cert.PEM }

// Thumbprint is the SHA-256 fingerprint of the server's certificate.
func (v *VCenter) Thumbprint() string { return v.cert.Thumbprint }

// RefuseLogins makes every further login fail with InvalidLogin.
func (v *VCenter) RefuseLogins(refuse bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refuseLogins = refuse
}

func (v *VCenter) validLogin(req *types.Login) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.refuseLogins && req.UserName == Username && req.Password == Password
}

// Revoke takes privileges from the account, on every object.
func (v *VCenter) Revoke(privileges ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range privileges {
		v.missing[p] = true
	}
}

// Grant gives privileges back that Revoke took.
func (v *VCenter) Grant(privileges ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range privileges {
		delete(v.missing, p)
	}
}

// DenyTasks makes a method fail with NoPermission although the account seems to
// have the privilege, as a role that was changed in between does.
func (v *VCenter) DenyTasks(method string, deny bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.denied[method] = deny
}

// FailTasks makes that many tasks of a method, once they were started, end with
// the fault SystemError in place of their work.
func (v *VCenter) FailTasks(method string, times int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failing[method] = times
}

// fails says whether a task that starts now is to fail. Called with v.mu held.
func (v *VCenter) fails(method string) bool {
	if v.failing[method] == 0 {
		return false
	}
	v.failing[method]--
	return true
}

func (v *VCenter) lacks(privilege string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.missing[privilege]
}

// SetPageSize sets how many bytes of a disk one QueryChangedDiskAreas covers.
func (v *VCenter) SetPageSize(bytes int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pageSize = bytes
}

// Sessions counts the sessions that are logged in now.
func (v *VCenter) Sessions() int { return len(v.sessionKeys()) }

// DropSessions ends every session as an administrator or an idle timeout would.
func (v *VCenter) DropSessions() {
	ctx := v.context()
	for _, key := range v.sessionKeys() {
		v.service.Context.Map.SessionManager().TerminateSession(ctx, &types.TerminateSession{SessionId: []string{key}})
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.ended)
	v.ended = make(chan struct{})
}

// sessionsEnd is closed when the sessions of now are ended from outside.
func (v *VCenter) sessionsEnd() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ended
}

func (v *VCenter) sessionKeys() []string {
	ctx := v.context()
	manager, ok := ctx.Session.Get(*v.client.ServiceContent.SessionManager).(*simulator.SessionManager)
	if !ok {
		return nil
	}
	keys := make([]string, 0, len(manager.SessionList))
	for _, s := range manager.SessionList {
		keys = append(keys, s.Key)
	}
	return keys
}

// context is what the simulator wants for a change from outside of a request.
func (v *VCenter) context() *simulator.Context {
	ctx := *v.service.Context
	ctx.Context = context.Background()
	ctx.Session = &simulator.Session{Registry: simulator.NewRegistry(), Map: ctx.Map}
	return &ctx
}

// AddFolder makes a VM folder and those above it: "/DC0/vm/prod/web".
func (v *VCenter) AddFolder(path string) error {
	_, err := v.folder(path)
	return err
}

func (v *VCenter) folder(path string) (*object.Folder, error) {
	index := object.NewSearchIndex(v.client)
	ctx := context.Background()
	found, err := index.FindByInventoryPath(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("find folder %q: %w", path, err)
	}
	if found != nil {
		return object.NewFolder(v.client, found.Reference()), nil
	}
	if path == "/" {
		return nil, fmt.Errorf("no root folder")
	}
	parent, err := v.folder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	return parent.CreateFolder(ctx, filepath.Base(path))
}

// Machines lists the VMs in the order of their references.
func (v *VCenter) Machines() []*Machine {
	var machines []*Machine
	for _, entity := range v.service.Context.Map.All("VirtualMachine") {
		machines = append(machines, &Machine{vcenter: v, ref: entity.Reference()})
	}
	slices.SortFunc(machines, func(a, b *Machine) int { return len(a.ref.Value) - len(b.ref.Value) })
	return machines
}
