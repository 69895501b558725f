package vspheretest

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"os"
	"regexp"
	"sync"

	"github.com/vmware/govmomi/vim25/soap"
)

// Interceptor acts on calls before or after vCenter executes them. Do not change its fields once it is added.
type Interceptor struct {
	Method string // SOAP method, "" for all
	Skip   int    // matching calls to skip first
	Times  int    // how often it acts, 0 for no limit
	// Before returns true to prevent the call.
	Before func(w http.ResponseWriter, r *http.Request) (handled bool)
	// After runs once the call is executed, and returns true to suppress the answer.
	After func(w http.ResponseWriter, r *http.Request) (handled bool)

	once     sync.Once
	released chan struct{}
	seen     int
	acted    int
}

// Release deactivates an interceptor and releases the calls that it holds.
func (i *Interceptor) Release() { i.once.Do(func() { close(i.released) }) }

func (i *Interceptor) isReleased() bool {
	select {
	case <-i.released:
		return true
	default:
		return false
	}
}

// Intercept adds an interceptor. The last one added runs first.
func (v *VCenter) Intercept(i *Interceptor) *Interceptor {
	i.released = make(chan struct{})
	v.mu.Lock()
	defer v.mu.Unlock()
	v.interceptors = append([]*Interceptor{i}, v.interceptors...)
	return i
}

// Hang blocks calls until the client disconnects or Release is called. They are not executed.
func (v *VCenter) Hang(method string, skip, times int) *Interceptor {
	i := &Interceptor{Method: method, Skip: skip, Times: times}
	i.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		select {
		case <-r.Context().Done():
		case <-i.released:
		}
		return true
	}
	return v.Intercept(i)
}

// DropBefore cuts the connection before the call is executed.
func (v *VCenter) DropBefore(method string, skip, times int) *Interceptor {
	return v.Intercept(&Interceptor{Method: method, Skip: skip, Times: times, Before: cut})
}

// DropAfter cuts the connection after the call is executed.
func (v *VCenter) DropAfter(method string, skip, times int) *Interceptor {
	return v.Intercept(&Interceptor{Method: method, Skip: skip, Times: times, After: cut})
}

// Answer replaces the answer to calls, which are executed.
func (v *VCenter) Answer(method string, skip, times int, body string) *Interceptor {
	return v.Intercept(&Interceptor{
		Method: method, Skip: skip, Times: times,
		After: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/xml")
			_, _ = io.WriteString(w, body)
			return true
		},
	})
}

// EmptyAnswer and ForeignAnswer are valid SOAP, and the answer to none of vCenter's methods.
const (
	EmptyAnswer   = `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body/></soapenv:Envelope>`
	ForeignAnswer = `<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><GetWeatherResponse xmlns="urn:weather"><returnval>rain</returnval></GetWeatherResponse></soapenv:Body></soapenv:Envelope>`
)

// Fail answers calls with the fault SystemError and does not execute them.
func (v *VCenter) Fail(method string, skip, times int) *Interceptor {
	return v.Intercept(&Interceptor{
		Method: method, Skip: skip, Times: times,
		Before: func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "text/xml")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, systemError)
			return true
		},
	})
}

const systemError = `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><soapenv:Fault>
<faultcode>ServerFaultCode</faultcode><faultstring>A general system error occurred</faultstring>
<detail><SystemErrorFault xmlns="urn:vim25" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="SystemError"><reason>simulated failure</reason></SystemErrorFault></detail>
</soapenv:Fault></soapenv:Body></soapenv:Envelope>`

// ExpireBefore ends all sessions just before a call.
func (v *VCenter) ExpireBefore(method string, skip, times int) *Interceptor {
	return v.Intercept(&Interceptor{
		Method: method, Skip: skip, Times: times,
		Before: func(http.ResponseWriter, *http.Request) bool {
			v.DropSessions()
			return false
		},
	})
}

// Observe calls a function just before each matching call.
func (v *VCenter) Observe(method string, skip, times int, seen func()) *Interceptor {
	return v.Intercept(&Interceptor{
		Method: method, Skip: skip, Times: times,
		Before: func(http.ResponseWriter, *http.Request) bool {
			seen()
			return false
		},
	})
}

func cut(w http.ResponseWriter, _ *http.Request) bool {
	if hijacker, ok := w.(http.Hijacker); ok {
		if conn, _, err := hijacker.Hijack(); err == nil {
			_ = conn.Close()
		}
	}
	return true
}

// Calls returns how often each SOAP method was called since the last ResetCalls.
func (v *VCenter) Calls() map[string]int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.calls)
}

// Answered returns how many bytes the answers had since the last ResetCalls.
func (v *VCenter) Answered() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.answered
}

// ResetCalls resets the counts of Calls and Answered.
func (v *VCenter) ResetCalls() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls, v.answered = map[string]int{}, 0
}

var methodPattern = regexp.MustCompile(`<(?:\w+:)?Body[^>]*>\s*<(?:\w+:)?(\w+)`)

func (v *VCenter) intercept(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = v.limit(body)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		method := ""
		if match := methodPattern.FindSubmatch(body); match != nil {
			method = string(match[1])
		}
		acting := v.count(method)
		for _, i := range acting {
			if i.Before != nil && i.Before(w, r) {
				return
			}
		}
		session := ""
		if cookie, err := r.Cookie(soap.SessionCookieName); err == nil {
			session = cookie.Value
		}
		if method == "ContinueRetrievePropertiesEx" && !v.knowsToken(body, session) {
			w.Header().Set("Content-Type", "text/xml")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, invalidToken)
			return
		}
		recorder := &recorder{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(recorder, r)
		for _, i := range acting {
			if i.After != nil && i.After(w, r) {
				return
			}
		}
		v.mu.Lock()
		v.answered += recorder.body.Len()
		if match := tokenPattern.FindSubmatch(recorder.body.Bytes()); match != nil {
			v.tokens[string(match[1])] = session
		}
		v.mu.Unlock()
		recorder.send(w)
	})
}

// SetMaxObjects makes pages smaller than a call asks for, which vCenter may do.
func (v *VCenter) SetMaxObjects(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.maxObjects = n
}

var maxObjectsPattern = regexp.MustCompile(`(<maxObjects[^>]*>)\d+(</maxObjects>)`)

func (v *VCenter) limit(body []byte) []byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.maxObjects == 0 {
		return body
	}
	return maxObjectsPattern.ReplaceAll(body, fmt.Appendf(nil, "${1}%d${2}", v.maxObjects))
}

var tokenPattern = regexp.MustCompile(`<token[^>]*>([^<]+)</token>`)

// knowsToken reports whether a token of the next page was given out in this session. The simulator's own are valid in every session. Source: the vSphere
// API's doc comment on RetrieveResult.token.
func (v *VCenter) knowsToken(body []byte, session string) bool {
	match := tokenPattern.FindSubmatch(body)
	if match == nil {
		return true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	of, known := v.tokens[string(match[1])]
	return !known || of == session
}

const invalidToken = `<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body><soapenv:Fault>
<faultcode>ServerFaultCode</faultcode><faultstring>A specified parameter was not correct: token</faultstring>
<detail><InvalidPropertyFault xmlns="urn:vim25" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="InvalidProperty"><name>token</name></InvalidPropertyFault></detail>
</soapenv:Fault></soapenv:Body></soapenv:Envelope>`

// count counts the call and returns the interceptors that act on it.
func (v *VCenter) count(method string) []*Interceptor {
	v.mu.Lock()
	defer v.mu.Unlock()
	if method == "" {
		return nil
	}
	v.calls[method]++
	var acting []*Interceptor
	for _, i := range v.interceptors {
		if i.isReleased() || (i.Method != "" && i.Method != method) {
			continue
		}
		i.seen++
		if i.seen <= i.Skip || (i.Times > 0 && i.acted >= i.Times) {
			continue
		}
		i.acted++
		acting = append(acting, i)
	}
	return acting
}

// recorder buffers the answer until the interceptors have run.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

func (r *recorder) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), r.header)
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body.Bytes())
}

// errorLog shows server errors such as panics, but no TLS handshake errors: clients cause them by rejecting the
// certificate.
func errorLog() *log.Logger { return log.New(withoutHandshakes{os.Stderr}, "vspheretest: ", 0) }

type withoutHandshakes struct{ io.Writer }

func (w withoutHandshakes) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("TLS handshake error")) {
		return len(p), nil
	}
	return w.Writer.Write(p)
}
