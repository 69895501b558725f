package vsphere

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// maxAnswer bounds one answer of vCenter, in bytes. A page of 500 VMs with many disks and long chains of snapshots has some tens
// of megabytes.
const maxAnswer = 256 << 20

// NoResultError is returned if an answer is not a fault and has no result either. The server, or a proxy before it, does not
// speak the vSphere API.
type NoResultError struct {
	// Method is the API's name of the call.
	Method string
}

func (e *NoResultError) Error() string {
	return fmt.Sprintf("the answer to %s has no result: the server, or a proxy in between, does not answer as vCenter does", e.Method)
}

// checkedAnswers returns a NoResultError for answers that methods of govmomi would dereference.
type checkedAnswers struct{ next soap.RoundTripper }

// RoundTrip implements soap.RoundTripper.
func (c *checkedAnswers) RoundTrip(ctx context.Context, req, res soap.HasFault) error {
	if err := c.next.RoundTrip(ctx, req, res); err != nil {
		return err
	}
	if !hasResult(res) {
		return &NoResultError{Method: callName(req)}
	}
	return nil
}

// hasResult reports whether a body has a fault or a response, and whether a reference in the response refers to something.
func hasResult(body soap.HasFault) bool {
	if body.Fault() != nil {
		return true
	}
	response := reflect.ValueOf(body).Elem().FieldByName("Res")
	if !response.IsValid() || response.IsNil() {
		return false
	}
	result := response.Elem().FieldByName("Returnval")
	if !result.IsValid() {
		return true
	}
	reference, ok := reflect.TypeAssert[types.ManagedObjectReference](result)
	return !ok || reference.Value != ""
}

// serviceContent reads what a client needs to know of a server before the login.
func serviceContent(ctx context.Context, rt soap.RoundTripper) (types.ServiceContent, error) {
	content, err := methods.GetServiceContent(ctx, rt)
	if err != nil {
		return content, err
	}
	if content.SessionManager == nil || content.SearchIndex == nil || content.ViewManager == nil ||
		content.PropertyCollector.Value == "" || content.RootFolder.Value == "" {
		return content, &NoResultError{Method: "RetrieveServiceContent"}
	}
	return content, nil
}

// newVimClient is vim25.NewClient with checked, bounded and logged answers.
func (c *Client) newVimClient(ctx context.Context, soapClient *soap.Client) (*vim25.Client, error) {
	soapClient.Namespace, soapClient.Version = "urn:"+vim25.Namespace, vim25.Version
	soapClient.Transport = &boundedAnswers{soapClient.DefaultTransport()}
	rt := &checkedAnswers{&logged{next: soapClient, log: c.log}}
	content, err := serviceContent(ctx, rt)
	if err != nil {
		return nil, err
	}
	return &vim25.Client{Client: soapClient, ServiceContent: content, RoundTripper: rt}, nil
}

// errAnswerTooLarge is returned for an answer of more than maxAnswer bytes.
var errAnswerTooLarge = errors.New("the answer is too large")

// boundedAnswers limits the size of answers.
type boundedAnswers struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b *boundedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		_ = response.Body.Close()
		return nil, &UnavailableError{Status: response.Status}
	}
	response.Body = &boundedBody{ReadCloser: response.Body, left: maxAnswer}
	return response, nil
}

// UnavailableError is returned if vCenter, or the proxy before it, is too busy to answer, or is starting.
type UnavailableError struct {
	// Status is the HTTP status, "503 Service Unavailable".
	Status string
}

func (e *UnavailableError) Error() string { return "vCenter answered with " + e.Status }

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errAnswerTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
