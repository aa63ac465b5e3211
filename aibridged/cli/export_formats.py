"""Rows of an export as CSV, JSON Lines or Parquet, written a page at a time."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from aibridged.cli.cells import printable

if TYPE_CHECKING:
    from aibridged.records.export import Field, Values

# What a spreadsheet begins a formula with, in full width, too.
_BEGIN_FORMULAS = tuple("=+-@\t\r\n＝＋－＠")
_GROUP_BYTES = 8 * 1024 * 1024
"""Of Parquet's row groups, which are in memory until they are written."""


class Sink(Protocol):
    """What bytes are written to: a file, or a pipe."""

    def write(self, data: bytes, /) -> object: ...


class Writer(Protocol):
    """Writes the rows of an export in one format."""

    def write(self, page: "Sequence[Values]") -> None:
        """Write some rows."""

    def close(self) -> None:
        """Write what belongs at the end."""


class CsvWriter:
    """CSV as in RFC 4180, in UTF-8: a heading, then a line for each row.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, unless it is to
    be `raw`. For a terminal, control characters of texts are left out.
    """

    def __init__(
        self, sink: Sink, fields: "Sequence[Field]", *, raw: bool, for_terminal: bool
    ) -> None:
        self._sink = sink
        texts: list[Callable[[str], str]] = []
        if for_terminal:
            texts.append(printable)
        if not raw:
            texts.append(_no_formula)
        self._conversions = [
            (number, convert)
            for number, field in enumerate(fields)
            for convert in _csv_conversions(field, texts)
        ]
        self._lines([[field.name for field in fields]])

    def write(self, page: "Sequence[Values]") -> None:
        """Write some rows."""
        self._lines(map(self._cells, page))

    def close(self) -> None:
        """Nothing belongs at the end."""

    def _cells(self, values: "Values") -> Sequence[Any]:
        cells = list(values)
        for number, convert in self._conversions:
            if (value := cells[number]) is not None:
                cells[number] = convert(value)
        return cells

    def _lines(self, rows: Iterable[Sequence[Any]]) -> None:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        self._sink.write(text.getvalue().encode(errors="replace"))


def _csv_conversions(
    field: "Field", texts: Sequence[Callable[[str], str]]
) -> Sequence[Callable[[Any], str]]:
    from aibridged.core.money import dollars

    known: dict[str, Sequence[Callable[[Any], str]]] = {
        "text": texts,
        "time": (_rfc3339,),
        "boolean": (_boolean,),
        "json": (_json,),
        "dollars": (dollars,),
    }
    return known.get(field.type.value, ())


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(_BEGIN_FORMULAS) else text


def _rfc3339(at: datetime) -> str:
    return f"{at.isoformat().removesuffix('+00:00')}Z"  # the record's times are in UTC


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _json(value: Any) -> str:
    from aibridged.cli.query_options import as_json

    return as_json(value, indent=None)


class JsonlWriter:
    """JSON Lines: an object for each row."""

    def __init__(self, sink: Sink, fields: "Sequence[Field]") -> None:
        import msgspec

        from aibridged.core.money import exact_dollars

        self._sink = sink
        self._exact = exact_dollars
        self._names = [field.name for field in fields]
        self._amounts = _of_dollars(fields)
        self._encode = msgspec.json.Encoder().encode_lines

    def write(self, page: "Sequence[Values]") -> None:
        """Write some rows."""
        from aibridged.cli.query_options import escaped

        lines = self._encode([self._object(values) for values in page])
        self._sink.write(escaped(lines.decode()).encode())

    def close(self) -> None:
        """Nothing belongs at the end."""

    def _object(self, values: "Values") -> dict[str, Any]:
        made = dict(zip(self._names, values, strict=True))
        for name in self._amounts:
            made[name] = self._exact(made[name])
        return made


def _of_dollars(fields: "Sequence[Field]") -> Sequence[str]:
    return [field.name for field in fields if field.type.value == "dollars"]


class ParquetWriter:
    """Parquet: a column for each field, with zstd; JSON as text. It needs the extra `parquet`."""

    def __init__(self, sink: Sink, fields: "Sequence[Field]") -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {
            "text": pa.string(),
            "integer": pa.int64(),
            "number": pa.float64(),
            "boolean": pa.bool_(),
            "time": pa.timestamp("us", tz="UTC"),
            "json": pa.string(),
            "dollars": pa.decimal128(38, 9),
        }
        self._pa = pa
        made = {"json": _json, "dollars": _decimal}
        self._conversions = [made.get(field.type.value) for field in fields]
        self._schema = pa.schema([(field.name, types[field.type.value]) for field in fields])
        self._file = pa.PythonFile(_Counting(sink), mode="w")
        self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
        self._waiting: list[Any] = []

    def write(self, page: "Sequence[Values]") -> None:
        """Write some rows, or keep them until they are enough for a row group."""
        columns = [
            self._pa.array(
                column
                if convert is None
                else [None if value is None else convert(value) for value in column],
                type=field.type,
            )
            for column, convert, field in zip(
                zip(*page, strict=True), self._conversions, self._schema, strict=True
            )
        ]
        self._waiting.append(self._pa.RecordBatch.from_arrays(columns, schema=self._schema))
        if sum(batch.nbytes for batch in self._waiting) >= _GROUP_BYTES:
            self._write_group()

    def close(self) -> None:
        """Write the rows that are left, and the footer."""
        self._write_group()
        self._writer.close()
        self._file.close()

    def _write_group(self) -> None:
        if self._waiting:
            table = self._pa.Table.from_batches(self._waiting)
            self._waiting = []
            self._writer.write_table(table, row_group_size=table.num_rows)


def _decimal(nanos: int) -> Decimal:
    return Decimal(nanos).scaleb(-9)


class _Counting(io.RawIOBase):
    """A sink that knows its position, also where it is a pipe, and stays open."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        written = bytes(data)
        self._sink.write(written)
        self._position += len(written)
        return len(written)

    def tell(self) -> int:
        return self._position
