package openstack

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// Server is a server of the project.
type Server struct {
	ID, Name string
	// Status is Nova's, such as "ACTIVE".
	Status string
	// Addresses are its IP addresses, in order.
	Addresses []string
}

// Servers returns the servers of the project, as they were when this process first asked. Errors are those of a login.
func (c *Client) Servers(ctx context.Context) ([]Server, error) { return c.lists.listServers(ctx, c) }

func (l *lists) listServers(ctx context.Context, c *Client) ([]Server, error) {
	return read(ctx, c, l.servers, "servers", "Nova", openstack.NewComputeV2,
		func(s *gophercloud.ServiceClient) pagination.Pager {
			return servers.List(s, servers.ListOpts{Limit: pageSize})
		},
		each(servers.ExtractServers, newServer))
}

// Server returns a server as it is now. Errors: ErrNotFound and those of a login.
func (c *Client) Server(ctx context.Context, id string) (Server, error) {
	nova, err := c.service(ctx, "Nova", openstack.NewComputeV2)
	if err != nil {
		return Server{}, err
	}
	found, err := servers.Get(ctx, nova, id).Extract()
	switch {
	case gophercloud.ResponseCodeIs(err, http.StatusNotFound):
		return Server{}, fmt.Errorf("the project has no server %s: %w", id, ErrNotFound)
	case err != nil:
		return Server{}, classify(fmt.Errorf("read the server %s: %w", id, err))
	}
	return newServer(*found), nil
}

func newServer(from servers.Server) Server {
	server := Server{ID: from.ID, Name: from.Name, Status: from.Status}
	for _, network := range from.Addresses {
		addresses, _ := network.([]any)
		for _, each := range addresses {
			if fields, ok := each.(map[string]any); ok {
				if address, ok := fields["addr"].(string); ok {
					server.Addresses = append(server.Addresses, address)
				}
			}
		}
	}
	slices.Sort(server.Addresses)
	return server
}
