package provider

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/vmihailenco/msgpack/v5"
)

// stopTimeout bounds how long the answer to a stop is held back for actions
// that tidy up: longer than they may take for it. Terraform waits for them.
const stopTimeout = 5 * time.Minute

// protocolServer is what the framework's server offers.
type protocolServer interface {
	tfprotov6.ProviderServer
	tfprotov6.ListResourceServer
	tfprotov6.ActionServer
}

// server is the framework's server, where the protocol needs more care than the
// framework takes.
type server struct {
	protocolServer

	mu      sync.Mutex
	stopped bool
	actions sync.WaitGroup
	changes sync.WaitGroup // of resources
}

// Server serves this provider.
func (p *Provider) Server() tfprotov6.ProviderServer {
	inner, ok := providerserver.NewProtocol6(p)().(protocolServer)
	if !ok {
		panic("the framework's server knows no actions or no list resources") // a test would have shown it
	}
	s := &server{protocolServer: inner}
	p.mu.Lock()
	p.servers = append(p.servers, s)
	p.mu.Unlock()
	return s
}

// Abandon stops everything that this provider does, as a first Ctrl-C would,
// and waits until it has tidied up: Terraform has died, and takes no answer.
func (p *Provider) Abandon(ctx context.Context) {
	p.mu.Lock()
	servers := slices.Clone(p.servers)
	p.mu.Unlock()
	for _, s := range servers {
		_, _ = s.StopProvider(ctx, &tfprotov6.StopProviderRequest{})
		s.changes.Wait()
	}
}

// InvokeAction implements tfprotov6.ActionServer. It counts the action as
// running until its last event was taken.
func (s *server) InvokeAction(ctx context.Context, req *tfprotov6.InvokeActionRequest) (*tfprotov6.InvokeActionServerStream, error) {
	done := s.begin(&s.actions)
	stream, err := s.protocolServer.InvokeAction(ctx, req)
	if err != nil {
		done()
		return nil, err
	}
	return &tfprotov6.InvokeActionServerStream{Events: func(push func(tfprotov6.InvokeActionEvent) bool) {
		defer done()
		open := true
		for event := range stream.Events {
			_, progress := event.Type.(tfprotov6.ProgressInvokeActionEventType)
			// Progress after a stop makes Terraform 1.14 panic. An action goes
			// on although nobody listens: it may have a snapshot to remove.
			if open && (!progress || !s.isStopped()) {
				open = push(event)
			}
		}
	}}, nil
}

// StopProvider implements tfprotov6.ProviderServer. Once it is answered the
// last event of an action is dropped, and an action that was interrupted would
// end as a success: so the answer waits for those that run.
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

// ApplyResourceChange implements tfprotov6.ResourceServer. It counts the change
// as running.
func (s *server) ApplyResourceChange(ctx context.Context, req *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	defer s.begin(&s.changes)()
	return s.protocolServer.ApplyResourceChange(ctx, req)
}

// PlanResourceChange implements tfprotov6.ResourceServer.
func (s *server) PlanResourceChange(ctx context.Context, req *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	ctx, release := borrow(ctx)
	defer release()
	return s.protocolServer.PlanResourceChange(ctx, req)
}

// ValidateResourceConfig implements tfprotov6.ResourceServer.
func (s *server) ValidateResourceConfig(ctx context.Context, req *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	ctx, release := borrow(ctx)
	defer release()
	return s.protocolServer.ValidateResourceConfig(ctx, req)
}

// UpgradeResourceState implements tfprotov6.ResourceServer.
func (s *server) UpgradeResourceState(ctx context.Context, req *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	ctx, release := borrow(ctx)
	defer release()
	return s.protocolServer.UpgradeResourceState(ctx, req)
}

// ReadDataSource implements tfprotov6.DataSourceServer.
func (s *server) ReadDataSource(ctx context.Context, req *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	ctx, release := borrow(ctx)
	defer release()
	return s.protocolServer.ReadDataSource(ctx, req)
}

// ValidateDataResourceConfig implements tfprotov6.DataSourceServer.
func (s *server) ValidateDataResourceConfig(ctx context.Context, req *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	ctx, release := borrow(ctx)
	defer release()
	return s.protocolServer.ValidateDataResourceConfig(ctx, req)
}

// CallFunction implements tfprotov6.FunctionServer. OpenTofu 1.12 sends an
// argument that is null without any value at all.
func (s *server) CallFunction(ctx context.Context, req *tfprotov6.CallFunctionRequest) (*tfprotov6.CallFunctionResponse, error) {
	for i, argument := range req.Arguments {
		if argument == nil || len(argument.MsgPack)+len(argument.JSON) == 0 {
			req.Arguments[i] = &tfprotov6.DynamicValue{JSON: []byte("null")}
		}
	}
	return s.protocolServer.CallFunction(ctx, req)
}

// begin counts something as running until done; what begins after a stop is
// waited for by nobody.
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

// ReadResource implements tfprotov6.ResourceServer. Terraform 1.11 compares
// numbers with the precision that they were decoded with, and calls it drift
// when a number of the state file comes back as msgpack has it; from JSON it
// comes back the same.
func (s *server) ReadResource(ctx context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	ctx, release := borrow(ctx)
	defer release()
	resp, err := s.protocolServer.ReadResource(ctx, req)
	if err == nil {
		resp.NewState = asJSON(resp.NewState)
	}
	return resp, err
}

// asJSON encodes a value anew; one that has unknown parts stays as it is.
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
