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

// vmDiagnostic turns an error about a VM into what the practitioner reads: what
// happened to which object, what to do, and the cause. Verb is what was tried
// ("Read Virtual Machine"), at the attribute that names the VM.
func vmDiagnostic(verb string, at path.Path, err error) diag.Diagnostic {
	if _, left := errors.AsType[*cbt.LeftSnapshotError](err); left {
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
	)
	attribute := strings.TrimSpace(at.String())
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return diag.NewAttributeErrorDiagnostic(at, "Unable to "+verb,
			"The operation did not end within its timeout. Raise it in timeouts if vCenter only needs longer. The next plan shows what is left to do.\n\n"+err.Error())
	case errors.Is(err, context.Canceled):
		return diag.NewAttributeErrorDiagnostic(at, "Unable to "+verb, "The operation was interrupted, and what was begun was tidied up. The next apply goes on.\n\n"+err.Error())
	case errors.As(err, &blocked):
		return diag.NewAttributeErrorDiagnostic(at, "Unable to "+verb, sentence(blocked))
	case errors.As(err, &notVM):
		return diag.NewAttributeErrorDiagnostic(at, "Invalid "+attribute,
			sentence(notVM)+" Write the path of a virtual machine.")
	case errors.As(err, &ambiguous):
		return diag.NewAttributeErrorDiagnostic(at, "Invalid "+attribute,
			fmt.Sprintf("There are %s. Name the one that you mean by vm_path or vm_moid.", ambiguous))
	case errors.Is(err, vsphere.ErrNotFound):
		return diag.NewAttributeErrorDiagnostic(at, "Virtual Machine Not Found",
			fmt.Sprintf("vCenter has no virtual machine for this %s, or the account may not see it. Check the value, and that the account has System.Read on it; where the virtual machine is gone, remove it from the configuration.\n\n%v", attribute, err))
	case errors.As(err, &permission):
		return diag.NewAttributeErrorDiagnostic(at, "Missing vCenter Privilege",
			fmt.Sprintf("The account has no %s on %s. Add the privilege to its role, and apply again.\n\n%v", permission.Privilege, permission.Object, err))
	case errors.As(err, &disabled):
		return diag.NewAttributeErrorDiagnostic(at, "Unable to "+verb,
			"Somebody holds the virtual machine, as backup products do. Wait for it to let go, or enable the operation again.\n\n"+err.Error())
	}
	return diag.NewAttributeErrorDiagnostic(at, "Unable to "+verb, sentence(err)+adviceFor(err))
}

// adviceFor is for what vCenter answered, or did not, and nobody expected.
func adviceFor(err error) string {
	if _, fault := errors.AsType[*vsphere.FaultError](err); fault {
		return "\n\nPlan again; where it happens again, the tasks and events of the virtual machine in vCenter say more."
	}
	if _, network := errors.AsType[net.Error](err); network {
		return "\n\nvCenter gave no answer. Plan again when it does; what was begun is shown by the plan."
	}
	return ""
}

// connectionDiagnostic is for errors that have to do with the provider block,
// nil for others.
func connectionDiagnostic(err error) diag.Diagnostic {
	var (
		connect     *vsphere.ConnectError
		refused     *vsphere.InvalidLoginError
		certificate *tls.CertificateVerificationError
		thumbprint  *vsphere.ThumbprintError
		authority   x509.UnknownAuthorityError
	)
	if !errors.As(err, &connect) {
		return nil
	}
	switch {
	case errors.As(err, &refused):
		return diag.NewErrorDiagnostic("Unable to Log In to vCenter",
			fmt.Sprintf("vCenter %q refused the user name or the password. Check username (VSPHERE_USER) and password (VSPHERE_PASSWORD) of the provider. It was tried once only, so that the account is not locked.", connect.Server))
	case errors.As(err, &thumbprint):
		return diag.NewErrorDiagnostic("Unable to Trust vCenter",
			fmt.Sprintf("vCenter %q showed another certificate than the one that thumbprint (VSPHERE_THUMBPRINT) names. Where its certificate was renewed, write the new fingerprint.\n\n%s", connect.Server, thumbprint))
	case errors.As(err, &certificate), errors.As(err, &authority):
		return diag.NewErrorDiagnostic("Unable to Trust vCenter",
			fmt.Sprintf("The certificate of vCenter %q cannot be verified. Give the certificate of its authority in ca_file (VSPHERE_CA_FILE), or its own fingerprint in thumbprint (VSPHERE_THUMBPRINT)%s. To accept any certificate, set insecure (VSPHERE_ALLOW_UNVERIFIED_SSL) to true.\n\n%s",
				connect.Server, shownFingerprint(certificate), connect.Err))
	case errors.Is(err, context.Canceled):
		return diag.NewErrorDiagnostic("Unable to Connect to vCenter", "The operation was interrupted while it connected to vCenter. The next plan shows what is left to do.")
	}
	return diag.NewErrorDiagnostic("Unable to Connect to vCenter",
		fmt.Sprintf("No session could be made with vCenter %q. Check vcenter (VSPHERE_SERVER) of the provider, and that this machine reaches it.\n\n%s", connect.Server, connect.Err))
}

func shownFingerprint(err *tls.CertificateVerificationError) string {
	if err == nil || len(err.UnverifiedCertificates) == 0 {
		return ""
	}
	sum := sha256.Sum256(err.UnverifiedCertificates[0].Raw)
	return ", which was " + strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":") + " here"
}

// hintDestroy adds to what a plan refuses of a resource that exists how to let go
// of it all the same: Terraform plans before it destroys, too.
func hintDestroy(d diag.Diagnostic, exists bool) diag.Diagnostic {
	if !exists || d.Severity() != diag.SeverityError {
		return d
	}
	detail := d.Detail() + "\n\nTo destroy the resource as things are: terraform destroy -refresh=false."
	if at, ok := d.(diag.DiagnosticWithPath); ok {
		return diag.NewAttributeErrorDiagnostic(at.Path(), d.Summary(), detail)
	}
	return diag.NewErrorDiagnostic(d.Summary(), detail)
}

// sentence makes a sentence of an error's text.
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

// unknownProvider is for a read that cannot be put off.
func unknownProvider(at path.Path) diag.Diagnostic {
	return diag.NewAttributeErrorDiagnostic(at, "Unable to Read Change Tracking",
		"The provider's configuration depends on values that are known only after apply. Give the provider values that are known now; what reads can also be put off with depends_on until they are.")
}
