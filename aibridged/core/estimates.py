"""What a request is likely to cost at the worst, before it is sent: what its budget reserves.

Its input is taken from the size of its body: by what a byte of the session's last request has cost,
which knows how much comes from the provider's cache. A session's first request is taken to have a
token in four bytes, none of them cached. Where it goes on from what the provider has stored, that
is input, too. Its output is as much as the model has lately generated at the most, unless the
request allows for less.

What it learns is by requests of the very people whom limits hold back. So an estimate has a least
that nobody can talk it out of: the input read from the cache, and `FIRST_OUTPUT`. And since a
request that is refused teaches nothing, a refusal brings the output nearer to that, too.
"""

from collections import OrderedDict
from collections.abc import Iterable
from math import inf
from typing import TypeVar

import msgspec

from aibridged.core.prices import (
    MILLION,
    STANDARD,
    RateCard,
    Rates,
    Usage,
    input_cost,
    rounded,
    step_of,
)

MAX_SESSIONS = 10_000
"""Sessions whose costs are remembered; and models, whose outputs are."""
FIRST_OUTPUT = 4096
"""Tokens that a model is taken to generate at the most, before it is known; never less."""
MAX_OUTPUT = 256_000
"""Tokens: no model generates more, whatever a response says."""
UNKNOWN_CONTEXT = 100_000
"""Tokens that the provider has stored of a conversation that isn't known here."""
BYTES_A_TOKEN = 4
MAX_INPUT = 2_000_000
"""Tokens: no model takes more, however large a body is that holds images or files."""
MAX_CHOICES = 128
_K = TypeVar("_K")
_V = TypeVar("_V")
_DECAY = 32  # each answer brings the most of before so many times nearer to its own


class Model(msgspec.Struct, frozen=True, gc=False):
    """A model at a provider, in the tier that is asked for."""

    provider: str
    name: str
    tier: str = STANDARD


class Session(msgspec.Struct, frozen=True, gc=False):
    """A person's session with a model."""

    user_id: str
    id: str
    model: Model


class Ask(msgspec.Struct, frozen=True, gc=False):
    """A request: `size` is that of its body, in bytes; `session` is None where it tells of none.

    `max_tokens` may be generated for each of `choices`. `continues` is the id of the response or
    conversation that the provider has stored and the request goes on from.
    """

    model: Model
    session: Session | None
    size: int
    max_tokens: int | None = None
    choices: int = 1
    continues: str | None = None


class _Spent(msgspec.Struct, frozen=True, gc=False):
    """What the input of a request has cost, and the size of its body."""

    nanos: int
    size: int


class _Tariff(msgspec.Struct, frozen=True, gc=False):
    """What an estimate takes of the rates of a tier: `fresh` input is taken to be cached."""

    rates: Rates
    fresh: int | None
    read: int
    generated: int | None
    request: int


class _Short(msgspec.Struct, frozen=True):
    """The tariffs of requests to a model with `most` tokens of input at the most.

    There is that of the asked tier, and behind it the standard one, if that is another.
    """

    card: RateCard
    most: float
    tariffs: tuple[_Tariff, ...]


class _Learned(OrderedDict[_K, _V]):
    """The latest values of so many keys."""

    def note(self, key: _K, value: _V) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > MAX_SESSIONS:
            self.popitem(last=False)


class Estimates:
    """Estimates of costs, which learn from each answer."""

    def __init__(self) -> None:
        self._sessions: _Learned[Session, _Spent] = _Learned()
        self._outputs: _Learned[Model, int] = _Learned()
        self._contexts: _Learned[tuple[str, str], int] = _Learned()
        self._short: _Learned[Model, _Short] = _Learned()

    def worst(self, card: RateCard, ask: Ask) -> int | None:
        """Nano-dollars; None where the card lacks a price."""
        size, output = ask.size, self._outputs.get(ask.model, FIRST_OUTPUT)
        if ask.max_tokens is not None and ask.max_tokens < output:
            output = ask.max_tokens
        if ask.choices > 1:
            output *= min(ask.choices, MAX_CHOICES)
        given = min(-(-size // BYTES_A_TOKEN), MAX_INPUT)
        known = None
        if ask.continues is not None:
            stored = self._contexts.get((ask.model.provider, ask.continues), UNKNOWN_CONTEXT)
            given = min(given + stored, MAX_INPUT)
        elif ask.session is not None and (spent := self._sessions.get(ask.session)) is not None:
            known = size * spent.nanos // spent.size
        tariffs = self._tariffs(card, ask.model, given)
        amount = _amount(tariffs[-1], given, output, known)
        if len(tariffs) == 1 or amount is None:
            return amount
        # Or in the tier that is asked for, if that is dearer.
        return max(amount, _amount(tariffs[0], given, output, known) or 0)

    def learn(
        self, card: RateCard, ask: Ask, usage: Usage, stored_as: Iterable[str | None] = ()
    ) -> None:
        """Note the usage of the answer, and the ids by which another request may go on from it."""
        before = self._outputs.get(ask.model, FIRST_OUTPUT)
        if usage.output > before or before > FIRST_OUTPUT:
            output = min(max(usage.output, before - (before - usage.output) // _DECAY), MAX_OUTPUT)
            self._outputs.note(ask.model, max(output, FIRST_OUTPUT))
        for id in stored_as:
            if id is not None:
                used = usage.input + usage.cache_read + usage.cache_write + usage.output
                self._contexts.note((ask.model.provider, id), used)
        if ask.session is None or not ask.size:
            return
        given = usage.input + usage.cache_read + usage.cache_write
        cost = input_cost(usage, self._tariffs(card, ask.model, given)[0].rates)
        if cost is not None:
            self._sessions.note(ask.session, _Spent(cost, ask.size))

    def relax(self, model: Model) -> None:
        """Take the model to generate less: for that a request was refused, so none could tell."""
        before = self._outputs.get(model, FIRST_OUTPUT)
        self._outputs.note(model, FIRST_OUTPUT + (before - FIRST_OUTPUT) // 2)

    def _tariffs(self, card: RateCard, model: Model, given: int) -> tuple[_Tariff, ...]:
        """Those of a request with so much input: first that of the tier that is asked for."""
        short = self._short.get(model)
        if short is None or short.card is not card:
            short = _Short(
                card, _most_of_first_steps(card, model.tier), _tariffs(card, model.tier, 0)
            )
            self._short.note(model, short)
        return short.tariffs if given <= short.most else _tariffs(card, model.tier, given)


def _most_of_first_steps(card: RateCard, tier: str) -> float:
    """Tokens of input up to which the first rates hold."""
    return min(
        steps[1].above if len(steps) > 1 else inf
        for steps in (card.steps(tier), card.steps(STANDARD))
    )


def _tariffs(card: RateCard, tier: str, given: int) -> tuple[_Tariff, ...]:
    tiers = (STANDARD,) if tier == STANDARD else (tier, STANDARD)
    return tuple(_tariff(step_of(card.steps(each), given).rates) for each in tiers)


def _tariff(rates: Rates) -> _Tariff:
    fresh = rates.input
    read = rates.cache_read if rates.cache_read is not None else fresh or 0
    if fresh is not None and rates.cache_write_5m is not None:
        fresh = max(fresh, rates.cache_write_5m)
    return _Tariff(rates, fresh, read, rates.output, rates.request or 0)


def _amount(tariff: _Tariff, given: int, output: int, known: int | None) -> int | None:
    """What so many tokens cost, where it is `known` what the input is likely to."""
    fresh, generated = tariff.fresh, tariff.generated
    if (fresh is None and given) or (generated is None and output):
        return None
    if known is None:
        cost = given * (fresh or 0) + tariff.request
    else:
        cost = max(known * MILLION, given * tariff.read + tariff.request)
    return rounded(cost + output * (generated or 0))
