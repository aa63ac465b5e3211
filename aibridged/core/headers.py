"""Header filtering: which headers are forwarded, in either direction (hop-by-hop and others).

End-to-end headers pass unchanged, known or not. Not forwarded are hop-by-hop headers (RFC 9110,
7.6.1), the gateway's credentials in any spelling, the caller's trace context, and headers that the
gateway sets itself.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import compress
from operator import itemgetter
from typing import AnyStr, NamedTuple, TypeVar

from aibridged.errors import HEADER_TOO_LARGE, GatewayError

T = TypeVar("T")

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

# What it names is for this hop anyway.
_PLAIN_CONNECTION = frozenset({"keep-alive", b"keep-alive", "Keep-Alive", b"Keep-Alive"})
_MOST_CONNECTION = 64 * 1024  # bytes of all; no more are in the head of a response

# Peers choose names, so what is remembered of them is bounded.
_REMEMBERED_HEADS = 128
_MOST_NAMES = 64
_MOST_NAME_BYTES = 2048
_LONG_CONNECTION = "The request's Connection headers are longer than 64 KiB altogether."
_BETWEEN_NAMES = b"\n"  # no parser lets it into a name

_name_of = itemgetter(0)

_LINE_BREAK = re.compile(r"[\r\n\0]")


class Selection(NamedTuple):
    """Which of a head's headers are forwarded, as far as their names tell.

    `names` are all of theirs in lower case; `connection` are the positions of `Connection`.
    """

    names: tuple[str, ...]
    passes: tuple[bool, ...]
    connection: tuple[int, ...]


def by_names(
    make: Callable[[list[bytes]], T],
) -> Callable[[Sequence[tuple[bytes, bytes]]], T]:
    """A function of headers that `make` computes of their names, as received and in their order.

    What it has made is remembered: clients and providers send the same names again and again.
    """

    def of_key(key: bytes) -> T:
        return make(key.split(_BETWEEN_NAMES) if key else [])

    remembered = lru_cache(_REMEMBERED_HEADS)(of_key)

    def of(headers: Sequence[tuple[bytes, bytes]]) -> T:
        key = _BETWEEN_NAMES.join(map(_name_of, headers))
        if len(headers) > _MOST_NAMES or len(key) > _MOST_NAME_BYTES:
            return of_key(key)
        return remembered(key)

    return of


def is_hop_by_hop(name: str) -> bool:
    """Whether a header is for the next hop only."""
    return name.lower() in _HOP_BY_HOP


def is_gateways_own(name: str) -> bool:
    """Whether a request header is for the gateway only, in any spelling."""
    spelled = name.lower().replace("_", "-")
    return spelled == _SESSION_TOKEN or spelled.startswith((_CREDENTIAL_PREFIX, _ACTOR_PREFIX))


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


def selection(names: Sequence[AnyStr], passes: Callable[[AnyStr], bool]) -> Selection:
    """The selection of those headers whose name `passes`, as `Connection` itself must not."""
    lower = tuple(_text(name).lower() for name in names)
    return Selection(
        lower,
        tuple(map(passes, names)),
        tuple(at for at, name in enumerate(lower) if name == "connection"),
    )


@by_names
def of_request(names: list[bytes]) -> Selection:
    """The selection of a caller's headers."""
    return selection(names, request_header_passes)


def named_by_connection(values: Iterable[str]) -> frozenset[str]:
    """The lower-case names that `Connection` headers declare to be hop-by-hop."""
    return frozenset(part.strip().lower() for value in values for part in value.split(","))


def end_to_end(
    headers: Sequence[tuple[AnyStr, AnyStr]], selected: Selection
) -> list[tuple[AnyStr, AnyStr]]:
    """The headers to forward: those that are selected, except for those that `Connection` names.

    They may be text, or bytes as received. Raises GatewayError: `Connection` is too long.
    """
    names, passes, connection = selected
    if connection:
        values = [value for at in connection if (value := headers[at][1]) not in _PLAIN_CONNECTION]
        if values:
            if sum(map(len, values)) > _MOST_CONNECTION:
                raise GatewayError(HEADER_TOO_LARGE, _LONG_CONNECTION)
            named = named_by_connection(map(_text, values))
            passes = tuple(
                passed and name not in named for name, passed in zip(names, passes, strict=True)
            )
    return list(compress(headers, passes))


class Positions(dict[bytes, int]):
    """Where the first of a head's headers is of each name, in lower case."""

    def __init__(self, names: Sequence[bytes]) -> None:
        self._names = [name.lower() for name in names]
        super().__init__((self._names[at], at) for at in reversed(range(len(names))))
        # The code has a handful of such sets.
        self._selections: dict[tuple[frozenset[bytes], tuple[bytes, ...]], Selection] = {}

    def without(self, dropped: frozenset[bytes], prefixes: tuple[bytes, ...] = ()) -> Selection:
        """The selection of all but those `dropped`, and those that begin with a prefix."""
        key = dropped, prefixes
        found = self._selections.get(key)
        if found is None:
            found = selection(
                self._names, lambda name: name not in dropped and not name.startswith(prefixes)
            )
            self._selections[key] = found
        return found


positions = by_names(Positions)
"""The positions of a response's headers."""


def relayed(
    headers: Sequence[tuple[bytes, bytes]],
    names: Positions,
    dropped: frozenset[bytes],
    prefixes: tuple[bytes, ...] = (),
) -> Sequence[tuple[bytes, bytes]]:
    """A response's headers to relay: all but those `dropped`, and those that `Connection` names.

    Nor are those relayed whose names begin with one of the `prefixes`. `names` are the headers'.
    `Connection` is among the dropped ones.
    """
    if not prefixes and dropped.isdisjoint(names):
        return headers
    return end_to_end(headers, names.without(dropped, prefixes))


def raw_header(name: str, value: str) -> tuple[bytes, bytes]:
    """A header of the gateway's as it goes to the provider.

    Raises ValueError: it contains a line break.
    """
    if _LINE_BREAK.search(value) is not None:
        raise ValueError(f"The {name} header contains a line break.")
    return name.encode(), value.encode(errors="surrogateescape")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
