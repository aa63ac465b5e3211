"""Values as text in a table, the same in every command: times, counts, durations, ids.

Each has a full form, and some have a short one for terminals that are too narrow for it.
"""

import unicodedata
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from aibridged.counted import noun

PREFIX = 13
"""Characters of an id's short form, at least: a UUIDv7's are its millisecond, `0198c1d2-e3f4`."""

_JOINERS = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"  # within words and emoji
_UNITS = (("G", 1_000_000_000), ("M", 1_000_000), ("k", 1_000))


def printable(text: str) -> str:
    """Text on one line, without terminal control characters: it is a caller's."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    blank = character in "\r\n\t" or unicodedata.category(character) == "Zs"
    return " " if blank else "\N{REPLACEMENT CHARACTER}"


def time(at: datetime | None) -> str:
    """A time in UTC: `2026-01-31 12:00:00`; empty for None."""
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""


def short_time(at: datetime | None) -> str:
    """The same without the year: `01-31 12:00:00`."""
    return f"{at:%m-%d %H:%M:%S}" if at else ""


def count(number: int | None) -> str:
    """A count with separators: `1,234,567`; `-` for one that isn't known."""
    return "-" if number is None else f"{number:,}"


def counted(number: int, one: str) -> str:
    """The same with its noun: `1 fact`, `12,000 facts`."""
    return f"{count(number)} {noun(number, one)}"


def short(number: int | None) -> str:
    """A count in a few characters: 950, 12.3k, 4.5M; `-` for one that isn't known."""
    if number is None:
        return "-"
    for unit, size in _UNITS:
        if number >= 0.99995 * size:  # what rounds to it
            return f"{number / size:.1f}{unit}"
    return str(number)


def duration(seconds: float | None) -> str:
    """A duration in the two largest units: `12.3s`, `2m05s`, `1h30m`, `3d04h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h{minutes:02}m"
    return f"{hours // 24}d{hours % 24:02}h"


def share(part: float | None) -> str:
    """A share in percent."""
    return "-" if part is None else f"{part:.0%}"


def dollars(amount: Decimal | None) -> str:
    """Dollars with cents, and all further decimals: `1,250.00`, `0.0875`; `-` for None."""
    if amount is None:
        return "-"
    whole, _, rest = f"{amount:,f}".partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def cost(amount: int | None, label: str | None) -> str:
    """A cost in nano-dollars with its label: `$0.0123`, `~$0.0123`, `unpriced`; `-` for none.

    One that lacks unpriced parts ends with `+`.
    """
    from aibridged.core.money import shown
    from aibridged.core.prices import Label

    return shown(amount, label, lacks_some=label == Label.UNPRICED)


def prefix_length(ids: Collection[str]) -> int:
    """How many characters tell these ids apart, at least `PREFIX`."""
    different, length = len(set(ids)), PREFIX
    while len({id[:length] for id in ids}) < different:
        length += 1
    return length
