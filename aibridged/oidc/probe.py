"""Probe that asks an identity provider once for what signing in needs, for a check."""

from dataclasses import dataclass

from aibridged.clock import SystemClock
from aibridged.config.options import Settings
from aibridged.oidc import metadata
from aibridged.oidc.base import ProviderUnavailableError
from aibridged.oidc.factory import make_provider
from aibridged.oidc.http import Http
from aibridged.oidc.id_token import read_keys
from aibridged.oidc.metadata import Metadata

OFFLINE_ACCESS = "offline_access"


@dataclass(frozen=True, slots=True)
class IssuerCheck:
    """What came of asking: the number of `keys`, or the `error`; `notes` are sentences."""

    issuer: str
    error: str | None
    keys: int = 0
    notes: tuple[str, ...] = ()


async def probe_issuer(settings: Settings) -> IssuerCheck:
    """Ask the issuer of the settings, and whether it accepts the gateway as its client."""
    issuer, provider = settings.oidc_issuer_url, make_provider(settings, SystemClock())
    http = provider.http
    try:
        document = await _body(http, "discovery document", metadata.well_known(issuer))
        found = metadata.read(document, issuer)
        keys = read_keys(await _body(http, "jwks_uri", found.jwks_uri))
        await provider.check_client(found, f"{settings.access_url}/oauth/callback")
    except ProviderUnavailableError as error:
        return IssuerCheck(issuer, error.reason)
    finally:
        await http.close()
    return IssuerCheck(issuer, None, len(keys.keys), tuple(_notes(found, settings)))


async def _body(http: Http, what: str, url: str) -> bytes:
    answer = await http.get(what, url)
    if answer.status != 200:
        raise ProviderUnavailableError(f"its {what} responded with status {answer.status} ({url})")
    return answer.body


def _notes(found: Metadata, settings: Settings) -> list[str]:
    scopes, notes = settings.oidc_scopes, list[str]()
    supported = found.scopes_supported
    if supported is not None:
        unknown = [scope for scope in scopes if scope not in supported]
        if unknown:
            notes.append(f"It does not list {', '.join(unknown)} of --oidc-scopes.")
        if OFFLINE_ACCESS in supported and OFFLINE_ACCESS not in scopes:
            notes.append(
                f"It lists the scope {OFFLINE_ACCESS}, which is not among --oidc-scopes: without "
                "refresh tokens people have to sign in again more often."
            )
    if found.userinfo_endpoint is None and not settings.oidc_ignore_userinfo:
        notes.append("It has no userinfo endpoint: the claims are those of the ID token.")
    methods = found.code_challenge_methods_supported
    if methods is not None and "S256" not in methods:
        notes.append("It does not list PKCE with S256, which the gateway uses.")
    return notes
