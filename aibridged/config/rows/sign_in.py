"""Settings of signing in with OpenID Connect, under the names of `coder server`."""
# ruff: noqa: RUF009  # option() is this table's way to call dataclasses.field()

import re
from dataclasses import dataclass

from aibridged.config import kinds, mappings
from aibridged.config.declare import Group, option
from aibridged.config.mappings import ListPairs, Pairs
from aibridged.config.secret import Secret


@dataclass(frozen=True, init=False, repr=False, eq=False)
class SignInRows:
    """Rows of `options.Settings`. Without `oidc_issuer_url` nobody can sign in."""

    access_url: str | None = option(
        "access-url",
        yaml="networking.accessURL",
        kind=kinds.OPTIONAL_URL,
        default="",
        group=Group.SIGN_IN,
        help="URL under which users reach the gateway; required for signing in.",
        restart=True,
    )
    oidc_issuer_url: str = option(
        "oidc-issuer-url",
        yaml="oidc.issuerURL",
        kind=kinds.ISSUER_URL,
        default="",
        group=Group.SIGN_IN,
        help="Issuer URL of the OpenID Connect provider at which users sign in.",
        restart=True,
    )
    oidc_client_id: str = option(
        "oidc-client-id",
        yaml="oidc.clientID",
        kind=kinds.TEXT,
        default="",
        group=Group.SIGN_IN,
        help="Client ID of the gateway at the OpenID Connect provider.",
        restart=True,
    )
    oidc_client_secret: Secret | None = option(
        "oidc-client-secret",
        yaml=None,
        kind=kinds.SECRET,
        default="",
        group=Group.SIGN_IN,
        help="Client secret of the gateway at the OpenID Connect provider.",
        restart=True,
    )
    oidc_scopes: tuple[str, ...] = option(
        "oidc-scopes",
        yaml="oidc.scopes",
        kind=kinds.WORDS,
        default="openid,profile,email",
        group=Group.SIGN_IN,
        help="Scopes of the sign-in; offline_access yields refresh tokens at most providers.",
        restart=True,
    )
    oidc_auth_url_params: Pairs = option(
        "oidc-auth-url-params",
        yaml="oidc.authURLParams",
        kind=mappings.URL_PARAMETERS,
        default='{"access_type": "offline"}',
        group=Group.SIGN_IN,
        help="Additional parameters of the authorization request.",
        restart=True,
    )
    oidc_allow_signups: bool = option(
        "oidc-allow-signups",
        yaml="oidc.allowSignups",
        kind=kinds.BOOL,
        default="true",
        group=Group.SIGN_IN,
        help="New users for people who sign in for the first time.",
        restart=True,
    )
    oidc_email_domain: tuple[str, ...] = option(
        "oidc-email-domain",
        yaml="oidc.emailDomain",
        kind=kinds.WORDS,
        default="",
        group=Group.SIGN_IN,
        help="Email domains of the people who may sign in.",
        restart=True,
    )
    oidc_ignore_email_verified: bool = option(
        "oidc-ignore-email-verified",
        yaml="oidc.ignoreEmailVerified",
        kind=kinds.BOOL,
        default="false",
        group=Group.SIGN_IN,
        help="Acceptance of email addresses that the provider has not verified.",
        restart=True,
    )
    oidc_ignore_userinfo: bool = option(
        "oidc-ignore-userinfo",
        yaml="oidc.ignoreUserInfo",
        kind=kinds.BOOL,
        default="false",
        group=Group.SIGN_IN,
        help="Claims of the ID token alone, without a request to the userinfo endpoint.",
        restart=True,
    )
    oidc_username_field: str = option(
        "oidc-username-field",
        yaml="oidc.usernameField",
        kind=kinds.TEXT,
        default="preferred_username",
        group=Group.SIGN_IN,
        help="Claim with the username.",
        restart=True,
    )
    oidc_name_field: str = option(
        "oidc-name-field",
        yaml="oidc.nameField",
        kind=kinds.TEXT,
        default="name",
        group=Group.SIGN_IN,
        help="Claim with the display name.",
        restart=True,
    )
    oidc_email_field: str = option(
        "oidc-email-field",
        yaml="oidc.emailField",
        kind=kinds.TEXT,
        default="email",
        group=Group.SIGN_IN,
        help="Claim with the email address.",
        restart=True,
    )
    oidc_group_field: str = option(
        "oidc-group-field",
        yaml="oidc.groupField",
        kind=kinds.TEXT,
        default="",
        group=Group.SIGN_IN,
        help="Claim with the groups; groups where that is one of --oidc-scopes.",
        restart=True,
    )
    oidc_group_mapping: Pairs = option(
        "oidc-group-mapping",
        yaml="oidc.groupMapping",
        kind=mappings.STRINGS,
        default="{}",
        group=Group.SIGN_IN,
        help="Names of groups by their names or ids in the claim.",
        restart=True,
    )
    oidc_allowed_groups: tuple[str, ...] = option(
        "oidc-allowed-groups",
        yaml="oidc.groupAllowed",
        kind=kinds.WORDS,
        default="",
        group=Group.SIGN_IN,
        help="Groups whose members may sign in, by the names that --oidc-group-mapping gives.",
        restart=True,
    )
    oidc_group_regex_filter: re.Pattern[str] = option(
        "oidc-group-regex-filter",
        yaml="oidc.groupRegexFilter",
        kind=kinds.REGEX,
        default=".*",
        group=Group.SIGN_IN,
        help="Expression that is searched for in groups' names; other groups are ignored.",
        restart=True,
    )
    oidc_group_auto_create: bool = option(
        "oidc-group-auto-create",
        yaml="oidc.enableGroupAutoCreate",
        kind=kinds.BOOL,
        default="false",
        group=Group.SIGN_IN,
        help="Creation of groups that are in the claim and do not exist.",
        restart=True,
    )
    oidc_user_role_field: str = option(
        "oidc-user-role-field",
        yaml="oidc.userRoleField",
        kind=kinds.TEXT,
        default="",
        group=Group.SIGN_IN,
        help="Claim with the roles; owner makes an administrator.",
        restart=True,
    )
    oidc_user_role_mapping: ListPairs = option(
        "oidc-user-role-mapping",
        yaml="oidc.userRoleMapping",
        kind=mappings.LISTS,
        default="{}",
        group=Group.SIGN_IN,
        help="Roles by their names in the claim.",
        restart=True,
    )
    oidc_sign_in_text: str = option(
        "oidc-sign-in-text",
        yaml="oidc.signInText",
        kind=kinds.TEXT,
        default="OpenID Connect",
        group=Group.SIGN_IN,
        help="Name of the OpenID Connect provider on the sign-in page.",
        restart=True,
    )
    session_duration: float = option(
        "session-duration",
        yaml="networking.http.sessionDuration",
        kind=kinds.POSITIVE_DURATION,
        default="24h",
        group=Group.SIGN_IN,
        help="Lifetime of a browser session.",
        restart=True,
    )
    bearer_ttl: float = option(
        "aibridge-bearer-ttl",
        yaml="aibridge.bearer_ttl",
        kind=kinds.POSITIVE_DURATION,
        default="1h",
        group=Group.SIGN_IN,
        help="Lifetime of an access token from signing in; disabled people are out after it.",
        restart=True,
    )
