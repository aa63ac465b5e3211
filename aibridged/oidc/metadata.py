"""An identity provider's discovery document (OpenID Connect Discovery 1.0, section 3), checked."""

from urllib.parse import urlsplit

import msgspec

from aibridged.config.kinds import is_loopback
from aibridged.oidc.base import ProviderUnavailableError

_MAX_URL = 2048


class Metadata(msgspec.Struct, frozen=True):
    """What is used of the document. Endpoints are https URLs, or http ones on loopback."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] | None = None
    scopes_supported: list[str] | None = None
    code_challenge_methods_supported: list[str] | None = None

    @property
    def posts_secret(self) -> bool:
        """Whether the client's secret belongs in the form, and not in the header."""
        methods = self.token_endpoint_auth_methods_supported or ["client_secret_basic"]
        return "client_secret_basic" not in methods and "client_secret_post" in methods


_decode = msgspec.json.Decoder(Metadata).decode


def well_known(issuer: str) -> str:
    """The URL of an issuer's document."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def read(document: bytes, issuer: str) -> Metadata:
    """Parse and check the document of this issuer.

    Raises:
        ProviderUnavailableError: it isn't one, or another's; the message says how to fix it.
    """
    try:
        metadata = _decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProviderUnavailableError(
            f"{well_known(issuer)} is not the discovery document of an OpenID Connect provider; "
            "check --oidc-issuer-url"
        ) from None
    if metadata.issuer != issuer:
        shown = metadata.issuer if _is_endpoint(metadata.issuer) else "something else"
        raise ProviderUnavailableError(
            f"it calls itself {shown}, and not {issuer}; set --oidc-issuer-url to exactly that"
        )
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
        url = getattr(metadata, name)
        if url is not None and not _is_endpoint(url):
            raise ProviderUnavailableError(f"its {name} is not an https:// URL")
    return metadata


def _is_endpoint(text: str) -> bool:
    if len(text) > _MAX_URL or not all("!" <= character <= "~" for character in text):
        return False
    try:
        url = urlsplit(text)
        host, _ = url.hostname, url.port
    except ValueError:
        return False
    if not host or url.username is not None or url.fragment:
        return False
    return url.scheme == "https" or (url.scheme == "http" and is_loopback(host))
