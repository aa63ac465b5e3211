"""Requests for spend limits: their parameters and bodies, parsed within bounds.

Unknown parameters and fields are ignored.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

import msgspec

from aibridged.api.spend_limit_shapes import ID_FIELDS
from aibridged.core.budgets import Period, Scope
from aibridged.errors import INVALID_REQUEST, GatewayError
from aibridged.identity.spend_scopes import ScopeKey

MAX_PARAMETERS = 512
MAX_QUERY = 32 * 1024
"""Bytes of the query string."""
MAX_WORDS = 256
"""Characters of `q`, an id or a cursor."""
MAX_PAGE = 1000
DEFAULT_PAGE = 20
MAX_SKIPPED = 10_000_000
"""Rows before a page of effective limits."""

_CENTS = re.compile(r"[0-9]{1,18}", re.ASCII)
_Word = TypeVar("_Word", bound=StrEnum)


class Change(NamedTuple):
    """What a POST asks for; `cents` None is unlimited."""

    key: ScopeKey
    period: Period
    cents: int | None


class _Body(msgspec.Struct):
    scope: Any = None
    amount: Any = msgspec.UNSET
    period: Any = None


class Parameters:
    """The parameters of a query string. Every method may raise GatewayError."""

    def __init__(self, raw_query: str) -> None:
        if len(raw_query) > MAX_QUERY:
            raise wrong(f"The query string is longer than {MAX_QUERY} bytes.")
        try:
            pairs = parse_qsl(
                raw_query,
                keep_blank_values=True,
                errors="strict",
                max_num_fields=MAX_PARAMETERS,
            )
        except ValueError:
            raise wrong(
                f"The query string is not UTF-8, or has more than {MAX_PARAMETERS} parameters."
            ) from None
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            if len(value) > MAX_WORDS:
                raise wrong(f"A parameter is longer than {MAX_WORDS} characters.")
            if "\0" in value:
                raise wrong("A parameter has a NUL, which no id or name has.")
            self._values.setdefault(name.removesuffix("[]"), []).append(value)

    def all(self, name: str) -> Sequence[str]:
        """Every value, of `name` or `name[]`."""
        return self._values.get(name, ())

    def text(self, name: str) -> str | None:
        """The last value, None if there is none or it is empty."""
        return self.all(name)[-1] or None if self.all(name) else None

    def number(self, name: str, least: int, most: int, default: int) -> int:
        """A whole number within bounds."""
        text = self.text(name)
        if text is None:
            return default
        is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(most))
        if not is_number or not least <= int(text) <= most:
            raise wrong(f"{name} is a whole number from {least} to {most}.")
        return int(text)

    def page_size(self) -> int:
        """`limit`."""
        return self.number("limit", 1, MAX_PAGE, DEFAULT_PAGE)

    def words(self, name: str, kind: type[_Word]) -> Sequence[_Word]:
        """Every value, each of which is one of a few words."""
        return [_word(name, text, kind) for text in self.all(name)]


def read_change(body: bytes) -> Change:
    """Parse the body of a POST.

    Raises:
        GatewayError: it isn't as it should be; the message doesn't quote it.
    """
    try:
        found = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise wrong("The body is not a JSON object with scope, amount and period.") from None
    key = _key(found.scope)
    period, amount = _word("period", found.period, Period), found.amount
    if amount is None:
        return Change(key, period, None)
    if not isinstance(amount, str) or _CENTS.fullmatch(amount) is None:
        raise wrong(
            'amount is a number of whole cents as a string, such as "5000" for $50, or null for '
            "no limit."
        )
    return Change(key, period, int(amount))


def wrong(message: str) -> GatewayError:
    """The error for a malformed request."""
    return GatewayError(INVALID_REQUEST, message)


def _key(scope: Any) -> ScopeKey:
    found: Mapping[str, Any] = scope if isinstance(scope, dict) else {}
    kind = _word("scope.type", found.get("type"), Scope)
    field = ID_FIELDS.get(kind)
    if field is None:
        return ScopeKey(kind)
    id = found.get(field)
    if not isinstance(id, str) or not 0 < len(id) <= MAX_WORDS or not id.isprintable():
        raise wrong(f"scope.{field} is missing, or no id.")
    return ScopeKey(kind, id)


def _word(name: str, text: Any, kind: type[_Word]) -> _Word:
    try:
        return kind(text)
    except ValueError:
        raise wrong(f"{name} is one of {', '.join(kind)}.") from None
