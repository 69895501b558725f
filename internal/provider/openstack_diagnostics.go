package provider

import (
	"errors"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"

	"github.com/vma-project/terraform-provider-vma/internal/openstack"
)

// openStackDiagnostic converts an error of OpenStack.
func openStackDiagnostic(err error) diag.Diagnostic {
	var login *openstack.LoginError
	var refused *openstack.AuthError
	var outage *openstack.UnreachableError
	var trust *openstack.TrustError
	var host *openstack.HostError
	switch {
	case errors.As(err, &login):
		return diag.NewErrorDiagnostic("Missing OpenStack Environment",
			"The login to OpenStack cannot be used: "+login.Problems()+". A login comes from one source: from openstack in the provider block, else from the OS_* of migratekit_environment, else from those of Terraform's environment. "+
				"It needs auth_url (OS_AUTH_URL); a user (OS_USERNAME with OS_USER_DOMAIN_NAME, or OS_USER_ID) with a password (OS_PASSWORD) and a project (OS_PROJECT_ID), or an application credential with its secret. Nothing was copied.")
	case errors.As(err, &refused):
		return diag.NewErrorDiagnostic("Unable to Log In to OpenStack",
			fmt.Sprintf("OpenStack refused the login, or does not know the project or the region. Check openstack of the provider, or the OS_* variables. Nothing was copied.\n\n%v", refused))
	case errors.As(err, &host):
		return diag.NewAttributeErrorDiagnostic(path.Root("openstack"), "This Machine Is Not a Server of the Project",
			fmt.Sprintf("migratekit attaches the volumes to the machine that it runs on, which must be a server of the same project and have its metadata service (169.254.169.254). Run Terraform on such a server. Nothing was copied.\n\n%v", host))
	case errors.As(err, &trust):
		return diag.NewErrorDiagnostic("Unable to Trust OpenStack",
			fmt.Sprintf("The certificate of OpenStack cannot be verified. Set cacert_file of openstack in the provider block (OS_CACERT) to the certificate of its authority. Nothing was copied.\n\n%v", trust))
	case errors.As(err, &outage):
		return diag.NewErrorDiagnostic("Unable to Connect to OpenStack",
			fmt.Sprintf("OpenStack cannot be reached, or is not well. Check auth_url (OS_AUTH_URL), and check that this machine can reach it. Nothing was copied.\n\n%v", outage))
	}
	return diag.NewErrorDiagnostic("Unable to Read OpenStack", sentence(err))
}
