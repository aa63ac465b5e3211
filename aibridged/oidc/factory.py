"""Makes the identity provider that the settings name."""

from aibridged.clock import Clock
from aibridged.config import public_issuers
from aibridged.config.check_sign_in import group_field
from aibridged.config.options import Settings
from aibridged.core.claims import ClaimRules
from aibridged.oidc.http import Http
from aibridged.oidc.provider import Client, OpenIdProvider


def make_provider(settings: Settings, clock: Clock) -> OpenIdProvider:
    """The provider of `--oidc-issuer-url`, which nothing has been asked of yet."""
    client = Client(
        issuer=settings.oidc_issuer_url,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        scopes=settings.oidc_scopes,
        rules=claim_rules(settings),
        url_parameters=settings.oidc_auth_url_params,
        ignore_userinfo=settings.oidc_ignore_userinfo,
    )
    return OpenIdProvider(client, Http(settings.outbound), clock)


def claim_rules(settings: Settings) -> ClaimRules:
    """Which claims count, and who may sign in."""
    issuer = settings.oidc_issuer_url
    return ClaimRules(
        username_field=settings.oidc_username_field,
        name_field=settings.oidc_name_field,
        email_field=settings.oidc_email_field,
        email_domains=frozenset(map(str.lower, settings.oidc_email_domain)),
        ignore_email_verified=settings.oidc_ignore_email_verified,
        hosted_domain=issuer.rstrip("/") == public_issuers.GOOGLE,
        group_field=group_field(settings),
        group_mapping=dict(settings.oidc_group_mapping),
        allowed_groups=frozenset(settings.oidc_allowed_groups),
        group_filter=settings.oidc_group_regex_filter,
        role_field=settings.oidc_user_role_field,
        role_mapping=dict(settings.oidc_user_role_mapping),
    )
