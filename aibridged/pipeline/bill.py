"""Bill of an interception: what its usages cost, turn by turn.

Where a response broke, or its provider told no usage, what it has cost is guessed by its size.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

from aibridged.core.cost_notes import ESTIMATED_INPUT, ESTIMATED_OUTPUT, NOTHING, Asked
from aibridged.core.prices import Cost, Label, Priced, Reason, total
from aibridged.prices.pricing import Pricing
from aibridged.wire.facts import ResponseFacts, TokenUsage, WireApi

BYTES_A_TOKEN = 4
"""Of a request, or of a response that isn't a stream; there is more around it than text."""
STREAMED_BYTES_A_TOKEN: Mapping[WireApi, int] = {
    WireApi.MESSAGES: 30,
    WireApi.CHAT_COMPLETIONS: 250,
    WireApi.COMPLETIONS: 250,
    WireApi.RESPONSES: 250,
    WireApi.COMPACTION: 250,
}
"""Of a stream: an event of Anthropic's has several tokens, and one of OpenAI's is one."""
MAX_GUESSED = 1_000_000
"""Tokens that are guessed of a request or response; images make them large."""

UNTOLD = Cost(0, Label.ESTIMATED, (Reason.PARTIAL,))
"""The cost of a response in the background that ended without telling its usage."""


class Guess(NamedTuple):
    """Tokens of a request and its response, by their sizes."""

    input: int
    output: int = 0


def guessed(
    asked_bytes: int, came_bytes: int = 0, api: WireApi | None = None, *, is_stream: bool = False
) -> Guess:
    """The tokens of a request and of as much of its response as came; embeddings have no output."""
    each = STREAMED_BYTES_A_TOKEN.get(api, BYTES_A_TOKEN) if is_stream and api else BYTES_A_TOKEN
    output = 0 if api is WireApi.EMBEDDINGS else came_bytes // each
    return Guess(min(asked_bytes // BYTES_A_TOKEN, MAX_GUESSED), min(output, MAX_GUESSED))


class Bill:
    """Prices the usages of one interception, by the rates at its start.

    `model` is the requested one.
    """

    def __init__(
        self,
        pricing: Pricing,
        provider_name: str,
        model: str | None,
        started_at: datetime,
        asked: Asked = NOTHING,
    ) -> None:
        self._pricing = pricing
        self._provider = provider_name
        self._model = model
        self._at = started_at
        self._asked = asked
        self._costs: list[Cost | None] = []

    def of(
        self, response: ResponseFacts, guess: Guess | None = None
    ) -> Callable[[TokenUsage], Priced]:
        """Puts a usage of this response on the bill, and returns its price.

        With a `guess`, its own usage isn't told whole.
        """

        def price(used: TokenUsage) -> Priced:
            models = (self._model, response.model) if used.model is None else (used.model,)
            notes: dict[str, str | int] | None = None
            if guess is not None and used is response.usage:
                used = _completed(used, guess, notes := {})
            priced = self._pricing.price(self._provider, models, self._at, used, self._asked)
            self._costs.append(priced.cost)
            return priced._replace(notes={**priced.notes, **notes}) if notes else priced

        return price

    @property
    def total(self) -> Cost | None:
        """The sum so far; None where a part couldn't be computed."""
        costs = self._costs
        if len(costs) == 1:  # as nearly all have
            return costs[0]
        known = [each for each in costs if each is not None]
        return total(known) if len(known) == len(costs) else None


def _completed(used: TokenUsage, guess: Guess, notes: dict[str, str | int]) -> TokenUsage:
    """The usage with what is missing of it, which is noted, too."""
    if not (used.input or used.cache_read or used.cache_write):
        notes[ESTIMATED_INPUT] = guess.input
        used = msgspec.structs.replace(used, input=guess.input)
    if guess.output > used.output:
        notes[ESTIMATED_OUTPUT] = guess.output
        used = msgspec.structs.replace(used, output=guess.output)
    return msgspec.structs.replace(used, partial=True)
