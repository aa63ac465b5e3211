"""What the formats of providers' usage and cost exports have in common."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from aibridged.core.prices import DOLLAR

MAX_COUNT = 10**15
MAX_NANOS = 10**18
MAX_NAME = 256
"""Characters of a model's name, or of what a cost is for."""
_DIGITS = 15  # of what is within that bound
_EPOCH_BOUNDS = (946_684_800, 4_102_444_800)  # the years 2000 to 2100
STANDARD = "standard"
_STANDARD_NAMES = {"", STANDARD, "default", "auto", "message"}


class Line(NamedTuple):
    """A line of an export: figures of a day and model (None: of no certain one).

    Without figures it only says that the day is covered. `what` is what a cost is for.
    """

    day: date
    model: str | None
    figures: Mapping[str, int]
    tier: str = STANDARD
    what: str = ""


class Format(NamedTuple):
    """A format: its name, its provider's type, and the fields by which its content is known.

    `read` makes a line of the fields; in JSON, those of a result with its bucket's. It raises
    ValueError, saying what is wrong.
    """

    name: str
    type: str
    is_csv: bool
    known_by: frozenset[str]
    metrics: frozenset[str]
    read: Callable[[Mapping[str, Any]], Line]


def count(fields: Mapping[str, Any], name: str) -> int:
    """A count of tokens or requests; nothing is zero. Exports have them as `3` or `3.0`."""
    value = fields.get(name)
    if value is None or value == "":
        return 0
    if isinstance(value, str) and value.isdigit() and value.isascii() and len(value) <= _DIGITS:
        return int(value)  # as most are, in a fifth of the time
    number = _decimal(value, name)
    if number != number.to_integral_value() or not 0 <= number <= MAX_COUNT:
        raise ValueError(f"{name} is {_shown(value)}, which is no count")
    return int(number)


def nanos(value: Any, name: str, per_dollar: int = 1) -> int:
    """An amount in nano-dollars, of dollars or a fraction of them."""
    number = _decimal(value, name) * DOLLAR / per_dollar
    if abs(number) > MAX_NANOS:
        raise ValueError(f"{name} is {_shown(value)}, which is too much")
    return round(number)


def currency(value: Any) -> None:
    """Refuse amounts that aren't US dollars."""
    if not isinstance(value, str) or value.upper() != "USD":
        raise ValueError(f"the currency is {_shown(value)}: only USD can be compared")


def name(fields: Mapping[str, Any], field: str) -> str | None:
    """A name; None where it isn't given."""
    value = fields.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise ValueError(f"{field} is {_shown(value)}, which is no name")
    return value.strip()


def tier(*values: Any) -> str:
    """The tier that the first of these names that isn't the standard one."""
    for value in values:
        if isinstance(value, str) and value.lower() not in _STANDARD_NAMES:
            return value.lower()[:MAX_NAME]
    return STANDARD


def day_of_text(value: Any, name: str) -> date:
    """The day, in UTC, of a date or a time as in RFC 3339."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {_shown(value)}, which is no date") from None
    return (at.astimezone(UTC) if at.tzinfo else at).date()


def day_of_epoch(value: Any, name: str) -> date:
    """The day, in UTC, of a time in seconds since 1970."""
    first, last = _EPOCH_BOUNDS
    if value is None or value == "" or not first <= (seconds := _decimal(value, name)) <= last:
        raise ValueError(f"{name} is {_shown(value)}, which is no time in seconds since 1970")
    return datetime.fromtimestamp(int(seconds), UTC).date()


def one_day(first: date, end: datetime | date | None) -> None:
    """Refuse a line of several days: it is not known which of them its figures are of."""
    last = end.date() if isinstance(end, datetime) else end
    if last is not None and last > first + timedelta(1):
        raise ValueError("it is of more than a day: export the figures by day, or by hour")


def _decimal(value: Any, name: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise ValueError(f"{name} is {_shown(value)}, which is no number")
    text = str(value).strip()
    try:
        number = Decimal(text[:64])
    except InvalidOperation:
        raise ValueError(f"{name} is {_shown(value)}, which is no number") from None
    if len(text) > 64 or not number.is_finite() or abs(number.adjusted()) > 30:
        raise ValueError(f"{name} is {_shown(value)}, which is no number")
    return number


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
