package provider

import (
	"context"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/vma-project/terraform-provider-vma/internal/openstack"
)

type openStackLoginModel struct {
	Cloud                       types.String `tfsdk:"cloud"`
	AuthURL                     types.String `tfsdk:"auth_url"`
	Region                      types.String `tfsdk:"region"`
	UserName                    types.String `tfsdk:"user_name"`
	UserID                      types.String `tfsdk:"user_id"`
	Password                    types.String `tfsdk:"password"`
	ApplicationCredentialID     types.String `tfsdk:"application_credential_id"`
	ApplicationCredentialName   types.String `tfsdk:"application_credential_name"`
	ApplicationCredentialSecret types.String `tfsdk:"application_credential_secret"`
	ProjectID                   types.String `tfsdk:"project_id"`
	ProjectName                 types.String `tfsdk:"project_name"`
	UserDomainID                types.String `tfsdk:"user_domain_id"`
	UserDomainName              types.String `tfsdk:"user_domain_name"`
	ProjectDomainID             types.String `tfsdk:"project_domain_id"`
	ProjectDomainName           types.String `tfsdk:"project_domain_name"`
	CACertFile                  types.String `tfsdk:"cacert_file"`
	Insecure                    types.Bool   `tfsdk:"insecure"`
}

func openStackLoginAttribute() schema.Attribute {
	text := func(description string) schema.Attribute {
		return schema.StringAttribute{MarkdownDescription: description, Optional: true}
	}
	secret := func(description string) schema.Attribute {
		return schema.StringAttribute{MarkdownDescription: description, Optional: true, Sensitive: true}
	}
	return schema.SingleNestedAttribute{
		MarkdownDescription: "Login to OpenStack, with the names of the OpenStack provider. The login comes from one source: from this block, else from the `OS_*` of `migratekit_environment`, else from those of Terraform's environment. " +
			"The provider logs in once, and gives migratekit the login in a form that it accepts. Default: the environment.",
		Optional: true,
		Attributes: map[string]schema.Attribute{
			"cloud":                         text("Entry of clouds.yaml to take the login from; the other attributes win over it. Environment: `OS_CLOUD`."),
			"auth_url":                      text("Address of Keystone. Environment: `OS_AUTH_URL`."),
			"region":                        text("Region. Environment: `OS_REGION_NAME`."),
			"user_name":                     text("Name of the user. Environment: `OS_USERNAME`."),
			"user_id":                       text("ID of the user. Environment: `OS_USER_ID` or `OS_USERID`."),
			"password":                      secret("Password of the user. Environment: `OS_PASSWORD`."),
			"application_credential_id":     text("ID of an application credential. Environment: `OS_APPLICATION_CREDENTIAL_ID`."),
			"application_credential_name":   text("Name of an application credential of the user. Environment: `OS_APPLICATION_CREDENTIAL_NAME`."),
			"application_credential_secret": secret("Secret of the application credential. Environment: `OS_APPLICATION_CREDENTIAL_SECRET`."),
			"project_id":                    text("ID of the project. Environment: `OS_PROJECT_ID`."),
			"project_name":                  text("Name of the project. Environment: `OS_PROJECT_NAME`."),
			"user_domain_id":                text("ID of the user's domain. Environment: `OS_USER_DOMAIN_ID` or `OS_DOMAIN_ID`."),
			"user_domain_name":              text("Name of the user's domain. Environment: `OS_USER_DOMAIN_NAME` or `OS_DOMAIN_NAME`."),
			"project_domain_id":             text("ID of the project's domain. Environment: `OS_PROJECT_DOMAIN_ID` or `OS_DOMAIN_ID`."),
			"project_domain_name":           text("Name of the project's domain. Environment: `OS_PROJECT_DOMAIN_NAME` or `OS_DOMAIN_NAME`."),
			"cacert_file":                   text("PEM file with CAs to trust beside the system's. Environment: `OS_CACERT`."),
			"insecure":                      schema.BoolAttribute{MarkdownDescription: "Whether to accept any certificate; `cacert_file` is safer. Environment: `OS_INSECURE`.", Optional: true},
		},
	}
}

// openStack returns a client for the first source that has a login, or nil.
func (m providerModel) openStack(ctx context.Context, environment map[string]string, userAgent string, diags *diag.Diagnostics) *openstack.Client {
	if login, ok := m.openStackLogin(ctx, diags); ok {
		return openstack.NewClient(login, userAgent)
	}
	for _, getenv := range []func(string) string{func(name string) string { return environment[name] }, os.Getenv} {
		if login, ok := openstack.FromEnvironment(getenv); ok {
			return openstack.NewClient(login, userAgent)
		}
	}
	return nil
}

// openStackLogin returns the login of the provider block; ok is false if it has none.
func (m providerModel) openStackLogin(ctx context.Context, diags *diag.Diagnostics) (login openstack.Login, ok bool) {
	if m.OpenStack.IsNull() {
		return login, false
	}
	var model openStackLoginModel
	diags.Append(m.OpenStack.As(ctx, &model, basetypes.ObjectAsOptions{})...)
	login = openstack.Login{
		Cloud: model.Cloud.ValueString(), AuthURL: model.AuthURL.ValueString(), Region: model.Region.ValueString(),
		UserName: model.UserName.ValueString(), UserID: model.UserID.ValueString(), Password: model.Password.ValueString(),
		ApplicationCredentialID:     model.ApplicationCredentialID.ValueString(),
		ApplicationCredentialName:   model.ApplicationCredentialName.ValueString(),
		ApplicationCredentialSecret: model.ApplicationCredentialSecret.ValueString(),
		ProjectID:                   model.ProjectID.ValueString(), ProjectName: model.ProjectName.ValueString(),
		UserDomainID: model.UserDomainID.ValueString(), UserDomainName: model.UserDomainName.ValueString(),
		ProjectDomainID: model.ProjectDomainID.ValueString(), ProjectDomainName: model.ProjectDomainName.ValueString(),
		CACertFile: model.CACertFile.ValueString(), Insecure: model.Insecure.ValueBool(),
	}
	return login, login.IsSet()
}
