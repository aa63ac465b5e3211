"""Header filtering: which headers are forwarded, in either direction (hop-by-hop and others).

End-to-end headers pass as they are, known or not. What stays behind: the hop's own headers
(RFC 9110, 7.6.1), the gateway's credentials in any spelling, the caller's trace, and what the
gateway sets itself.
"""

from collections.abc import Callable, Iterable
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
# Set anew for the provider, or answered by the gateway itself (Expect).
_REWRITTEN = frozenset({"host", "content-length", "accept-encoding", "expect"})
_SESSION_TOKEN = "coder-session-token"
_CREDENTIALS = frozenset({"authorization", "x-api-key", "cookie", _SESSION_TOKEN})
_CREDENTIAL_PREFIX = "x-coder-"
# W3C's: whose trace it is, and what is told along it, is no business of the provider's.
_TRACE = frozenset({"traceparent", "tracestate", "baggage"})
_ACTOR_PREFIX = "x-ai-bridge-actor-"

# Names come from callers, so the memory of what was decided is bounded.
_REMEMBERED_NAMES = 1024


def is_hop_by_hop(name: str) -> bool:
    """Whether a header is said to the next hop alone."""
    return name.lower() in _HOP_BY_HOP


def is_gateways_own(name: str) -> bool:
    """Whether a request header is said to the gateway, in any spelling, and to nobody behind it."""
    spelled = name.lower().replace("_", "-")
    return spelled == _SESSION_TOKEN or spelled.startswith((_CREDENTIAL_PREFIX, _ACTOR_PREFIX))


@lru_cache(maxsize=_REMEMBERED_NAMES)
def request_header_passes(raw_name: bytes) -> bool:
    """Whether a caller's header goes upstream as it is. The auth stage adds what replaces it.

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


@lru_cache(maxsize=_REMEMBERED_NAMES)
def response_header_passes(raw_name: bytes) -> bool:
    """Whether a provider's header goes to the caller. Its cookies are the gateway's, not theirs."""
    name = raw_name.decode("latin-1").lower()
    return name not in _HOP_BY_HOP and name != "set-cookie"


def named_by_connection(values: Iterable[str]) -> frozenset[str]:
    """The lower-case names that `Connection` headers declare to be this hop's alone."""
    return frozenset(part.strip().lower() for value in values for part in value.split(","))


def end_to_end(
    headers: Iterable[tuple[AnyStr, AnyStr]], passes: Callable[[AnyStr], bool]
) -> list[tuple[AnyStr, AnyStr]]:
    """The headers that go on: those that pass, but for those that `Connection` names.

    They may be text, or the bytes that they came as. `Connection` itself must not pass.
    """
    kept: list[tuple[AnyStr, AnyStr]] = []
    own: list[str] = []
    for header in headers:
        if passes(header[0]):
            kept.append(header)
        elif _text(header[0]).lower() == "connection":
            own.append(_text(header[1]))
    if not own:
        return kept
    names = named_by_connection(own)
    return [header for header in kept if _text(header[0]).lower() not in names]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
