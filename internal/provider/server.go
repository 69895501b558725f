package provider

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-log/tflog"
	"github.com/vmihailenco/msgpack/v5"
)

// stopTimeout limits how long StopProvider waits for actions. It is longer than migratekit may take to end, and its cleanup after that.
const stopTimeout = 20 * time.Minute

// protocolServer is the interface of the framework's server.
type protocolServer interface {
	tfprotov6.ProviderServer
	tfprotov6.ListResourceServer
	tfprotov6.ActionServer
}

// server wraps the framework's server and handles protocol details that the framework does not.
type server struct {
	protocolServer
	provider *Provider

	mu      sync.Mutex
	stopped bool
	actions sync.WaitGroup
	changes sync.WaitGroup // running ApplyResourceChange calls
}

// Server returns a protocol server for this provider.
func (p *Provider) Server() tfprotov6.ProviderServer {
	inner, ok := providerserver.NewProtocol6(p)().(protocolServer)
	if !ok {
		panic("the framework's server knows no actions or no list resources") // tests cover this
	}
	s := &server{protocolServer: inner, provider: p}
	p.mu.Lock()
	p.servers = append(p.servers, s)
	p.mu.Unlock()
	return s
}

// Shutdown stops all work as a first Ctrl-C does, and waits for the cleanup. Use it when Terraform has died.
func (p *Provider) Shutdown(ctx context.Context) {
	p.mu.Lock()
	servers := slices.Clone(p.servers)
	p.mu.Unlock()
	for _, s := range servers {
		_, _ = s.StopProvider(ctx, &tfprotov6.StopProviderRequest{})
		s.changes.Wait()
	}
}

// InvokeAction implements tfprotov6.ActionServer. The action counts as running until its last event is taken.
func (s *server) InvokeAction(ctx context.Context, req *tfprotov6.InvokeActionRequest) (*tfprotov6.InvokeActionServerStream, error) {
	done := s.begin(&s.actions)
	stream, err := s.protocolServer.InvokeAction(quiet(ctx), req)
	if err != nil {
		done()
		return nil, err
	}
	return &tfprotov6.InvokeActionServerStream{Events: func(push func(tfprotov6.InvokeActionEvent) bool) {
		defer done()
		open := true
		for event := range stream.Events {
			_, progress := event.Type.(tfprotov6.ProgressInvokeActionEventType)
			if completed, ok := event.Type.(tfprotov6.CompletedInvokeActionEventType); ok {
				s.provider.clean(completed.Diagnostics)
			}
			// Terraform 1.14 panics on progress after a stop. Keep reading the events even if nobody listens: the
			// action may still have to remove a snapshot.
			if open && (!progress || !s.isStopped()) {
				open = push(event)
			}
		}
	}}, nil
}

// ListResource implements tfprotov6.ListResourceServer.
func (s *server) ListResource(ctx context.Context, req *tfprotov6.ListResourceRequest) (*tfprotov6.ListResourceServerStream, error) {
	stream, err := s.protocolServer.ListResource(quiet(ctx), req)
	if err != nil {
		return nil, err
	}
	return &tfprotov6.ListResourceServerStream{Results: func(push func(tfprotov6.ListResourceResult) bool) {
		for result := range stream.Results {
			s.provider.clean(result.Diagnostics)
			result.DisplayName = s.provider.cleanText(result.DisplayName, maxSummary)
			if !push(result) {
				return
			}
		}
	}}, nil
}

// ConfigureProvider implements tfprotov6.ProviderServer.
func (s *server) ConfigureProvider(ctx context.Context, req *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	resp, err := s.protocolServer.ConfigureProvider(ctx, req)
	if err == nil {
		s.provider.clean(resp.Diagnostics)
	}
	return resp, err
}

// StopProvider implements tfprotov6.ProviderServer. It answers only when the running actions have ended: after
// the answer the last event of an action is dropped, and an interrupted action would end as a success.
func (s *server) StopProvider(ctx context.Context, req *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	resp, err := s.protocolServer.StopProvider(ctx, req)
	ended := make(chan struct{})
	go func() {
		s.actions.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	case <-time.After(stopTimeout):
	}
	return resp, err
}

// ApplyResourceChange implements tfprotov6.ResourceServer. It counts the change as running.
func (s *server) ApplyResourceChange(ctx context.Context, req *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	defer s.begin(&s.changes)()
	resp, err := s.protocolServer.ApplyResourceChange(quiet(ctx), req)
	if err == nil {
		s.provider.clean(resp.Diagnostics)
	}
	return resp, err
}

func (s *server) PlanResourceChange(ctx context.Context, req *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	ctx, release := newCallContext(quiet(ctx))
	defer release()
	resp, err := s.protocolServer.PlanResourceChange(ctx, req)
	if err == nil {
		s.provider.clean(resp.Diagnostics)
	}
	return resp, err
}

func (s *server) ValidateResourceConfig(ctx context.Context, req *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	ctx, release := newCallContext(quiet(ctx))
	defer release()
	return s.protocolServer.ValidateResourceConfig(ctx, req)
}

func (s *server) UpgradeResourceState(ctx context.Context, req *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	ctx, release := newCallContext(quiet(ctx))
	defer release()
	return s.protocolServer.UpgradeResourceState(ctx, req)
}

func (s *server) ReadDataSource(ctx context.Context, req *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	ctx, release := newCallContext(quiet(ctx))
	defer release()
	resp, err := s.protocolServer.ReadDataSource(ctx, req)
	if err == nil {
		s.provider.clean(resp.Diagnostics)
	}
	return resp, err
}

func (s *server) ValidateDataResourceConfig(ctx context.Context, req *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	ctx, release := newCallContext(quiet(ctx))
	defer release()
	return s.protocolServer.ValidateDataResourceConfig(ctx, req)
}

// ImportResourceState implements tfprotov6.ResourceServer.
func (s *server) ImportResourceState(ctx context.Context, req *tfprotov6.ImportResourceStateRequest) (*tfprotov6.ImportResourceStateResponse, error) {
	resp, err := s.protocolServer.ImportResourceState(ctx, req)
	if err == nil {
		s.provider.clean(resp.Diagnostics)
	}
	return resp, err
}

// CallFunction implements tfprotov6.FunctionServer. OpenTofu 1.12 sends a null argument without any value.
func (s *server) CallFunction(ctx context.Context, req *tfprotov6.CallFunctionRequest) (*tfprotov6.CallFunctionResponse, error) {
	for i, argument := range req.Arguments {
		if argument == nil || len(argument.MsgPack)+len(argument.JSON) == 0 {
			req.Arguments[i] = &tfprotov6.DynamicValue{JSON: []byte("null")}
		}
	}
	return s.protocolServer.CallFunction(ctx, req)
}

// quiet drops what a library logs at INFO for each resource: that a timeout is not configured.
func quiet(ctx context.Context) context.Context {
	return tflog.OmitLogWithMessageStrings(ctx, "timeout configuration not found")
}

// begin counts something as running until done is called. After a stop it counts nothing.
func (s *server) begin(running *sync.WaitGroup) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return func() {}
	}
	running.Add(1)
	return running.Done
}

func (s *server) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// ReadResource implements tfprotov6.ResourceServer. Terraform 1.11 compares numbers with the precision of
// their encoding, and reports drift if a number from the state file returns as msgpack. JSON returns the same
// number.
func (s *server) ReadResource(ctx context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	ctx, release := newCallContext(quiet(ctx))
	defer release()
	resp, err := s.protocolServer.ReadResource(ctx, req)
	if err == nil {
		s.provider.clean(resp.Diagnostics)
		resp.NewState = asJSON(resp.NewState)
	}
	return resp, err
}

// asJSON encodes a value as JSON. A value with unknown parts stays as it is.
func asJSON(value *tfprotov6.DynamicValue) *tfprotov6.DynamicValue {
	if value == nil || len(value.MsgPack) == 0 {
		return value
	}
	var decoded any
	if err := msgpack.Unmarshal(value.MsgPack, &decoded); err != nil {
		return value
	}
	encoded, err := json.Marshal(decoded)
	if err != nil {
		return value
	}
	return &tfprotov6.DynamicValue{JSON: encoded}
}
