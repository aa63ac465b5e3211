"""Amounts of nano-dollars as text."""

import re

from aibridged.core.prices import DOLLAR, Label

_AMOUNT = re.compile(r"\$?([0-9]{1,9})(?:\.([0-9]{1,9}))?", re.ASCII)
_CENT = DOLLAR // 100
_LEAST = DOLLAR // 10**4  # what is shown below a dollar


def parsed(text: str) -> int:
    """The nano-dollars of an amount in dollars: `0.05`, `$2`.

    Raises:
        ValueError: it isn't one; the message says what is.
    """
    found = _AMOUNT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an amount in dollars: use 0.05 or 2.")
    whole, decimals = found.groups(default="")
    return int(whole) * DOLLAR + int(decimals.ljust(9, "0"))


class NanoDollars(int):
    """An amount that JSON has as exact dollars: encoders take `in_json` as their hook."""


def in_json(value: object) -> str:
    """The exact dollars of `NanoDollars`, for an encoder.

    Raises:
        NotImplementedError: it is something else.
    """
    if isinstance(value, NanoDollars):
        return dollars(value)
    raise NotImplementedError(f"{type(value).__name__} has no JSON")


def exact_dollars(nanos: int | None) -> str | None:
    """The same as `dollars`; None where there is no amount."""
    return None if nanos is None else dollars(nanos)


def dollars(nanos: int) -> str:
    """Dollars as exact decimal text: `0.0875`, `12`."""
    sign = "-" if nanos < 0 else ""
    whole, rest = divmod(abs(nanos), DOLLAR)
    return f"{sign}{whole}.{rest:09}".rstrip("0").rstrip(".")


def shown_cents(nanos: int) -> str:
    """An amount of whole cents, such as a limit, for people: `$1,234.50`, `$0.05`."""
    whole, cents = divmod(nanos // _CENT, 100)
    return f"${whole:,}.{cents:02}"


def shown(nanos: int | None, label: str | None, *, lacks_some: bool = False) -> str:
    """An amount for people: `$1,234.56`, below a dollar `$0.0123`, of nothing `$0.00`.

    An estimate begins with `~`. A sum that `lacks_some` parts, or is unpriced for that, ends with
    `+`. Without an amount it is `unpriced`, or `-` where no cost was computed.
    """
    if nanos is None or (nanos == 0 and label == Label.UNPRICED):
        return "unpriced" if label == Label.UNPRICED else "-"
    size = abs(nanos)
    if size >= DOLLAR or not size:
        whole, cents = divmod((size + _CENT // 2) // _CENT, 100)
        text = f"{whole:,}.{cents:02}"
    else:
        text = f"{(size + _LEAST // 2) // _LEAST / 10**4:.4f}"
    sign = "-" if nanos < 0 else ""
    more = "+" if lacks_some or label == Label.UNPRICED else ""
    return f"{'~' if label == Label.ESTIMATED else ''}{sign}${text}{more}"
