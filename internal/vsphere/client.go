package vsphere

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	// dialTimeout limits a connection attempt, including the login.
	dialTimeout = 30 * time.Second
	// contactTimeout bounds how long the first contact and the login are tried again while vCenter is busy.
	contactTimeout = time.Minute
	// loginPoll is how often a cancelled call looks whether a login that was sent has been answered.
	loginPoll = 50 * time.Millisecond
	// keepAliveEvery must be below vCenter's idle limit, 30 minutes by default.
	keepAliveEvery = 5 * time.Minute
)

// Client is one session with one vCenter, safe for concurrent use. It connects on the first call, keeps the
// session alive and renews it if vCenter dropped it; Close ends it.
type Client struct {
	config Config
	log    *slog.Logger
	url    *url.URL

	reads      *batcher[string, *VM]            // by managed object ID
	lookups    *batcher[string, string]         // inventory path to managed object ID
	privileges *batcher[privilegesOn, []string] // returns the missing privileges
	paths      *paths
	tasks      *taskWaits

	mu      sync.Mutex
	attempt *attempt
	closed  bool
	closing chan struct{} // closed by Close
	stop    func()        // stops the keep-alive
}

// attempt is one connection attempt, shared by all callers that wait for it. It outlives the call that started
// it: if vCenter accepts the login, Close must know the session to log out.
type attempt struct {
	done     chan struct{}
	vim      *vim25.Client
	renewer  *renewer
	userName string // written before done is closed
	err      error
	// loggingIn is true once the login request was sent.
	loggingIn atomic.Bool
	// abandoned is true if the call that started it gave up; guarded by Client.mu.
	abandoned bool
}

// NewClient validates the configuration. It does not connect.
func NewClient(config Config) (*Client, error) {
	u, err := ParseServer(config.Server)
	if err != nil {
		return nil, err
	}
	if _, err := config.tlsConfig(); err != nil {
		return nil, err
	}
	log := config.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Client{config: config, log: log, url: u, closing: make(chan struct{}), paths: &paths{moids: map[string]string{}}}
	c.reads = newBatcher(c, c.readVMs)
	c.lookups = newBatcher(c, c.lookUp)
	c.privileges = newBatcher(c, c.missingPrivileges)
	c.tasks = newTaskWaits(c)
	return c, nil
}

// Login is what another program needs to log in to the same vCenter.
type Login struct {
	// Endpoint is a host, or host:port.
	Endpoint           string
	Username, Password string
}

// Login returns the credential that this client was configured with.
func (c *Client) Login() Login {
	return Login{Endpoint: c.url.Host, Username: c.config.Username, Password: c.config.Password}
}

// InstanceUUID returns the UUID that vCenter was installed with. It is empty for an ESXi host.
func (c *Client) InstanceUUID(ctx context.Context) (string, error) {
	vim, err := c.connect(ctx)
	if err != nil {
		return "", err
	}
	return vim.ServiceContent.About.InstanceUuid, nil
}

// ErrClosed is returned for calls after Close.
var ErrClosed = errors.New("the connection to vCenter was closed")

// connect returns the session's client and connects on first use. The next call retries a failed attempt,
// except after a refused password: repeated logins would lock the account.
func (c *Client) connect(ctx context.Context) (*vim25.Client, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, &ConnectError{Server: c.url.Host, Err: err}
		}
		a, begun, err := c.join(ctx)
		if err != nil {
			return nil, err
		}
		if err := a.wait(ctx); err != nil {
			if begun {
				c.abandon(a)
			}
			return nil, &ConnectError{Server: c.url.Host, Err: err}
		}
		if a.err == nil {
			return a.vim, nil
		}
		if begun || isRefused(a.err) || !c.wasAbandoned(a) {
			return nil, &ConnectError{Server: c.url.Host, Err: a.err}
		}
		// The call that started the attempt gave up: start another attempt.
	}
}

// wait returns when the attempt or the context ends. A cancelled call still waits for a login that was sent:
// the process may exit next, and the session would never be logged out.
func (a *attempt) wait(ctx context.Context) error {
	select {
	case <-a.done:
		return nil
	default:
	}
	select {
	case <-a.done:
		return nil
	case <-ctx.Done():
	}
	for a.loggingIn.Load() && errors.Is(ctx.Err(), context.Canceled) { // within dialTimeout
		select {
		case <-a.done:
			return nil
		case <-time.After(loginPoll):
		}
	}
	return ctx.Err()
}

func (c *Client) abandon(a *attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.abandoned = true
}

func (c *Client) wasAbandoned(a *attempt) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return a.abandoned
}

// join returns the current or successful attempt, or starts one.
func (c *Client) join(ctx context.Context) (a *attempt, begun bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false, ErrClosed
	}
	if c.attempt == nil {
		begun = true
		c.attempt = &attempt{done: make(chan struct{})}
		go c.dialInto(context.WithoutCancel(ctx), c.attempt)
	}
	return c.attempt, begun, nil
}

func isRefused(err error) bool {
	_, ok := errors.AsType[*InvalidLoginError](err)
	return ok
}

func (c *Client) dialInto(ctx context.Context, a *attempt) {
	defer close(a.done)
	started := time.Now()
	a.err = c.dialPatiently(ctx, a)
	if a.err == nil {
		c.log.InfoContext(ctx, "Logged in to vCenter", "server", c.url.Host, "duration_ms", milliseconds(started))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case isRefused(a.err):
	case a.err != nil:
		c.attempt = nil
	default:
		alive, stop := context.WithCancel(ctx)
		c.stop = stop
		go c.keepAlive(alive, a.vim)
	}
}

// dialPatiently tries again for a while if vCenter is busy or starting.
func (c *Client) dialPatiently(ctx context.Context, a *attempt) error {
	deadline := time.Now().Add(contactTimeout)
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		dialing, cancel := context.WithTimeout(ctx, dialTimeout)
		err := withCause(dialing, typed(c.dial(dialing, a)))
		cancel()
		if err == nil || !isBusy(err) || c.isClosed() || c.wasAbandoned(a) {
			return err
		}
		a.loggingIn.Store(false)
		if time.Now().Add(pause).After(deadline) {
			return &BusyError{err}
		}
		select {
		case <-time.After(pause):
		case <-c.closing:
			return err
		}
	}
}

// BusyError is returned if vCenter could be reached, but accepted no session for a minute.
type BusyError struct{ Err error }

func (e *BusyError) Error() string { return "vCenter is busy or starting: " + e.Err.Error() }
func (e *BusyError) Unwrap() error { return e.Err }

// isBusy reports whether an error at the first contact may pass: a proxy's 503, a connection that was reset, or a time-out. A refused
// connection or an unknown host does not.
func isBusy(err error) bool {
	if _, unavailable := errors.AsType[*UnavailableError](err); unavailable {
		return true
	}
	network, ok := errors.AsType[net.Error](err)
	return (ok && network.Timeout()) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded)
}

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *Client) dial(ctx context.Context, a *attempt) error {
	tlsConfig, err := c.config.tlsConfig()
	if err != nil {
		return err
	}
	soapClient := soap.NewClient(c.url, c.config.Insecure)
	soapClient.UserAgent = c.config.UserAgent
	transport := soapClient.DefaultTransport()
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}).DialContext
	transport.TLSClientConfig = tlsConfig
	transport.DialTLSContext = nil // use TLSClientConfig instead of govmomi's own verification
	transport.MaxIdleConnsPerHost = 32
	if a.vim, err = c.newVimClient(ctx, soapClient); err != nil {
		return err
	}
	manager := *a.vim.ServiceContent.SessionManager
	login := func(ctx context.Context, rt soap.RoundTripper) (string, error) {
		res, err := methods.Login(ctx, rt, &types.Login{
			This: manager, UserName: c.config.Username, Password: c.config.Password, Locale: session.Locale,
		})
		if err != nil {
			return "", err
		}
		return res.Returnval.UserName, nil
	}
	a.loggingIn.Store(true)
	if a.userName, err = login(ctx, a.vim.RoundTripper); err != nil {
		return err
	}
	a.renewer = &renewer{next: a.vim.RoundTripper, login: func(ctx context.Context, rt soap.RoundTripper) error {
		if _, err := login(ctx, rt); err != nil {
			return &ConnectError{Server: c.url.Host, Err: withCause(ctx, typed(err))}
		}
		c.log.InfoContext(ctx, "Logged in to vCenter again: the session had ended", "server", c.url.Host)
		return nil
	}}
	a.vim.RoundTripper = a.renewer
	return nil
}

// userName returns the account name as vCenter spells it. Call it after connect.
func (c *Client) userName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attempt.userName
}

// Close stops the keep-alive and logs out. Later calls fail with ErrClosed.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	a, closed := c.attempt, c.closed
	if !closed {
		close(c.closing)
	}
	c.closed = true
	c.mu.Unlock()
	if a == nil || closed {
		return nil
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil // the host does not answer, so there is no session to end
	}
	if a.err == nil {
		return c.logOut(ctx, a)
	}
	return nil
}

func (c *Client) logOut(ctx context.Context, a *attempt) error {
	c.stop()
	c.tasks.close()
	_, err := methods.Logout(ctx, a.renewer.next, &types.Logout{This: *a.vim.ServiceContent.SessionManager})
	a.vim.CloseIdleConnections()
	c.log.DebugContext(ctx, "Logged out of vCenter")
	if err != nil && !isNotAuthenticated(err) {
		return fmt.Errorf("log out of vCenter: %w", err)
	}
	return nil
}

// keepAlive prevents the session from expiring while migratekit copies for hours.
func (c *Client) keepAlive(ctx context.Context, vim *vim25.Client) {
	ticker := time.NewTicker(keepAliveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			call, cancel := context.WithTimeout(ctx, dialTimeout)
			// Ignore the error: the next real call reports it.
			_, _ = methods.GetCurrentTime(call, vim)
			cancel()
		}
	}
}

// ConnectError is returned when the provider cannot connect or log in to vCenter. The cause is an InvalidLoginError,
// a *tls.CertificateVerificationError, a ThumbprintError, a network error or a context error.
type ConnectError struct {
	// Server is the host, or host:port.
	Server string
	Err    error
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("connect to vCenter %s: %v", e.Server, e.Err)
}

func (e *ConnectError) Unwrap() error { return e.Err }
