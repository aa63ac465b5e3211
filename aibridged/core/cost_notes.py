"""What a cost is computed of beside the counts on record, by its name in a usage's metadata."""

from collections.abc import Mapping
from typing import NamedTuple


class Asked(NamedTuple):
    """What a request asks for, in the provider's words: it counts where the response tells none."""

    service_tier: str | None = None
    speed: str | None = None


NOTHING = Asked()
NO_NOTES: Mapping[str, str | int] = {}

PRICED_MODEL = "priced_model"
ASKED_TIER, ASKED_SPEED = "asked_service_tier", "asked_speed"
ESTIMATED_INPUT, ESTIMATED_OUTPUT = "estimated_input", "estimated_output"
"""The notes of a cost: what it is computed of beside the counts on record. Estimated tokens take
the place of those that the provider told too few of, before the response broke."""

SERVICE_TIER, SPEED = "service_tier", "speed"
"""What the response told of its processing, if it wasn't the standard one."""

REASONS = "cost_reasons"
"""Why it is an estimate: `core.prices.Reason`s with blanks between them."""
