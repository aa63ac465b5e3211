"""The table of public prices: the one that is installed, or a newer one in the state directory.

Both are genai-prices' data, whose import takes 0.2 s and 30 MB: nothing but `installed_table` and
`read_providers` imports it.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from aibridged.config.private_file import flush, make_private, open_private

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

FILE = "prices.json"
"""In the state directory: the table that was fetched last."""
MAX_BYTES = 16 * 1024 * 1024
"""Of a table as it is fetched."""
MAX_REGEX = 256
"""Characters of an expression that names of models are matched with."""
MAX_DOLLARS = 1_000_000
"""Dollars of a price; a larger one is none."""
_LIBRARY = "genai-prices"


class TableError(Exception):
    """A table can't be used; the message says why, as the end of a sentence."""


class Table(msgspec.Struct, frozen=True):
    """Prices of providers' models.

    `version` is the library's, or the start of the file's SHA-256; `newest_change` the latest day
    from which a price in it counts, which may be to come. One that was not installed has the time
    at which it was fetched.
    """

    providers: Sequence["Provider"]
    version: str
    newest_change: date | None
    fetched_at: datetime | None = None

    @property
    def source(self) -> str:
        """Its name on record: the version, and the day of the newest change."""
        return self.version + (f" of {self.newest_change}" if self.newest_change else "")

    @property
    def models(self) -> int:
        """How many models it has."""
        return sum(len(each.models) for each in self.providers)

    @property
    def tiers(self) -> int:
        """How many prices for tiers of processing it has."""
        return sum(
            len(model.price_variants or ()) for each in self.providers for model in each.models
        )


class _File(msgspec.Struct):
    fetched_at: datetime
    sha256: str
    providers: msgspec.Raw


@cache
def installed_table() -> Table:
    """The table that the library brings."""
    from genai_prices.data import providers

    return Table(providers, f"{_LIBRARY} {version(_LIBRARY)}", _newest_change(providers))


def current_table(state_dir: Path) -> tuple[Table, str | None]:
    """The newer of the tables, and what is wrong with the fetched one, if anything is."""
    installed = installed_table()
    try:
        fetched = _fetched_table(state_dir / FILE)
    except TableError as error:
        return installed, f"{state_dir / FILE} {error}: the installed table is used"
    if fetched is None or is_older(fetched, installed):
        return installed, None
    return fetched, None


def is_older(one: Table, other: Table) -> bool:
    """Whether the table lacks changes of prices that the other knows."""
    none = date.min
    return (one.newest_change or none) < (other.newest_change or none)


def read_table(content: bytes, fetched_at: datetime) -> Table:
    """The table of a response.

    Raises:
        TableError: it is none, or holds what can't be right.
    """
    providers = read_providers(content)
    version = f"{_LIBRARY} sha256:{_sha256(content)[:12]}"
    return Table(providers, version, _newest_change(providers), fetched_at)


def store(state_dir: Path, content: bytes, fetched_at: datetime) -> None:
    """Put the content of a table that was read into the state directory, whole or not at all.

    Raises:
        OSError: it can't be written.
    """
    file = _File(fetched_at, _sha256(content), msgspec.Raw(content))
    part = state_dir / f"{FILE}.part"
    part.unlink(missing_ok=True)  # one of a process that was killed
    try:
        with open(make_private(part), "wb") as opened:
            opened.write(msgspec.json.encode(file))
        flush(part)
        part.replace(state_dir / FILE)
        flush(state_dir)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def _fetched_table(path: Path) -> Table | None:
    try:
        with open(open_private(path, os.O_RDONLY), "rb") as opened:
            content = opened.read(MAX_BYTES + 1024)
        file = msgspec.json.decode(content, type=_File)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TableError(f"can't be read ({error.strerror})") from None
    except msgspec.MsgspecError:
        raise TableError("is no table of prices") from None
    return read_table(bytes(file.providers), file.fetched_at)


def read_providers(content: bytes) -> "list[Provider]":
    """The providers of a table in JSON.

    Raises:
        TableError: it is none, or holds what can't be right.
    """
    from genai_prices.types import _providers_from_raw
    from pydantic import ValidationError

    try:
        raw = json.loads(content, parse_constant=_no_number)
        providers = _providers_from_raw(raw)
        _check(providers)
    except (ValidationError, ValueError, RecursionError, TypeError, AssertionError):
        # Their texts quote the content at length.
        raise TableError("is no table of prices") from None
    return providers


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)


def _check(providers: "Sequence[Provider]") -> None:
    """Refuse prices and expressions that can't be right, which the library takes."""
    if not providers:
        raise TableError("has no providers")
    for provider in providers:
        _check_regex(provider.api_pattern)
        for model in provider.models:
            for regex in _regexes(model.match):
                _check_regex(regex)
            if any(
                not _is_price(each) for prices in _all_prices(model) for each in _values(prices)
            ):
                raise TableError(f"has a price of {model.id[:64]!r} that can't be right")


def _check_regex(regex: str) -> None:
    try:
        re.compile(regex)
    except re.error:
        raise TableError("has an expression that can't be compiled") from None
    if len(regex) > MAX_REGEX:
        raise TableError(f"has an expression longer than {MAX_REGEX} characters")


def _regexes(clause: Any) -> Iterator[str]:
    if regex := getattr(clause, "regex", None):
        yield regex
    for below in (*getattr(clause, "or_", ()), *getattr(clause, "and_", ())):
        yield from _regexes(below)


def _is_price(value: Decimal) -> bool:
    return 0 <= value <= MAX_DOLLARS


def _all_prices(model: "ModelInfo") -> "Iterator[ModelPrice]":
    if isinstance(model.prices, list):
        yield from (each.prices for each in model.prices)
    else:
        yield model.prices
    yield from (each.prices for each in model.price_variants or ())


def _values(prices: "ModelPrice") -> Iterator[Decimal]:
    for value in vars(prices).values():
        if isinstance(value, Decimal):
            yield value
        elif value is not None:
            yield value.base
            yield from (tier.price for tier in value.tiers)


def _newest_change(providers: "Sequence[Provider]") -> date | None:
    found = [
        day
        for provider in providers
        for model in provider.models
        for each in (*_conditional(model), *(model.price_variants or ()))
        if (day := getattr(each.constraint, "start_date", None)) is not None
    ]
    return max(found, default=None)


def _conditional(model: "ModelInfo") -> Sequence[Any]:
    return model.prices if isinstance(model.prices, list) else ()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
