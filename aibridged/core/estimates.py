"""What a request is likely to cost at the worst, before it is sent: what its budget reserves.

Its input is taken from the size of its body: by what a byte of the session's last request has cost,
which knows how much comes from the provider's cache. A session's first request is taken to have a
token in four bytes, none of them cached. Its output is as much as the model has lately generated at
the most, unless the request allows for less.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from cachetools import LRUCache

from aibridged.core.prices import RateCard, Usage, cost

MAX_SESSIONS = 10_000
"""Sessions whose costs are remembered; and models, whose outputs are."""
FIRST_OUTPUT = 4096
"""Tokens that a model is taken to generate at the most, before it is known."""
BYTES_A_TOKEN = 4
MAX_INPUT = 2_000_000
"""Tokens: no model takes more, however large a body is that holds images or files."""
MAX_CHOICES = 128
_DECAY = 32  # each answer brings the most of before so many times nearer to its own


class Model(NamedTuple):
    """A model at a provider."""

    provider: str
    name: str


class Session(NamedTuple):
    """A person's session with a model."""

    user_id: str
    id: str
    model: Model


class Ask(NamedTuple):
    """A request: `size` is that of its body, in bytes; `session` is None where it tells of none.

    `max_tokens` may be generated for each of `choices`.
    """

    model: Model
    session: Session | None
    size: int
    max_tokens: int | None = None
    choices: int = 1


class _Spent(NamedTuple):
    """What the input of a request has cost, and the size of its body."""

    nanos: int
    size: int


class _Tokens(msgspec.Struct, frozen=True, gc=False):
    """Tokens that have only been thought of."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    extra: Mapping[str, int] = {}
    partial: bool = True
    service_tier: str | None = None
    speed: str | None = None


class Estimates:
    """Estimates of costs, which learn from each answer."""

    def __init__(self) -> None:
        self._sessions: LRUCache[Session, _Spent] = LRUCache(MAX_SESSIONS)
        self._outputs: LRUCache[Model, int] = LRUCache(MAX_SESSIONS)

    def worst(self, card: RateCard, ask: Ask) -> int | None:
        """Nano-dollars; None where the card lacks a price."""
        size, most = ask.size, self._outputs.get(ask.model, FIRST_OUTPUT)
        if ask.max_tokens is not None:
            most = min(most, ask.max_tokens)
        output = most * min(ask.choices, MAX_CHOICES)
        spent = self._sessions.get(ask.session) if ask.session is not None else None
        if spent is not None:
            generated = cost(_Tokens(output=output), card).amount
            return None if generated is None else generated + size * spent.nanos // spent.size
        given = min(-(-size // BYTES_A_TOKEN), MAX_INPUT)
        read = cost(_Tokens(input=given, output=output), card).amount
        written = cost(_Tokens(cache_write=given, output=output), card).amount
        return None if read is None or written is None else max(read, written)

    def learn(self, card: RateCard, ask: Ask, usage: Usage) -> None:
        """Note the usage of the answer."""
        before = self._outputs.get(ask.model, FIRST_OUTPUT)
        self._outputs[ask.model] = max(usage.output, before - (before - usage.output) // _DECAY)
        given = cost(
            _Tokens(
                input=usage.input,
                cache_read=usage.cache_read,
                cache_write=usage.cache_write,
                extra=usage.extra,
            ),
            card,
        ).amount
        if ask.session is not None and ask.size and given is not None:
            self._sessions[ask.session] = _Spent(given, ask.size)
