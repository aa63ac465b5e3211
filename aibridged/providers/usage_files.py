"""Reading of providers' usage and cost exports: the format is known by the content.

CSV is read a line at a time. JSON is a page of the provider's API, several in a list, or one after
the other; a file of it is read whole, which its bound allows for.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from aibridged.core.usage_figures import COST, Key, Statement
from aibridged.providers import anthropic_usage, openai_usage
from aibridged.providers.usage_export import STANDARD, Format, Line

FORMATS: Sequence[Format] = (*anthropic_usage.FORMATS, *openai_usage.FORMATS)

MAX_CSV_BYTES = 1024 * 1024 * 1024
MAX_JSON_BYTES = 64 * 1024 * 1024
MAX_LINE_BYTES = 64 * 1024
MAX_COLUMNS = 200
MAX_KEYS = 100_000
"""Days and models together."""
MAX_DAYS = 3700
_MAX_APART = 100
"""What costs of a day that are of no model are for; beyond that it is `other`."""


class UsageFileError(Exception):
    """A file that can't be read; the message is for people, without the file's name."""


class Read(NamedTuple):
    """What a file says, and in which format."""

    format: Format
    statement: Statement


def read_usage_file(file: Path) -> Read:
    """Sum a file by day and model.

    Raises:
        UsageFileError: it is of no known format, or something in it can't be right.
        OSError: it can't be read.
    """
    with open(file, "rb") as content:
        beginning = content.peek(4096)[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
        if not beginning:
            raise UsageFileError("is empty")
        is_json = beginning[:1] in (b"{", b"[")
        return _summed(_lines_of_json(content) if is_json else _lines_of_csv(content))


def _summed(lines: "Iterator[tuple[Format, str, Line]]") -> Read:
    """The sums of all lines, each with its format and place."""
    known: Format | None = None
    days = set[date]()
    figures: dict[Key, dict[str, int]] = {}
    other_tiers: dict[Key, dict[str, int]] = {}
    apart: dict[date, dict[str, int]] = {}
    for format, place, line in lines:
        known = format
        days.add(line.day)
        key = line.day, line.model
        if line.figures:
            _add(figures.setdefault(key, {}), line.figures)
            if line.tier != STANDARD:
                _add(other_tiers.setdefault(key, {}), line.figures)
            if line.model is None and COST in line.figures:
                of_day = apart.setdefault(line.day, {})
                what = line.what or "other"
                if what not in of_day and len(of_day) >= _MAX_APART:
                    what = "other"
                _add(of_day, {what: line.figures[COST]})
        if len(figures) > MAX_KEYS or len(days) > MAX_DAYS:
            raise UsageFileError(
                f"has more than {MAX_KEYS:,} days and models, or {MAX_DAYS:,} days, at {place}: "
                "export a shorter time"
            )
    if known is None:
        raise UsageFileError("has no usage: export days with usage")
    statement = Statement(
        metrics=known.metrics,
        first=min(days),
        last=max(days),
        figures=figures,
        other_tiers=other_tiers,
        apart=apart,
    )
    return Read(known, statement)


def _add(sums: dict[str, int], figures: Mapping[str, int]) -> None:
    for name, value in figures.items():
        sums[name] = sums.get(name, 0) + value


def _lines_of_csv(content: BinaryIO) -> "Iterator[tuple[Format, str, Line]]":
    reader = csv.reader(_texts(content), strict=True)
    try:
        heading = [name.strip() for name in next(reader, [])]
        if len(heading) > MAX_COLUMNS:
            raise UsageFileError(f"has {len(heading):,} columns, more than {MAX_COLUMNS}")
        format = _known_by(heading, is_csv=True)
        for row in reader:
            if not row:
                continue
            place = f"line {reader.line_num}"
            if len(row) != len(heading):
                raise UsageFileError(
                    f"has {len(row)} fields in {place}, and {len(heading)} in its heading"
                )
            yield format, place, _read(format, dict(zip(heading, row, strict=True)), place)
    except csv.Error as error:
        raise UsageFileError(f"is no CSV in line {reader.line_num}: {error}") from None


def _texts(content: BinaryIO) -> Iterator[str]:
    size = number = 0
    while line := content.readline(MAX_LINE_BYTES + 1):
        number += 1
        size += len(line)
        if len(line) > MAX_LINE_BYTES:
            raise UsageFileError(f"has more than {MAX_LINE_BYTES:,} bytes in line {number}")
        if size > MAX_CSV_BYTES:
            raise UsageFileError(f"has more than {MAX_CSV_BYTES:,} bytes: export a shorter time")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise UsageFileError(f"isn't UTF-8 in line {number}") from None


class _Bucket(msgspec.Struct):
    results: list[msgspec.Raw]
    starting_at: str | None = None
    ending_at: str | None = None
    start_time: int | None = None
    end_time: int | None = None


class _Page(msgspec.Struct):
    data: list[_Bucket]


_page = msgspec.json.Decoder(_Page)
_pages = msgspec.json.Decoder(list[_Page])
_result = msgspec.json.Decoder(dict[str, object], float_hook=Decimal)


def _lines_of_json(content: BinaryIO) -> "Iterator[tuple[Format, str, Line]]":
    text = content.read(MAX_JSON_BYTES + 1).removeprefix(b"\xef\xbb\xbf")
    if len(text) > MAX_JSON_BYTES:
        raise UsageFileError(f"has more than {MAX_JSON_BYTES:,} bytes: export a shorter time")
    format = None
    for number, page in enumerate(_decoded(text), start=1):
        for at, bucket in enumerate(page.data):
            times = {
                name: value
                for name in bucket.__struct_fields__[1:]
                if (value := getattr(bucket, name)) is not None
            }
            for index, raw in enumerate(bucket.results):
                place = f"page {number}, data[{at}].results[{index}]"
                try:
                    fields = _result.decode(raw)
                except (msgspec.DecodeError, RecursionError) as error:
                    raise UsageFileError(f"is no usage at {place}: {error}") from None
                format = format or _known_by(fields, is_csv=False)
                if not format.known_by <= fields.keys():
                    missing = ", ".join(sorted(format.known_by - fields.keys()))
                    raise UsageFileError(f"lacks {missing} at {place}")
                yield format, place, _read(format, times | fields, place)


def _decoded(text: bytes) -> Sequence[_Page]:
    try:
        if text.lstrip()[:1] == b"[":
            return _pages.decode(text)
        try:
            return [_page.decode(text)]
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError as error:
            if "trailing" not in str(error):
                raise
            return _page.decode_lines(text)
    except msgspec.ValidationError as error:
        raise UsageFileError(f"is no page of a usage API: {error}. {_known()}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise UsageFileError(f"is no JSON: {error}") from None


def _known_by(names: Sequence[str] | Mapping[str, object], *, is_csv: bool) -> Format:
    for format in FORMATS:
        if format.is_csv is is_csv and format.known_by <= set(names):
            return format
    what = "columns" if is_csv else "fields"
    shown = ", ".join(list(names)[:8])[:200]
    raise UsageFileError(f"is of no known format, by its {what} {shown!r}. {_known()}")


def _known() -> str:
    return f"Known are: {'; '.join(format.name for format in FORMATS)}"


def _read(format: Format, fields: Mapping[str, object], place: str) -> Line:
    try:
        return format.read(fields)
    except ValueError as error:
        raise UsageFileError(f"is wrong in {place}: {error}") from None
