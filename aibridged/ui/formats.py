"""How pages show numbers, amounts, times and hostile text."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from markupsafe import Markup, escape

from aibridged.core.hidden_characters import FILLERS, HIDDEN
from aibridged.counted import noun

DASH = "–"
MAX_SHOWN = 4096
"""Characters of a text; what is left has a link."""

_KINDS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
_SIZES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_AGES = ((86_400, "d"), (3600, "h"), (60, "min"))
_SOON_S = 45
_UNSEEN = re.compile(f"[{HIDDEN}{FILLERS}]")


def number(value: float | None) -> str:
    """`1,234`."""
    return DASH if value is None else f"{value:,}"


def tokens(value: int | None) -> Markup:
    """`12.3 k`, with the exact number on hover."""
    if value is None:
        return Markup(DASH)
    return Markup('<span title="{}">{}</span>').format(
        f"{value:,} {noun(value, 'token')}", short(value)
    )


def short(value: float) -> str:
    """Three digits and a unit: `1.23 M`."""
    for size, unit in _KINDS:
        if abs(value) >= size:
            return (
                f"{value / size:.3g} {unit}"
                if abs(value) < 1000 * size
                else f"{value / size:,.0f} {unit}"
            )
    return f"{value:,.3g}" if value != int(value) else f"{int(value):,}"


def money(value: str | float | None) -> str:
    """Dollars: `$1,234.50`, and what is below a cent to four digits; it is never shown as zero."""
    if value is None:
        return DASH
    amount = Decimal(str(value))
    if 0 < abs(amount) < Decimal("0.0001"):
        return "<$0.0001"
    digits = 4 if 0 < abs(amount) < Decimal("0.1") else 2
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{digits}f}"


def percent(value: float | None) -> str:
    """A share as `42%`; what isn't all or nothing isn't shown as that."""
    if value is None:
        return DASH
    if 0 < value < 0.01:
        return "<1%"
    if 0.99 < value < 1:
        return ">99%"
    return f"{value:.0%}"


def size(value: float | None) -> str:
    """Bytes: `3.2 MiB`."""
    if value is None:
        return DASH
    for step, unit in _SIZES:
        if value >= step:
            return f"{value / step:.1f} {unit}"
    return f"{value:,.0f} B"


def duration(seconds: float | None) -> str:
    """`340 ms`, `12.3 s`, `4 min 10 s`, `2 h 5 min`."""
    if seconds is None:
        return DASH
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def moment(value: str | datetime | None) -> datetime | None:
    """A time of the API's, aware."""
    if value is None or isinstance(value, datetime):
        return value
    found = datetime.fromisoformat(value)
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def ago(value: str | datetime | None, now: datetime) -> Markup:
    """A time as it is told, `5 min ago` or `in 3 h`, with the exact one on hover."""
    at = moment(value)
    if at is None:
        return Markup(DASH)
    seconds = (now - at).total_seconds()
    exact = at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.astimezone(UTC).isoformat(), exact, _told(seconds)
    )


def _told(seconds: float) -> str:
    if abs(seconds) < _SOON_S:
        return "now"
    for step, unit in _AGES:
        if abs(seconds) >= step or step == 60:
            count = max(1, round(abs(seconds) / step))
            return f"{count} {unit} ago" if seconds > 0 else f"in {count} {unit}"
    raise AssertionError("a minute is the least")


def text(value: str | None, most: int = MAX_SHOWN) -> Markup:
    """Text from outside: escaped, its first `most` characters, and nothing in it unseen."""
    if value is None:
        return Markup("")
    # At once: what is built up piece by piece takes time by the square of its length.
    shown = Markup(_UNSEEN.sub(_mark, str(escape(value[:most]))))
    if len(value) > most:
        left = f"{len(value) - most:,} more characters"
        shown += Markup('<span class="cut" title="{}">…</span>').format(left)
    return shown


def _mark(found: re.Match[str]) -> str:
    code = f"{ord(found[0]):04X}"
    return f'<span class="unseen" title="U+{code}">{code}</span>'


def plain(value: str, most: int = 256) -> str:
    """The same without markup, for attributes and pictures: what is unseen is told by its code."""
    shown = _UNSEEN.sub(lambda found: f"[{ord(found[0]):04X}]", value[:most])
    return shown if len(value) <= most else f"{shown}…"


def filters(now: Callable[[], datetime]) -> Mapping[str, Callable[..., Any]]:
    """All of them by name, for templates."""

    def ago_now(value: str | datetime | None) -> Markup:
        return ago(value, now())

    return {
        "number": number,
        "tokens": tokens,
        "short": short,
        "money": money,
        "percent": percent,
        "size": size,
        "duration": duration,
        "ago": ago_now,
        "text": text,
        "plain": plain,
    }
