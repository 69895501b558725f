package vsphere

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vmware/govmomi/session"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

const (
	// dialTimeout bounds how long a host that does not answer is waited for.
	dialTimeout = 30 * time.Second
	// keepAliveEvery is well below vCenter's idle limit, 30 minutes by default.
	keepAliveEvery = 5 * time.Minute
	// farewellTimeout bounds the logout: Terraform kills a provider two
	// seconds after it closed it.
	farewellTimeout = 1500 * time.Millisecond
)

// Client is one session with one vCenter. Nothing is dialled before the first
// call; the session is kept alive, renewed once where vCenter dropped it, and
// ended by Close. All methods may be called from any goroutine.
type Client struct {
	config Config
	log    *slog.Logger
	url    *url.URL

	reads      *gatherer[string, *VM]            // by managed object ID
	lookups    *gatherer[string, string]         // managed object IDs, by path
	privileges *gatherer[privilegesOn, []string] // those that are missing
	paths      *paths
	tasks      *taskWaits

	mu      sync.Mutex
	attempt *attempt
	closed  bool
	stop    func() // ends the keep-alive
	running sync.WaitGroup
}

// attempt is one try to connect, shared by all who wait for it. It does not
// end with the request that began it: a login that vCenter has carried out
// must be known here, or its session would stay behind.
type attempt struct {
	done     chan struct{}
	vim      *vim25.Client
	renewer  *renewer
	userName string // written before done is closed
	err      error
	// loggingIn says that a login was sent.
	loggingIn atomic.Bool
	// abandoned says that whoever began it has gone since; guarded by Client.mu.
	abandoned bool
}

// NewClient checks the configuration and dials nothing.
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
	c := &Client{config: config, log: log, url: u, paths: &paths{moids: map[string]string{}}}
	c.reads = &gatherer[string, *VM]{client: c, call: c.readVMs}
	c.lookups = &gatherer[string, string]{client: c, call: c.lookUp}
	c.privileges = &gatherer[privilegesOn, []string]{client: c, call: c.missingPrivileges}
	c.tasks = newTaskWaits(c)
	return c, nil
}

// Endpoint is the host, or host:port, as migratekit wants it.
func (c *Client) Endpoint() string { return c.url.Host }

// ErrClosed is returned for calls after Close.
var ErrClosed = errors.New("the connection to vCenter was closed")

// connect gives the client of the one session, which it makes on first use. An
// attempt that failed is not remembered, the next call tries again, but for a
// refused password: repeating that would lock the account.
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
		// It began for a call that has ended since: try for this one.
	}
}

// wait waits for the end of the attempt, or of the context. A cancelled call
// waits for a login that is on its way: whoever cancelled may end this process
// next, and then nobody would be left to log out.
func (a *attempt) wait(ctx context.Context) error {
	select {
	case <-a.done:
		return nil
	default:
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		if !a.loggingIn.Load() || !errors.Is(ctx.Err(), context.Canceled) {
			return ctx.Err()
		}
		<-a.done // within dialTimeout
	}
	return nil
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

// join gives the attempt that is under way, or has succeeded, else it begins
// one.
func (c *Client) join(ctx context.Context) (a *attempt, begun bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false, ErrClosed
	}
	if c.attempt == nil {
		begun = true
		c.attempt = &attempt{done: make(chan struct{})}
		c.running.Add(1)
		go c.dialInto(context.WithoutCancel(ctx), c.attempt)
	}
	return c.attempt, begun, nil
}

func isRefused(err error) bool {
	_, ok := errors.AsType[*InvalidLoginError](err)
	return ok
}

func (c *Client) dialInto(ctx context.Context, a *attempt) {
	defer c.running.Done()
	defer close(a.done)
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	started := time.Now()
	a.err = withCause(dialing, typed(c.dial(dialing, a)))
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
		c.running.Add(1)
		go c.keepAlive(alive, a.vim)
	}
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
	transport.DialTLSContext = nil // the configuration above says all
	transport.MaxIdleConnsPerHost = 32
	if a.vim, err = vim25.NewClient(ctx, soapClient); err != nil {
		return err
	}
	a.vim.RoundTripper = &logged{next: a.vim.RoundTripper, log: c.log}
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
		c.log.InfoContext(ctx, "Logged in to vCenter again, since it had ended the session", "server", c.url.Host)
		return nil
	}}
	a.vim.RoundTripper = a.renewer
	return nil
}

// userName is the account as vCenter spells it; the session must be up.
func (c *Client) userName() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.attempt.userName
}

// Close logs out, within a bound of its own, and stops the keep-alive. Further
// calls fail with ErrClosed. A client that never connected has nothing to do.
func (c *Client) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewellTimeout)
	defer cancel()
	c.mu.Lock()
	a, closed := c.attempt, c.closed
	c.closed = true
	c.mu.Unlock()
	if a == nil || closed {
		return nil
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return nil // a host that does not answer has no session of ours
	}
	if a.err != nil {
		return nil
	}
	c.stop()
	c.tasks.close()
	_, err := methods.Logout(ctx, a.renewer.next, &types.Logout{This: *a.vim.ServiceContent.SessionManager})
	a.vim.CloseIdleConnections()
	if err != nil && !isNotAuthenticated(err) {
		return fmt.Errorf("log out of vCenter: %w", err)
	}
	return nil
}

// keepAlive calls vCenter often enough for the session not to expire while
// migratekit copies for hours.
func (c *Client) keepAlive(ctx context.Context, vim *vim25.Client) {
	defer c.running.Done()
	ticker := time.NewTicker(keepAliveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			call, cancel := context.WithTimeout(ctx, dialTimeout)
			// A failure here is met, and told, by the next call that matters.
			_, _ = methods.GetCurrentTime(call, vim)
			cancel()
		}
	}
}

// ConnectError says that no session with vCenter could be made. The cause is an
// InvalidLoginError, a *tls.CertificateVerificationError, a ThumbprintError, a
// network error or the end of the context.
type ConnectError struct {
	// Server is the host, or host:port.
	Server string
	Err    error
}

func (e *ConnectError) Error() string {
	return fmt.Sprintf("connect to vCenter %s: %v", e.Server, e.Err)
}

func (e *ConnectError) Unwrap() error { return e.Err }
