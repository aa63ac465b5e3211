"""Rows of an export in each format."""

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from aibridged.cli.export_formats import CsvWriter, JsonlWriter, ParquetWriter
from aibridged.records.export import Field, Type

FIELDS = [Field(each.value, each) for each in Type]
AT = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
ROW = ('a, "b"\nü', 7, 0.25, True, AT, {"a": [1]}, 87_500_000)
NOTHING = (None,) * len(FIELDS)


def written(make, *rows):
    sink = io.BytesIO()
    writer = make(sink)
    for row in rows:
        writer.write([row])
    writer.close()
    return sink.getvalue()


def as_csv(*rows, raw=False, for_terminal=False, fields=FIELDS):
    data = written(lambda sink: CsvWriter(sink, fields, raw=raw, for_terminal=for_terminal), *rows)
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def test_csv_has_exact_values_below_a_heading():
    heading, row, nothing = as_csv(ROW, NOTHING)
    assert heading == ["text", "integer", "number", "boolean", "time", "json", "dollars"]
    time = "2026-01-31T12:00:00.250000Z"
    assert row == [ROW[0], "7", "0.25", "true", time, '{"a":[1]}', "0.0875"]
    assert nothing == [""] * len(FIELDS)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "\n=1", "＝1"])
def test_no_text_is_a_formula_to_a_spreadsheet(text):
    fields = [Field("client", Type.TEXT), Field("integer", Type.INTEGER)]
    assert as_csv((text, -1), fields=fields)[1] == [f"'{text}", "-1"]
    assert as_csv((text, -1), fields=fields, raw=True)[1] == [text, "-1"]
    assert as_csv((f"a{text}", -1), fields=fields)[1] == [f"a{text}", "-1"]


def test_no_text_drives_the_terminal():
    fields = [Field("client", Type.TEXT)]
    (_, [text]) = as_csv(("a\x1b[31m\n",), fields=fields, raw=True, for_terminal=True)
    assert text == "a\ufffd[31m "


def test_json_lines_have_an_object_for_each_row():
    data = written(lambda sink: JsonlWriter(sink, FIELDS), ROW, NOTHING)
    row, nothing = data.decode().splitlines()
    assert json.loads(row) == {
        "text": ROW[0],
        "integer": 7,
        "number": 0.25,
        "boolean": True,
        "time": "2026-01-31T12:00:00.250000Z",
        "json": {"a": [1]},
        "dollars": "0.0875",
    }
    assert json.loads(nothing) == dict.fromkeys(json.loads(row))
    driving = "\x7f\x9b\u2028"
    data = written(lambda sink: JsonlWriter(sink, [Field("text", Type.TEXT)]), [driving])
    assert not set(driving) & set(data.decode())
    assert json.loads(data) == {"text": driving}


def test_parquet_has_typed_columns(monkeypatch):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("aibridged.cli.export_formats._GROUP_BYTES", 100)
    data = written(lambda sink: ParquetWriter(sink, FIELDS), ROW, ROW, NOTHING)
    file = parquet.ParquetFile(io.BytesIO(data))
    table = file.read()
    assert [str(type) for type in table.schema.types] == [
        "string", "int64", "double", "bool", "timestamp[us, tz=UTC]", "string",
        "decimal128(38, 9)",
    ]  # fmt: skip
    first, _, last = table.to_pylist()
    assert tuple(first.values()) == (*ROW[:-2], '{"a":[1]}', Decimal("0.0875"))
    assert set(last.values()) == {None}
    assert 1 < file.metadata.num_row_groups <= 3
    empty = written(lambda sink: ParquetWriter(sink, FIELDS))
    assert parquet.read_table(pa.BufferReader(empty)).num_rows == 0
