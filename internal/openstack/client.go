package openstack

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

const (
	// callTimeout bounds one call, dialTimeout its connection.
	callTimeout = time.Minute
	dialTimeout = 10 * time.Second
)

// AuthError is returned if OpenStack refused the login, or does not know the project or the region.
type AuthError struct{ Err error }

func (e *AuthError) Error() string { return e.Err.Error() }
func (e *AuthError) Unwrap() error { return e.Err }

// TrustError is returned if the certificate of OpenStack cannot be verified.
type TrustError struct{ Err error }

func (e *TrustError) Error() string { return e.Err.Error() }
func (e *TrustError) Unwrap() error { return e.Err }

// UnreachableError is returned if OpenStack could not be reached, did not answer in time, or answered with 5xx.
type UnreachableError struct{ Err error }

func (e *UnreachableError) Error() string { return e.Err.Error() }
func (e *UnreachableError) Unwrap() error { return e.Err }

// Client reads one project. It logs in once, when it needs to. It is safe for concurrent use.
type Client struct {
	login     Login
	userAgent string

	session *lazy[*session]
	lists   *lists
	needs   needs
	// host is the server that is known to be one of the project.
	host atomic.Value
}

// NewClient connects to nothing.
func NewClient(login Login, userAgent string) *Client {
	return &Client{login: login, userAgent: userAgent, session: newLazy[*session](pauseOfLogin), lists: newLists()}
}

// session is a login that succeeded.
type session struct {
	login      Login // complete
	trustedCAs []byte
	provider   *gophercloud.ProviderClient
	userID     string
	projectID  string
	// lifetime is how long a token lives, 0 if unknown.
	lifetime time.Duration

	mu       sync.Mutex
	services map[string]*gophercloud.ServiceClient
}

// connect makes the client of a service of OpenStack.
type connect func(*gophercloud.ProviderClient, gophercloud.EndpointOpts) (*gophercloud.ServiceClient, error)

// service returns the client of a service, which is looked up in the catalog once: that may take a call.
func (s *session) service(name string, connect connect) (*gophercloud.ServiceClient, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.services[name]; known != nil {
		return known, nil
	}
	client, err := connect(s.provider, gophercloud.EndpointOpts{Region: s.login.Region})
	if err != nil {
		return nil, classify(fmt.Errorf("find %s in the catalog (region %q): %w", name, s.login.Region, err))
	}
	s.services[name] = client
	return client, nil
}

// checkEndpoints requires the three services that migratekit connects to. It makes no call.
func (s *session) checkEndpoints() error {
	for _, service := range []string{"block-storage", "compute", "network"} {
		endpoint := gophercloud.EndpointOpts{Region: s.login.Region}
		endpoint.ApplyDefaults(service)
		if _, err := s.provider.EndpointLocator(endpoint); err != nil {
			return classify(fmt.Errorf("find %s in the catalog (region %q): %w", service, s.login.Region, err))
		}
	}
	return nil
}

// refusalPause is how long a refused login is remembered: for the life of the process.
const refusalPause = 10000 * time.Hour

// pauseOfLogin keeps a refused password from being sent again, because Keystone may lock the account.
func pauseOfLogin(err error) time.Duration {
	if _, outage := errors.AsType[*UnreachableError](err); outage {
		return outagePause
	}
	return refusalPause
}

// open logs in, or returns the session that there is. Errors: LoginError, AuthError, TrustError, UnreachableError.
func (c *Client) open(ctx context.Context) (*session, error) {
	return c.session.get(ctx, func() (*session, error) { return c.logIn(ctx) })
}

func (c *Client) logIn(ctx context.Context) (*session, error) {
	login, err := c.login.complete()
	if err != nil {
		return nil, err
	}
	added, err := login.readCACert()
	if err != nil {
		return nil, err
	}
	transport, err := login.transport(added)
	if err != nil {
		return nil, err
	}
	provider, err := openstack.NewClient(login.AuthURL)
	if err != nil {
		return nil, &AuthError{fmt.Errorf("the address of Keystone, %q, is not valid: %w", login.AuthURL, err)}
	}
	provider.HTTPClient = http.Client{Transport: transport, Timeout: callTimeout}
	provider.UserAgent.Prepend(c.userAgent)
	if err := openstack.Authenticate(ctx, provider, login.options()); err != nil {
		err = classify(fmt.Errorf("log in to OpenStack at %s: %w", login.AuthURL, err))
		if !isTyped(err) { // such as 404: it is no Keystone
			err = &AuthError{err}
		}
		return nil, err
	}
	rememberRefusal(provider)
	s := &session{login: login, trustedCAs: added, provider: provider, services: map[string]*gophercloud.ServiceClient{}}
	token, ok := provider.GetAuthResult().(tokens.CreateResult)
	if !ok {
		return nil, &AuthError{fmt.Errorf("log in to OpenStack at %s: Keystone version 3 is required", login.AuthURL)}
	}
	user, err := token.ExtractUser()
	if err != nil {
		return nil, &AuthError{fmt.Errorf("read the user of the token: %w", err)}
	}
	project, err := token.ExtractProject()
	if err != nil || project == nil {
		return nil, &AuthError{errors.Join(errors.New("the token is for no project"), err)}
	}
	s.userID, s.projectID = user.ID, project.ID
	if expires, err := token.ExtractToken(); err == nil {
		s.lifetime = time.Until(expires.ExpiresAt)
	}
	return s, nil
}

// rememberRefusal keeps a password that was refused when the token was renewed from being sent again.
func rememberRefusal(provider *gophercloud.ProviderClient) {
	var mu sync.Mutex
	var refused error
	renew := provider.ReauthFunc
	provider.ReauthFunc = func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if refused != nil {
			return refused
		}
		err := renew(ctx)
		if _, ok := errors.AsType[*AuthError](classify(err)); ok {
			refused = err
		}
		return err
	}
}

// transport verifies certificates against the system's roots and the added ones, unless the login is insecure.
func (l Login) transport(added []byte) (http.RoundTripper, error) {
	trust := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: l.Insecure} //nolint:gosec // as configured
	if added != nil {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		trust.RootCAs = roots
		if !trust.RootCAs.AppendCertsFromPEM(added) {
			return nil, &LoginError{Unsupported: []string{"cacert_file (OS_CACERT): " + l.CACertFile + " has no certificate in PEM"}}
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.TLSClientConfig = trust
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	return transport, nil
}

// classify distinguishes a refusal from an outage.
func classify(err error) error {
	if renewal, ok := errors.AsType[*gophercloud.ErrUnableToReauthenticate](err); ok {
		if refused, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](renewal.ErrReauth); ok && refused.Actual == http.StatusUnauthorized {
			return &AuthError{err}
		}
		return &UnreachableError{err}
	}
	if status, ok := errors.AsType[gophercloud.ErrUnexpectedResponseCode](err); ok {
		if status.Actual >= http.StatusInternalServerError || status.Actual == http.StatusTooManyRequests {
			return &UnreachableError{err}
		}
		if status.Actual == http.StatusUnauthorized {
			return &AuthError{err}
		}
		return err
	}
	if _, ok := errors.AsType[*gophercloud.ErrEndpointNotFound](err); ok {
		return &AuthError{err}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &TrustError{err}
	}
	if _, ok := errors.AsType[net.Error](err); ok { // url.Error is one
		return &UnreachableError{err}
	}
	return err
}

// isTyped reports whether classify knew the kind of an error.
func isTyped(err error) bool {
	_, refused := errors.AsType[*AuthError](err)
	_, trust := errors.AsType[*TrustError](err)
	_, outage := errors.AsType[*UnreachableError](err)
	return refused || trust || outage
}

// TrustedCAs returns the content of cacert_file, in PEM; nil without one. Errors are those of a login.
func (c *Client) TrustedCAs(ctx context.Context) ([]byte, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	return s.trustedCAs, nil
}

// Environment returns the login in the form that migratekit accepts, whatever form was configured: IDs instead of names, and no domain. SSL_CERT_FILE is not
// in it. Errors are those of a login.
func (c *Client) Environment(ctx context.Context) (map[string]string, error) {
	s, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	environment := map[string]string{"OS_AUTH_URL": s.login.AuthURL}
	add := func(name, value string) {
		if value != "" {
			environment[name] = value
		}
	}
	add("OS_REGION_NAME", s.login.Region)
	if s.login.Insecure {
		add("OS_INSECURE", "true")
	}
	switch {
	case s.login.usesCredential() && s.login.ApplicationCredentialID != "":
		add("OS_APPLICATION_CREDENTIAL_ID", s.login.ApplicationCredentialID)
		add("OS_APPLICATION_CREDENTIAL_SECRET", s.login.ApplicationCredentialSecret)
	case s.login.usesCredential():
		add("OS_USERID", s.userID)
		add("OS_APPLICATION_CREDENTIAL_NAME", s.login.ApplicationCredentialName)
		add("OS_APPLICATION_CREDENTIAL_SECRET", s.login.ApplicationCredentialSecret)
	default:
		add("OS_USERID", s.userID)
		add("OS_PASSWORD", s.login.Password)
		add("OS_PROJECT_ID", s.projectID)
	}
	return environment, nil
}

// Secrets returns what must not be logged. It reads clouds.yaml if the login names a cloud.
func (c *Client) Secrets() []string {
	login, err := c.login.complete()
	if err != nil {
		login = c.login
	}
	var secrets []string
	for _, secret := range []string{login.Password, login.ApplicationCredentialSecret} {
		if secret != "" {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}
