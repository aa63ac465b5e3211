"""Header filtering: which headers are forwarded, in either direction (hop-by-hop and others).

End-to-end headers pass unchanged, known or not. Not forwarded are hop-by-hop headers (RFC 9110,
7.6.1), the gateway's credentials in any spelling, the caller's trace context, and headers that the
gateway sets itself.
"""

from collections.abc import Callable, Iterable, Sequence, Set
from functools import lru_cache
from typing import AnyStr

ACTOR_ID = "X-AI-Bridge-Actor-ID"
ACTOR_USERNAME = "X-AI-Bridge-Actor-Metadata-Username"

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-authentication-info",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
OF_THIS_HOP = frozenset(name.encode() for name in _HOP_BY_HOP)
"""The names of a response's hop-by-hop headers, in lower case."""
NOT_RELAYED = OF_THIS_HOP | {b"set-cookie"}
"""Those of a provider's headers that aren't relayed: its cookies are for the gateway."""

# Set by the gateway for the provider, or handled by the gateway itself (Expect).
_REWRITTEN = frozenset({"host", "content-length", "accept-encoding", "expect"})
_SESSION_TOKEN = "coder-session-token"
_CREDENTIALS = frozenset({"authorization", "x-api-key", "cookie", _SESSION_TOKEN})
_CREDENTIAL_PREFIX = "x-coder-"
# W3C trace context: the caller's trace and baggage are none of the provider's business.
_TRACE = frozenset({"traceparent", "tracestate", "baggage"})
_ACTOR_PREFIX = "x-ai-bridge-actor-"

_CONNECTION_LENGTH = len("connection")

# Callers choose names, so the cache of decisions is bounded.
_REMEMBERED_NAMES = 1024


def is_hop_by_hop(name: str) -> bool:
    """Whether a header is for the next hop only."""
    return name.lower() in _HOP_BY_HOP


def is_gateways_own(name: str) -> bool:
    """Whether a request header is for the gateway only, in any spelling."""
    spelled = name.lower().replace("_", "-")
    return spelled == _SESSION_TOKEN or spelled.startswith((_CREDENTIAL_PREFIX, _ACTOR_PREFIX))


@lru_cache(maxsize=_REMEMBERED_NAMES)
def request_header_passes(raw_name: bytes) -> bool:
    """Whether a caller's header is forwarded unchanged. The auth stage adds the credential.

    An underscore counts as a hyphen: many servers read `X_Api_Key` as `X-Api-Key`.
    """
    name = raw_name.decode("latin-1").lower()
    spelled = name.replace("_", "-")
    return not (
        name in _HOP_BY_HOP
        or name in _REWRITTEN
        or name in _TRACE
        or spelled in _CREDENTIALS
        or spelled.startswith((_CREDENTIAL_PREFIX, _ACTOR_PREFIX))
    )


def named_by_connection(values: Iterable[str]) -> frozenset[str]:
    """The lower-case names that `Connection` headers declare to be hop-by-hop."""
    return frozenset(part.strip().lower() for value in values for part in value.split(","))


def end_to_end(
    headers: Iterable[tuple[AnyStr, AnyStr]], passes: Callable[[AnyStr], bool]
) -> list[tuple[AnyStr, AnyStr]]:
    """The headers to forward: those that pass, except for those that `Connection` names.

    They may be text, or bytes as received. `Connection` itself must not pass.
    """
    kept: list[tuple[AnyStr, AnyStr]] = []
    connection: list[str] = []
    for header in headers:
        name = header[0]
        if passes(name):
            kept.append(header)
        elif len(name) == _CONNECTION_LENGTH and _text(name).lower() == "connection":
            connection.append(_text(header[1]))
    if not connection:
        return kept
    names = named_by_connection(connection)
    return [header for header in kept if _text(header[0]).lower() not in names]


def relayed(
    headers: Sequence[tuple[bytes, bytes]], names: Sequence[bytes], dropped: Set[bytes]
) -> Sequence[tuple[bytes, bytes]]:
    """A response's headers to relay: all but those `dropped`, and those that `Connection` names.

    `names` are theirs in lower case. `Connection` is among the dropped ones.
    """
    if dropped.isdisjoint(names):
        return headers
    named = [
        _text(value)
        for name, (_, value) in zip(names, headers, strict=True)
        if name == b"connection"
    ]
    if named:
        dropped = dropped | {name.encode("latin-1") for name in named_by_connection(named)}
    return [header for name, header in zip(names, headers, strict=True) if name not in dropped]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
