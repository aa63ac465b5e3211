"""The usage of a row as it was priced, for what is computed of it later."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from aibridged.core.cost_notes import (
    ASKED_SPEED,
    ASKED_TIER,
    ESTIMATED_INPUT,
    ESTIMATED_OUTPUT,
    PRICED_MODEL,
    REASONS,
    SERVICE_TIER,
    SPEED,
    Asked,
)
from aibridged.core.prices import Label, Priced, Reason
from aibridged.wire.facts import TokenUsage

Price = Callable[[str, Sequence[str | None], datetime, TokenUsage, Asked], Priced]
"""See `prices.pricing.price`."""


def priced_again(price: Price, row: Any, usage: Any, used: TokenUsage | None = None) -> Priced:
    """What a usage of an interception costs, or would have cost had it `used` something else."""
    notes = usage.metadata or {}
    own = (row.model, notes.get(PRICED_MODEL))
    models = own if usage.provider_model is None else (usage.provider_model,)
    asked = Asked(notes.get(ASKED_TIER), notes.get(ASKED_SPEED))
    if used is None:
        used = usage_of(row, usage)
    return price(row.provider_name, models, row.started_at, used, asked)


def usage_of(row: Any, usage: Any) -> TokenUsage:
    """The usage as it was priced: with its estimates, and what the response told."""
    notes: Mapping[str, Any] = usage.metadata or {}
    told = usage.input_tokens or usage.cache_read_input_tokens or usage.cache_write_input_tokens
    reasons = str(notes.get(REASONS, "")).split()
    # Without a cost the usage doesn't tell whether it is whole; the interception does.
    unknown = usage.cost_label in (None, Label.UNPRICED.value)
    return TokenUsage(
        input=usage.input_tokens if told else notes.get(ESTIMATED_INPUT, 0),
        output=max(usage.output_tokens, notes.get(ESTIMATED_OUTPUT, 0)),
        cache_read=usage.cache_read_input_tokens,
        cache_write=usage.cache_write_input_tokens,
        extra={name: n for name, n in notes.items() if type(n) is int},
        partial=Reason.PARTIAL in reasons or (unknown and bool(row.usage_partial)),
        service_tier=notes.get(SERVICE_TIER),
        speed=notes.get(SPEED),
    )
