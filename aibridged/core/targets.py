"""Which request targets are looked at at all.

A provider decodes, normalises and routes a path by its own rules, so nothing ambiguous may reach
it: a path that could mean another path is refused here, before it is compared with the routes.
"""

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from aibridged.gateway_tokens import holds_token

PREFIXES = ("/api/v2/aibridge", "/api/v2/ai-gateway")
CERTIFICATE_PATH = "/proxy/ca-cert.pem"
"""Below the prefixes: the certificate of the CA that clients of the AI Proxy have to trust."""
CERTIFICATE_TYPE = "application/x-pem-file"

# One or more segments of RFC 3986 pchars, none of them empty but the last.
_PATH = re.compile(r"(?=/)(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)*/?")
_QUERY = re.compile(r"[\x21\x22\x24-\x7e]*")
# What a decoded segment may not hold: separators, another encoding, control characters.
_AMBIGUOUS = re.compile(rb"[\x00-\x1f\x7f/\\%]")

# Clients ask for the same few again and again. Callers make them up, so the memory is bounded.
_REMEMBERED_TARGETS = 256


class BadTargetError(ValueError):
    """A request target that could mean another than it says, or holds what it mustn't."""


@lru_cache(maxsize=_REMEMBERED_TARGETS)
def split_target(target: str) -> tuple[str, str]:
    """Split an origin-form target into its raw path, without the gateway's prefix, and query.

    Raises:
        BadTargetError: absolute-form, empty or dot segments, encoded separators, double encoding,
            or a gateway token.
    """
    path, query = plain_target(target)
    for prefix in PREFIXES:
        if path.startswith(prefix + "/"):
            return path[len(prefix) :], query
    return path, query


def plain_target(target: str) -> tuple[str, str]:
    """Split an origin-form target into its raw path and query.

    Raises:
        BadTargetError: see `split_target`.
    """
    _refuse_token(target)
    path, _, query = target.partition("?")
    if _PATH.fullmatch(path) is None or _QUERY.fullmatch(query) is None:
        raise BadTargetError("The request target is not a plain path.")
    if "%" in path or "/." in path:
        _check_segments(path)
    return path, query


def folded_path(path: str) -> str:
    """What a lenient server may take this path for: decoded, in lower case, without parameters."""
    segments = (
        part.partition(";")[0] for part in unquote_to_bytes(path).decode("latin-1").split("/")
    )
    return "/".join(segments).rstrip("/").lower()


def _refuse_token(target: str) -> None:
    """Proxies log targets on their way here, and a provider would be sent the query."""
    if holds_token(target):
        raise BadTargetError(
            "The URL holds a gateway token, where others may log it: send tokens in a header, and "
            "have this one replaced."
        )


def _check_segments(path: str) -> None:
    for segment in path.split("/"):
        decoded = unquote_to_bytes(segment)
        # Some servers cut path parameters off first, so that `..;x` becomes a dot segment.
        if decoded.partition(b";")[0] in (b".", b"..") or _AMBIGUOUS.search(decoded):
            raise BadTargetError("The path holds a dot segment or an encoded separator.")
