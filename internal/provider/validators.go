package provider

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/vma-project/terraform-provider-vma/internal/nbd"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

var (
	_ validator.String = serverValidator{}
	_ validator.String = thumbprintValidator{}
	_ validator.String = inventoryPathValidator{}
	_ validator.String = uuidValidator{}
	_ validator.String = moidValidator{}
	_ validator.String = deviceKeyValidator{}
	_ validator.String = nbdURIValidator{}
	_ validator.String = durationValidator{}
)

// known gives the value to judge; null and unknown are judged elsewhere.
func known(req validator.StringRequest) (string, bool) {
	return req.ConfigValue.ValueString(), !req.ConfigValue.IsNull() && !req.ConfigValue.IsUnknown()
}

func invalid(at path.Path, format string, args ...any) diag.Diagnostic {
	name := at.String()
	if steps := at.Steps(); len(steps) > 0 {
		name = strings.SplitN(name, "[", 2)[0]
	}
	return diag.NewAttributeErrorDiagnostic(at, "Invalid "+name, fmt.Sprintf(format, args...))
}

type serverValidator struct{}

func (serverValidator) Description(context.Context) string {
	return "value must be a host, a host:port or an https URL"
}

func (v serverValidator) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (serverValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if value, ok := known(req); ok {
		if _, err := vsphere.ParseServer(value); err != nil {
			resp.Diagnostics.Append(invalidServer(req.Path, err))
		}
	}
}

// invalidServer does not quote the value: it may hold credentials.
func invalidServer(at path.Path, err error) diag.Diagnostic {
	return invalid(at, "The address of vCenter cannot be used. Write a host, a host:port or a URL, such as vcenter.example.org or https://vcenter.example.org/sdk.\n\n%s", err)
}

type thumbprintValidator struct{}

func (thumbprintValidator) Description(context.Context) string {
	return "value must be a SHA-256 fingerprint in hex"
}

func (v thumbprintValidator) MarkdownDescription(ctx context.Context) string {
	return v.Description(ctx)
}

func (thumbprintValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if value, ok := known(req); ok {
		if _, err := vsphere.ParseThumbprint(value); err != nil {
			resp.Diagnostics.Append(invalidThumbprint(req.Path, value, err))
		}
	}
}

func invalidThumbprint(at path.Path, value string, err error) diag.Diagnostic {
	return invalid(at, "The fingerprint %q is none. Take it from: openssl s_client -connect HOST:443 </dev/null | openssl x509 -noout -fingerprint -sha256\n\n%s", value, err)
}

type inventoryPathValidator struct{}

func (inventoryPathValidator) Description(context.Context) string {
	return "value must be an absolute inventory path, such as /DC0/vm/prod/web01"
}

func (v inventoryPathValidator) MarkdownDescription(ctx context.Context) string {
	return v.Description(ctx)
}

func (inventoryPathValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	value, ok := known(req)
	if !ok {
		return
	}
	switch {
	case !strings.HasPrefix(value, "/"):
		resp.Diagnostics.Append(invalid(req.Path, "%q is not absolute. Write the whole inventory path from the datacenter on, such as /DC0/vm/prod/web01.", value))
	case !strings.Contains(value, "/vm/") || strings.HasSuffix(value, "/") || strings.Contains(value, "//"):
		resp.Diagnostics.Append(invalid(req.Path, "%q is not the inventory path of a virtual machine: datacenter, vm, folders and name, such as /DC0/vm/prod/web01. A slash within a name is written %%2f, as vCenter escapes it.", value))
	}
}

var (
	uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	moidPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

type uuidValidator struct{}

func (uuidValidator) Description(context.Context) string               { return "value must be a UUID" }
func (v uuidValidator) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }
func (uuidValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if value, ok := known(req); ok && !uuidPattern.MatchString(value) {
		resp.Diagnostics.Append(invalid(req.Path, "%q is not a UUID. Write the BIOS UUID of the virtual machine, such as 4230b6d1-5f2b-4b0c-9d3c-8f6b7c1a2e3d.", value))
	}
}

type moidValidator struct{}

func (moidValidator) Description(context.Context) string {
	return "value must be a managed object ID, such as vm-123"
}
func (v moidValidator) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }
func (moidValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if value, ok := known(req); ok && !moidPattern.MatchString(value) {
		resp.Diagnostics.Append(invalid(req.Path, "%q is not a managed object ID. Write it as vCenter does, such as vm-123; an inventory path goes into vm_path.", value))
	}
}

type deviceKeyValidator struct{}

func (deviceKeyValidator) Description(context.Context) string {
	return "value must be a device key, such as 2000"
}

func (v deviceKeyValidator) MarkdownDescription(ctx context.Context) string {
	return v.Description(ctx)
}

func (deviceKeyValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if value, ok := known(req); ok {
		if _, err := parseKey(value); err != nil {
			resp.Diagnostics.Append(invalid(req.Path, "%q is not a device key. Write the key of a disk, such as \"2000\"; vma_cbt_status lists them.", value))
		}
	}
}

func parseKey(s string) (int32, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err == nil && (n < 0 || strconv.FormatInt(n, 10) != s) {
		err = strconv.ErrSyntax
	}
	return int32(n), err
}

type nbdURIValidator struct{}

func (nbdURIValidator) Description(context.Context) string {
	return "value must be an NBD URI on this machine, such as nbd://127.0.0.1:10808/web01-0"
}

func (v nbdURIValidator) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (nbdURIValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	value, ok := known(req)
	if !ok {
		return
	}
	uri, err := nbd.ParseURI(value)
	switch {
	case err != nil:
		resp.Diagnostics.Append(invalid(req.Path, "%q cannot be used as an NBD export. Write nbd://127.0.0.1:port/name.\n\n%s", value, err))
	case !uri.Local():
		resp.Diagnostics.Append(invalid(req.Path, "%q is not at 127.0.0.1, and migratekit connects to 127.0.0.1 only. Let a tunnel on this machine lead there, and write nbd://127.0.0.1:port/name.", value))
	}
}

type durationValidator struct{}

func (durationValidator) Description(context.Context) string {
	return "value must be a duration, such as 5m or 90s"
}

func (v durationValidator) MarkdownDescription(ctx context.Context) string { return v.Description(ctx) }

func (durationValidator) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if value, ok := known(req); ok {
		if d, err := time.ParseDuration(value); err != nil || d <= 0 {
			resp.Diagnostics.Append(invalid(req.Path, "%q is not a duration. Write a number with a unit, such as 5m or 90s.", value))
		}
	}
}
