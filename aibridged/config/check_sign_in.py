"""Validation of the settings of signing in: what keeps people out, or lets anybody in."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from aibridged.config import public_issuers
from aibridged.config.declare import Group
from aibridged.config.kinds import is_loopback
from aibridged.config.options import OPTIONS, Settings
from aibridged.config.resolution import Mistake
from aibridged.config.sources import Given
from aibridged.config.tls_files import Where
from aibridged.counted import noun

_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.IGNORECASE | re.ASCII)
_GROUPS = "groups"
# These say something without an issuer, too.
_OF_OTHERS = frozenset({"access_url", "session_duration", "bearer_ttl"})


def group_field(settings: Settings) -> str:
    """The claim with the groups; "" where groups don't come from the identity provider."""
    return settings.oidc_group_field or (_GROUPS if _GROUPS in settings.oidc_scopes else "")


def mistakes(settings: Settings, where: Where) -> Iterator[Mistake]:
    """What keeps the daemon from letting people sign in, or would let in anybody."""
    if not settings.oidc_issuer_url:
        return
    yield from _missing(settings, where)
    yield from _access_url(settings, where)
    yield from _who_may(settings, where)
    if any(" " in scope for scope in settings.oidc_scopes):
        yield Mistake(
            where("oidc_scopes"), "a scope has no blanks", "Separate the scopes by commas."
        )
    elif "openid" not in settings.oidc_scopes:
        yield Mistake(
            where("oidc_scopes"), "the scope openid is missing", "Add openid to --oidc-scopes."
        )
    for domain in settings.oidc_email_domain:
        if not _DOMAIN.fullmatch(domain):
            yield Mistake(
                where("oidc_email_domain"),
                f"{domain!r} is not a domain",
                "Write what follows the @ of the email addresses, such as example.com.",
            )


def warnings(settings: Settings, given: Mapping[str, Given]) -> Iterator[str]:
    """Settings that have no effect as they are."""
    if not settings.oidc_issuer_url:
        idle = [
            given[option.name].where
            for option in OPTIONS
            if option.group is Group.SIGN_IN
            and option.name in given
            and option.name not in _OF_OTHERS
            # `coder server` writes all of its settings into a file.
            and getattr(settings, option.name) != option.kind.parse(option.default)
        ]
        if idle:
            have = noun(len(idle), "has", "have")
            yield f"{', '.join(idle)} {have} no effect without --oidc-issuer-url."
        return
    if not group_field(settings):
        for name in ("oidc_group_mapping", "oidc_group_auto_create"):
            if getattr(settings, name):
                yield f"{_FLAGS[name]} has no effect without --oidc-group-field."
    if settings.oidc_user_role_mapping and not settings.oidc_user_role_field:
        yield "--oidc-user-role-mapping has no effect without --oidc-user-role-field."


def _missing(settings: Settings, where: Where) -> Iterator[Mistake]:
    issuer = where("oidc_issuer_url")
    if settings.auth != "token":
        yield Mistake(
            where("auth"),
            f"people who sign in get the gateway's own tokens, which {settings.auth} does not know",
            "Set --aibridge-auth to token, or remove --oidc-issuer-url.",
        )
    if not settings.oidc_client_id:
        yield Mistake(
            issuer,
            "--oidc-client-id is missing",
            "Set it to the client ID that the OpenID Connect provider has given the gateway.",
        )


def without_access_url(settings: Settings, where: Where) -> Iterator[Mistake]:
    """The identity provider has to know where to send people back to."""
    if settings.oidc_issuer_url and settings.access_url is None:
        yield Mistake(
            where("oidc_issuer_url"),
            "--access-url is missing",
            "Set it to the URL under which users reach the gateway; the provider sends them back "
            "there, to /oauth/callback.",
        )


def _access_url(settings: Settings, where: Where) -> Iterator[Mistake]:
    url = urlsplit(settings.access_url or "")
    if url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield Mistake(
            where("access_url"),
            "signing in over http:// would show everybody's codes and tokens to the network",
            "Set it to an https:// URL; only loopback addresses may do without.",
        )
    if url.path:
        yield Mistake(
            where("access_url"),
            f"has the path {url.path}, and clients look for the sign-in at the root of a host",
            "Give the gateway a host of its own.",
        )


def _who_may(settings: Settings, where: Where) -> Iterator[Mistake]:
    issuer = settings.oidc_issuer_url
    if public_issuers.is_of_no_tenant(issuer):
        yield Mistake(
            where("oidc_issuer_url"),
            "stands for all tenants of Microsoft Entra, and each of them is an issuer of its own",
            "Set it to your tenant's: https://login.microsoftonline.com/TENANT-ID/v2.0.",
        )
    elif (owner := public_issuers.owner(issuer)) is not None and not (
        settings.oidc_email_domain or settings.oidc_allowed_groups
    ):
        yield Mistake(
            where("oidc_issuer_url"),
            f"anybody can have an account at {owner}, and so sign in here",
            "Set --oidc-email-domain to your domain, or --oidc-allowed-groups to those who may.",
        )
    if settings.oidc_allowed_groups and not group_field(settings):
        yield Mistake(
            where("oidc_allowed_groups"),
            "nobody could sign in, as it is not known which claim has the groups",
            "Set --oidc-group-field to the claim's name.",
        )


_FLAGS = {option.name: option.flag for option in OPTIONS}
