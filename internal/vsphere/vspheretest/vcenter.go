package vspheretest

import (
	"context"
	"crypto/rand"
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

// The account of the embedded vCenter. The password is easy to search for, so that tests can prove it never leaks.
const (
	Username = "migration@vsphere.local"
	Password = "n0where-T0-be-found!"
)

// VCenter is an embedded vCenter with one datacenter, DC0. It is safe for concurrent use.
type VCenter struct {
	URL *url.URL // API address without credentials: https://127.0.0.1:port/sdk

	cert    *certificate
	model   *simulator.Model
	service *simulator.Service
	client  *vim25.Client // in-process: bypasses TLS, counters and interceptors
	server  *http.Server
	served  chan struct{}

	mu           sync.Mutex
	ended        chan struct{} // closed by DropSessions
	tracked      map[types.ManagedObjectReference]*tracking
	missing      map[string]bool // revoked privileges
	denied       map[string]bool // methods that fail with NoPermission
	failing      map[string]int  // by method: number of tasks to fail
	refuseLogins bool
	flagAtOnce   bool
	pageSize     int64
	calls        map[string]int
	answered     int               // bytes
	tokens       map[string]string // of pages, with the session that each is valid in
	maxObjects   int               // of a page, 0 for as many as a call asks for
	directories  map[string]int    // by VM name: how often it was used
	interceptors []*Interceptor
}

// Option configures a VCenter.
type Option func(*VCenter)

// FlagAtOnce makes config.changeTrackingEnabled of a running VM read true right after the reconfigure, before the stun
// that starts CBT. The API allows both, so code must handle both.
func FlagAtOnce() Option { return func(v *VCenter) { v.flagAtOnce = true } }

// Start starts an embedded vCenter on a free loopback port. The caller must Close it.
func Start(options ...Option) (*VCenter, error) {
	return Listen("127.0.0.1:0", options...)
}

// Listen is Start at a given address (host:port).
func Listen(address string, options ...Option) (*VCenter, error) {
	v := &VCenter{
		tracked:     map[types.ManagedObjectReference]*tracking{},
		missing:     map[string]bool{},
		denied:      map[string]bool{},
		failing:     map[string]int{},
		calls:       map[string]int{},
		tokens:      map[string]string{},
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
	if err := Create(v.model); err != nil {
		return nil, fmt.Errorf("create model: %w", err)
	}
	v.service = v.model.Service
	if instance, ok := v.service.Context.Map.Get(vim25.ServiceInstance).(*simulator.ServiceInstance); ok {
		instance.Content.About.InstanceUuid = rand.Text() // the simulator gives all of them the same
	}
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

// Create creates a simulated inventory. Use it instead of the model's own method, which writes package variables.
func Create(model *simulator.Model) error {
	creating.Lock()
	defer creating.Unlock()
	return model.Create()
}

func (v *VCenter) serve(address string) error {
	listener, err := listen(address)
	if err != nil {
		return err
	}
	v.URL = &url.URL{Scheme: "https", Host: listener.Addr().String(), Path: vim25.Path}
	withUser := *v.URL
	withUser.User = url.UserPassword(Username, Password)
	v.service.RegisterSDK(v.service.Context.Map)
	v.service.Listen = &withUser // the simulator checks passwords only if this has one
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

func (v *VCenter) stop() error {
	v.mu.Lock()
	server, served := v.server, v.served
	v.mu.Unlock()
	err := server.Close()
	<-served
	return err
}

// ForgetTasks makes vCenter forget its tasks, as a restart does. They continue, but their results are lost.
func (v *VCenter) ForgetTasks() {
	ctx := v.context()
	if manager, ok := ctx.Map.Get(*v.client.ServiceContent.TaskManager).(*simulator.TaskManager); ok {
		for _, task := range slices.Clone(manager.RecentTask) {
			ctx.Map.Remove(ctx, task)
		}
	}
}

// NotReady drops the connections of the next calls, as a vCenter does while it starts.
func (v *VCenter) NotReady(calls int) *Interceptor { return v.DropBefore("", 0, calls) }

// Restart simulates a restart of vCenter: connections and sessions end, tasks on the hosts continue.
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

// Close stops the server, drops open connections and removes the simulator's files.
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

// CA returns the certificate to trust, in PEM.
func (v *VCenter) CA() []byte { return v.cert.PEM }

// Thumbprint returns the SHA-256 fingerprint of the server's certificate.
func (v *VCenter) Thumbprint() string { return v.cert.Thumbprint }

// RefuseLogins sets whether logins fail with InvalidLogin.
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

// Revoke removes privileges from the account, on every object.
func (v *VCenter) Revoke(privileges ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range privileges {
		v.missing[p] = true
	}
}

// Grant restores revoked privileges.
func (v *VCenter) Grant(privileges ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range privileges {
		delete(v.missing, p)
	}
}

// DenyTasks makes a method fail with NoPermission although privilege checks pass, as after a role change.
func (v *VCenter) DenyTasks(method string, deny bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.denied[method] = deny
}

// FailTasks makes the next tasks of a method start, do nothing and end with the fault SystemError.
func (v *VCenter) FailTasks(method string, times int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failing[method] = times
}

// fails reports whether a task that starts now must fail. v.mu must be held.
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

// SetPageSize sets how many bytes of a disk one QueryChangedDiskAreas call covers.
func (v *VCenter) SetPageSize(bytes int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pageSize = bytes
}

// Sessions returns the number of sessions.
func (v *VCenter) Sessions() int { return len(v.sessionKeys()) }

// DropSessions ends all sessions, as an administrator or an idle timeout would.
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

// sessionsEnd returns a channel that the next DropSessions closes.
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

// context returns what the simulator needs for a change outside a request.
func (v *VCenter) context() *simulator.Context {
	ctx := *v.service.Context
	ctx.Context = context.Background()
	ctx.Session = &simulator.Session{Registry: simulator.NewRegistry(), Map: ctx.Map}
	return &ctx
}

// AddFolder creates a VM folder such as "/DC0/vm/prod/web", and its parents.
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

// Machines returns all VMs in the order of their references.
func (v *VCenter) Machines() []*Machine {
	var machines []*Machine
	for _, entity := range v.service.Context.Map.All("VirtualMachine") {
		machines = append(machines, &Machine{vcenter: v, ref: entity.Reference()})
	}
	slices.SortFunc(machines, func(a, b *Machine) int { return len(a.ref.Value) - len(b.ref.Value) })
	return machines
}
