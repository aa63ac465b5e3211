"""Rates in settings: dollars, and what a model without any costs."""

import re
from decimal import Decimal
from typing import Literal

from aibridged.config.kinds import Kind

MAX_DOLLARS = 1_000_000
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)

Unpriced = Decimal | Literal["", "allow", "deny"]
"""What happens to requests for models without a price: they are allowed, denied, or cost so many
dollars per million tokens; where nothing is said, it depends on who asks."""


def number(text: str, most: int) -> Decimal:
    """A number that an amount is computed by, or ValueError: what is wrong with it."""
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(f"{text!r} is not a number like 2.50, with at most 9 decimals")
    value = Decimal(text.strip())
    if value > most:
        raise ValueError(f"{text.strip()} is more than {most}")
    return value


def dollars(text: str) -> Decimal:
    """A rate."""
    return number(text, MAX_DOLLARS)


def _unpriced(text: str) -> Unpriced:
    match text.strip().lower():
        case "" | "allow" | "deny" as word:
            return word
    try:
        return dollars(text)
    except ValueError as error:
        raise ValueError(f"is neither allow nor deny, and {error}") from None


UNPRICED: Kind[Unpriced] = Kind("allow|deny|RATE", _unpriced)
