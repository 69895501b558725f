package provider

import (
	"context"
	"fmt"
	"net/netip"
	stdpath "path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/vma-project/terraform-provider-vma/internal/nbd"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

var _ validator.String = check{}

// check validates a string. It accepts null and unknown values.
type check struct {
	description string
	// judge returns the problem, or nil.
	judge func(at path.Path, value string) diag.Diagnostic
}

func (c check) Description(context.Context) string { return c.description }

func (c check) MarkdownDescription(context.Context) string { return c.description }

func (c check) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if problem := c.judge(req.Path, req.ConfigValue.ValueString()); problem != nil {
		resp.Diagnostics.Append(problem)
	}
}

func invalid(at path.Path, format string, args ...any) diag.Diagnostic {
	name, _, _ := strings.Cut(at.String(), "[")
	return diag.NewAttributeErrorDiagnostic(at, "Invalid "+name, fmt.Sprintf(format, args...))
}

// validOneOf accepts the words, and "", which counts as not set in a provider block.
func validOneOf(words ...string) validator.String {
	list := strings.Join(words, " or ")
	return check{"value must be " + list, func(at path.Path, value string) diag.Diagnostic {
		if value == "" || slices.Contains(words, value) {
			return nil
		}
		return invalid(at, "%q is not allowed. Write %s.", value, list)
	}}
}

func validServer() validator.String {
	return check{"value must be a host, a host:port or an https URL", func(at path.Path, value string) diag.Diagnostic {
		if _, err := vsphere.ParseServer(value); value != "" && err != nil {
			return invalidServer(at, "", err)
		}
		return nil
	}}
}

// fromVariable begins a sentence about a value from the environment.
func fromVariable(variable string) string {
	if variable == "" {
		return ""
	}
	return "The value comes from the environment variable " + variable + ". "
}

// invalidServer does not quote the value, which may contain credentials.
func invalidServer(at path.Path, variable string, err error) diag.Diagnostic {
	return invalid(at, "%sThe address of vCenter cannot be used. Write a host, a host:port or a URL, such as vcenter.example.org or https://vcenter.example.org/sdk.\n\n%s", fromVariable(variable), err)
}

func validThumbprint() validator.String {
	return check{"value must be a SHA-256 fingerprint in hex", func(at path.Path, value string) diag.Diagnostic {
		if _, err := vsphere.ParseThumbprint(value); value != "" && err != nil {
			return invalidThumbprint(at, "", value, err)
		}
		return nil
	}}
}

func invalidThumbprint(at path.Path, variable, value string, err error) diag.Diagnostic {
	return invalid(at, "%s%q is not a SHA-256 fingerprint. Take it from: openssl s_client -connect HOST:443 </dev/null | openssl x509 -noout -fingerprint -sha256\n\n%s", fromVariable(variable), value, err)
}

func validInventoryPath() validator.String {
	return check{"value must be an absolute inventory path, such as /DC0/vm/prod/web01", func(at path.Path, value string) diag.Diagnostic {
		switch {
		case hasControl(value):
			return invalid(at, "%.100q has a control character, which no name in vCenter has.", value)
		case !strings.HasPrefix(value, "/"):
			return invalid(at, "%q is not absolute. Write the full inventory path, starting with the datacenter, such as /DC0/vm/prod/web01.", value)
		case len(value) > 1 && strings.HasSuffix(value, "/"):
			return invalid(at, "%q ends with a slash. Write the path of a virtual machine without it: %q.", value, strings.TrimRight(value, "/"))
		case !strings.Contains(value, "/vm/") || strings.Contains(value, "//"):
			return invalid(at, "%q is not the inventory path of a virtual machine. Write the datacenter, then vm, then any folders, then the name: /DC0/vm/prod/web01. Write a slash in a name as %%2f, as vCenter does.", value)
		}
		return nil
	}}
}

var (
	uuidPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	macPattern  = regexp.MustCompile(`^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$`)
	moidPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

func validUUID() validator.String {
	return check{"value must be a UUID", func(at path.Path, value string) diag.Diagnostic {
		if uuidPattern.MatchString(value) {
			return nil
		}
		return invalid(at, "%q is not a UUID. Write the BIOS UUID of the virtual machine, such as 4230b6d1-5f2b-4b0c-9d3c-8f6b7c1a2e3d.", value)
	}}
}

func validMoid() validator.String {
	return check{"value must be a managed object ID, such as vm-123", func(at path.Path, value string) diag.Diagnostic {
		if moidPattern.MatchString(value) {
			return nil
		}
		return invalid(at, "%q is not a managed object ID. Write it as vCenter does, such as vm-123. For an inventory path use vm_path.", value)
	}}
}

func validDeviceKey() validator.String {
	return check{"value must be a device key, such as 2000", func(at path.Path, value string) diag.Diagnostic {
		if _, err := parseKey(value); err == nil {
			return nil
		}
		return invalid(at, "%q is not a device key. Write the key of a disk, such as \"2000\"; vma_cbt_status lists them.", value)
	}}
}

func parseKey(s string) (int32, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err == nil && (n < 0 || strconv.FormatInt(n, 10) != s) {
		err = strconv.ErrSyntax
	}
	return int32(n), err
}

func validNBDURI() validator.String {
	return check{"value must be an NBD URI at 127.0.0.1, such as nbd://127.0.0.1:10808/web01-0", func(at path.Path, value string) diag.Diagnostic {
		uri, err := nbd.ParseURI(value)
		switch {
		case err != nil:
			return invalid(at, "%q cannot be used as an NBD export. Write nbd://127.0.0.1:port/name.\n\n%s", value, err)
		case uri.Export == "":
			return invalid(at, "%q has no name of an export, but migratekit needs one. Write nbd://127.0.0.1:port/name.", value)
		case !uri.Local():
			return invalid(at, "%q is not on a port of 127.0.0.1, but migratekit connects to 127.0.0.1 only. Open a tunnel on this machine to the NBD server, and write nbd://127.0.0.1:port/name.", value)
		}
		return nil
	}}
}

func validDuration() validator.String {
	return check{"value must be a duration, such as 5m or 90s", func(at path.Path, value string) diag.Diagnostic {
		d, err := time.ParseDuration(value)
		switch {
		case err != nil:
			return invalid(at, "%q is not a duration. Write a number with a unit, such as 5m or 90s.", value)
		case d <= 0:
			return invalid(at, "%q is no time at all. Write a duration longer than zero, such as 5m or 90s.", value)
		}
		return nil
	}}
}

// validTimeout expects a value that the framework has validated as a duration.
func validTimeout() validator.String {
	return check{"value must be longer than zero", func(at path.Path, value string) diag.Diagnostic {
		if d, err := time.ParseDuration(value); err != nil || d > 0 {
			return nil
		}
		return invalid(at, "%q is no time at all. Write a duration longer than zero, such as 30m or 2h45m.", value)
	}}
}

// validMAC accepts only colons as separators, as vSphere and OpenStack write them.
func validMAC() validator.String {
	return check{"value must be a MAC address, such as 00:50:56:a1:b2:c3", func(at path.Path, value string) diag.Diagnostic {
		if macPattern.MatchString(value) {
			return nil
		}
		return diag.NewAttributeErrorDiagnostic(at, "Invalid network_mappings",
			fmt.Sprintf("%q is not a MAC address. Write it as vSphere shows it, such as 00:50:56:a1:b2:c3.", value))
	}}
}

func validFolder() validator.String {
	return check{"value must be an absolute inventory path, such as /DC0/vm/prod", func(at path.Path, value string) diag.Diagnostic {
		if strings.HasPrefix(value, "/") {
			return nil
		}
		return invalid(at, "%q is not absolute. Write the full inventory path, starting with the datacenter, such as /DC0/vm/prod.", value)
	}}
}

func validGlob() validator.String {
	return check{"value must be a pattern, such as web*", func(at path.Path, value string) diag.Diagnostic {
		if _, err := stdpath.Match(value, ""); err == nil && value != "" {
			return nil
		}
		return invalid(at, "%q is not a pattern: it is empty, ends with a backslash or has an unclosed bracket. Write a pattern such as web* or db0[1-4].", value)
	}}
}

const (
	// maxArgument bounds one argument or variable of migratekit, in bytes. Linux accepts 128 KiB.
	maxArgument = 100 << 10
	// maxArguments bounds extra_args, so that all arguments together stay below what Linux accepts.
	maxArguments = 100
)

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// unusable explains why a text cannot be passed to a process, or returns "". It does not quote the text, which may be secret.
func unusable(value string) string {
	switch {
	case hasControl(value):
		return "It has a control character, such as a line break."
	case len(value) > maxArgument:
		return fmt.Sprintf("It has %d bytes, and a process accepts %d in one value.", len(value), maxArgument)
	}
	return ""
}

// validArgument accepts what can be an argument of migratekit.
func validArgument() validator.String {
	return check{"value must be text without control characters", func(at path.Path, value string) diag.Diagnostic {
		if value == "" {
			return invalid(at, "An empty string is not allowed. Write a value, or remove it.")
		}
		if problem := unusable(value); problem != "" {
			return invalid(at, "The value cannot be passed to migratekit. %s", problem)
		}
		return nil
	}}
}

// validIdentifier accepts an ID or a name that migratekit's lists can hold: it separates them by commas.
func validIdentifier() validator.String {
	return check{"value must be an ID without separators", func(at path.Path, value string) diag.Diagnostic {
		switch {
		case value == "":
			return invalid(at, "An empty string is not an ID. Write an ID, or remove it.")
		case strings.ContainsAny(value, ",= ") || hasControl(value) || len(value) > maxArgument:
			return invalid(at, "%.100q is not an ID: it has a comma, an equals sign, a space or a control character, which migratekit would take for a separator.", value)
		}
		return nil
	}}
}

func validIP() validator.String {
	return check{"value must be an IP address", func(at path.Path, value string) diag.Diagnostic {
		if address, err := netip.ParseAddr(value); err == nil && address.Zone() == "" {
			return nil
		}
		return invalid(at, "%.100q is not an IP address. Write one such as 10.0.0.5, or remove it for any free address of the subnet.", value)
	}}
}

var variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func validVariable() validator.String {
	return check{"key must be the name of an environment variable", func(at path.Path, value string) diag.Diagnostic {
		if variablePattern.MatchString(value) {
			return nil
		}
		return invalid(path.Root("migratekit_environment"), "%.100q cannot be the name of an environment variable. Use letters, digits and underscores.", value)
	}}
}

// validVariableValue does not quote the value, which may be secret.
func validVariableValue() validator.String {
	return check{"value must be text that an environment can hold", func(at path.Path, value string) diag.Diagnostic {
		if strings.Contains(value, "\x00") || len(value) > maxArgument {
			return invalid(at, "The value has a NUL character, or more than %d bytes, and no process accepts that.", maxArgument)
		}
		return nil
	}}
}

func validPath() validator.String {
	return check{"value must be a path", func(at path.Path, value string) diag.Diagnostic {
		if hasControl(value) || len(value) > 4096 {
			return invalid(at, "%.100q is not a path: it has a control character, or is too long.", value)
		}
		return nil
	}}
}
