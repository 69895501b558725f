package provider

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
)

// vmDiagnostic converts an error about a VM into a diagnostic: what happened, what to do, and the cause. verb
// is the operation ("Read Virtual Machine"), at the attribute that names the VM.
func vmDiagnostic(verb string, at path.Path, err error) diag.Diagnostic {
	if _, left := errors.AsType[*cbt.LeftSnapshotError](err); left && errors.Is(err, cbt.ErrUnanswered) {
		return diag.NewAttributeErrorDiagnostic(at, "Unable to "+verb, sentence(err))
	} else if left {
		return diag.NewAttributeErrorDiagnostic(at, "Unable to Remove Temporary Snapshot", sentence(err))
	}
	if d := connectionDiagnostic(err); d != nil {
		return d
	}
	var (
		blocked    *cbt.BlockedError
		notVM      *vsphere.NotVMError
		ambiguous  *vsphere.AmbiguousError
		permission *vsphere.NoPermissionError
		disabled   *vsphere.MethodDisabledError
		instance   *vsphere.InstanceUUIDError
	)
	attribute := strings.TrimSpace(at.String())
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return diag.NewAttributeErrorDiagnostic(at, "Unable to "+verb,
			"The operation did not finish within its timeout. If vCenter only needs more time, raise the value in timeouts. The next plan shows what is left to do.\n\n"+err.Error())
	case errors.Is(err, context.Canceled):
		return diag.NewAttributeErrorDiagnostic(at, "Unable to "+verb, "The operation was interrupted and cleaned up. Run it again to continue.\n\n"+err.Error())
	case errors.As(err, &blocked):
		return diag.NewAttributeErrorDiagnostic(at, "Unable to "+verb, sentence(blocked))
	case errors.As(err, &notVM):
		return diag.NewAttributeErrorDiagnostic(at, "Invalid "+attribute,
			sentence(notVM)+" Write the path of a virtual machine.")
	case errors.As(err, &ambiguous):
		return diag.NewAttributeErrorDiagnostic(at, "Invalid "+attribute,
			fmt.Sprintf("There are %s. Select one of them with vm_path or vm_moid.", ambiguous))
	case errors.As(err, &instance):
		return diag.NewAttributeErrorDiagnostic(at, "Virtual Machine Not Found",
			sentence(instance)+" vm_uuid takes the BIOS UUID: write that one.")
	case errors.Is(err, vsphere.ErrNotFound):
		return diag.NewAttributeErrorDiagnostic(at, "Virtual Machine Not Found",
			fmt.Sprintf("vCenter has no virtual machine for this %s, or the account cannot see it. Check the value, and check that the account has System.Read on the virtual machine. If the virtual machine was deleted, remove it from the configuration.\n\n%v", attribute, err))
	case errors.As(err, &permission):
		return diag.NewAttributeErrorDiagnostic(at, "Missing vCenter Privilege",
			fmt.Sprintf("The account does not have the privilege %s on %s. Add the privilege to its role, and run Terraform again.\n\n%v", permission.Privilege, permission.Object, err))
	case errors.As(err, &disabled):
		return diag.NewAttributeErrorDiagnostic(at, "Unable to "+verb,
			"Another product, such as a backup product, disabled this operation on the virtual machine. Wait until it enables the operation again, or enable it yourself.\n\n"+err.Error())
	}
	return diag.NewAttributeErrorDiagnostic(at, "Unable to "+verb, sentence(err)+adviceFor(err))
}

// adviceFor returns advice for unexpected vCenter faults and network errors.
func adviceFor(err error) string {
	if fault, ok := errors.AsType[*vsphere.FaultError](err); ok && remedies[fault.Fault] != "" {
		return "\n\n" + remedies[fault.Fault]
	}
	if _, ok := errors.AsType[*vsphere.InaccessibleError](err); ok {
		return "\n\nBring the host and the datastore of the virtual machine back, or register it again. To destroy the resource now, run: terraform destroy -refresh=false."
	}
	if _, fault := errors.AsType[*vsphere.FaultError](err); fault {
		return "\n\nPlan again. If the error comes back, look at the tasks and events of the virtual machine in vCenter."
	}
	if _, network := errors.AsType[net.Error](err); network {
		return "\n\nvCenter did not answer. Plan again when it is reachable: the plan shows what is left to do."
	}
	return ""
}

// remedies are for faults of vCenter that people meet, by their names in the API.
var remedies = map[string]string{
	"HostNotConnected":           "The host of the virtual machine is not connected to vCenter. Connect it, and run Terraform again.",
	"InvalidPowerState":          "The virtual machine was powered on, powered off or suspended meanwhile. Run Terraform again.",
	"RestrictedVersion":          "The license of the host does not allow this operation, as on a free ESXi. Assign a license that does.",
	"FileLocked":                 "Another host or product has a file of the virtual machine open, such as a backup proxy with its disk attached. Wait until it is released, and run Terraform again.",
	"InsufficientResourcesFault": "The host or its cluster has too few resources. Free some, or move the virtual machine, and run Terraform again.",
	"NoDiskSpace":                "The datastore of the virtual machine is full. A snapshot needs free space: free some, or move the virtual machine, and run Terraform again.",
}

// connectionDiagnostic returns a diagnostic for connection and login errors, nil for others.
func connectionDiagnostic(err error) diag.Diagnostic {
	var (
		connect     *vsphere.ConnectError
		refused     *vsphere.InvalidLoginError
		certificate *tls.CertificateVerificationError
		thumbprint  *vsphere.ThumbprintError
		authority   x509.UnknownAuthorityError
		busy        *vsphere.BusyError
	)
	if !errors.As(err, &connect) {
		return nil
	}
	switch {
	case errors.As(err, &refused):
		return diag.NewErrorDiagnostic("Unable to Log In to vCenter",
			fmt.Sprintf("vCenter %q refused the user name or the password. Check username (VSPHERE_USER) and password (VSPHERE_PASSWORD) of the provider. The provider tried only once, so that the account is not locked.", connect.Server))
	case errors.As(err, &thumbprint):
		return diag.NewErrorDiagnostic("Unable to Trust vCenter",
			fmt.Sprintf("The certificate that vCenter %q sent does not match thumbprint (VSPHERE_THUMBPRINT). If the certificate was renewed, verify the new fingerprint and set thumbprint to it.\n\n%s", connect.Server, thumbprint))
	case errors.As(err, &certificate), errors.As(err, &authority):
		return diag.NewErrorDiagnostic("Unable to Trust vCenter",
			fmt.Sprintf("The certificate of vCenter %q cannot be verified. Set ca_file (VSPHERE_CA_FILE) to the certificate of its authority, or its own fingerprint in thumbprint (VSPHERE_THUMBPRINT)%s. To accept any certificate, set insecure (VSPHERE_ALLOW_UNVERIFIED_SSL) to true.\n\n%s",
				connect.Server, shownFingerprint(certificate), connect.Err))
	case errors.As(err, &busy):
		return diag.NewErrorDiagnostic("Unable to Connect to vCenter",
			fmt.Sprintf("vCenter %q accepted no session for a minute: it is busy or starting, or something between this machine and vCenter drops the connection. Run Terraform again when it is ready, and check vcenter (VSPHERE_SERVER) of the provider if it stays so.\n\n%s", connect.Server, busy))
	case errors.Is(err, context.Canceled):
		return diag.NewErrorDiagnostic("Unable to Connect to vCenter", "The operation was interrupted while it connected to vCenter. The next plan shows what is left to do.")
	}
	return diag.NewErrorDiagnostic("Unable to Connect to vCenter",
		fmt.Sprintf("The provider could not connect to vCenter %q. Check vcenter (VSPHERE_SERVER) of the provider, and check that this machine can reach it.\n\n%s", connect.Server, connect.Err))
}

func shownFingerprint(err *tls.CertificateVerificationError) string {
	if err == nil || len(err.UnverifiedCertificates) == 0 {
		return ""
	}
	sum := sha256.Sum256(err.UnverifiedCertificates[0].Raw)
	return ", which is " + strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":") + " on this connection"
}

// hintDestroy adds how to destroy the resource in spite of the error: Terraform also plans before it destroys.
func hintDestroy(d diag.Diagnostic, exists bool) diag.Diagnostic {
	if !exists || d.Severity() != diag.SeverityError {
		return d
	}
	detail := d.Detail() + "\n\nTo destroy the resource anyway, run: terraform destroy -refresh=false."
	if at, ok := d.(diag.DiagnosticWithPath); ok {
		return diag.NewAttributeErrorDiagnostic(at.Path(), d.Summary(), detail)
	}
	return diag.NewErrorDiagnostic(d.Summary(), detail)
}

// sentence returns the error text with a capital letter and a full stop.
func sentence(err error) string {
	s := err.Error()
	if s == "" {
		return s
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if strings.HasSuffix(s, ".") || strings.Contains(s, "\n") {
		return s
	}
	return s + "."
}

// unknownProvider is the error for a read that cannot wait until the provider is configured.
func unknownProvider(at path.Path) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(at, "Unable to Read Change Tracking",
		"The provider's configuration depends on values that are known only after apply. Use values that are known at plan time, or delay this read with depends_on until the values are known.")
}
