"""Columns: which of them, in which form, and how they fit."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import typer

from aibridged.cli.columns import Column, Kind, Layout, chosen
from aibridged.cli.table import width
from tests.cli.conftest import Terminal

ID = "0198c1d2-e3f4-7000-8000-00000000000{}"
AT = datetime(2026, 1, 31, 12, 0, 5, tzinfo=UTC)


def column(name, **options):
    return Column(name, lambda row: getattr(row, name), **options)


COLUMNS = (
    column("id", kind=Kind.ID),
    column("at", kind=Kind.TIME),
    column("name", cut=True),
    column("hidden", is_shown=False),
    column("spare", spare=True),
    column("total_count", heading="SUM", kind=Kind.COUNT),
    column("note", below=True, in_csv=False),
)


def row(number=1, **fields):
    given = {
        "id": ID.format(number),
        "at": AT,
        "name": "x" * 20,
        "hidden": "h",
        "spare": "s" * 5,
        "total_count": 1_234_567,
        "note": "",
        **fields,
    }
    return SimpleNamespace(**given)


def shown(room, *rows, names=None, wide=False):
    layout = Layout(chosen(COLUMNS, wide, names), rows or [row()], room)
    return [layout.heading, *(line for each in rows or [row()] for line in layout.lines(each))]


WHOLE = f"{ID.format(1)}  2026-01-31 12:00:05  xxxxxxxxxxxxxxxxxxxx  sssss  1,234,567"


@pytest.mark.parametrize(
    ("room", "line"),
    [
        (200, WHOLE),
        (len(WHOLE), WHOLE),
        (
            len(WHOLE) - 1,
            "0198c1d2-e3f4  2026-01-31 12:00:05  xxxxxxxxxxxxxxxxxxxx  sssss  1,234,567",
        ),
        (73, "0198c1d2-e3f4  01-31 12:00:05  xxxxxxxxxxxxxxxxxxxx  sssss  1,234,567"),
        (68, "0198c1d2-e3f4  01-31 12:00:05  xxxxxxxxxxxxxxxxxxxx  sssss  1.2M"),
        (61, "0198c1d2-e3f4  01-31 12:00:05  xxxxxxxxxxxxxxxx…  sssss  1.2M"),
        (60, "0198c1d2-e3f4  01-31 12:00:05  xxxxxxxxxxxxxxxxxxxx  1.2M"),
        (45, "0198c1d2-e3f4  01-31 12:00:05  xxxxxxx…  1.2M"),
    ],
)
def test_a_table_is_shortened_then_thinned_out_then_cut(room, line):
    heading, found = shown(room)
    assert found == line
    assert len(heading) <= len(found) <= room


def test_numbers_are_aligned_to_the_right_and_nothing_trails():
    assert shown(
        80, row(total_count=1, name="a", spare=""), row(2, name="b"), names="name,sum"
    ) == [
        "NAME        SUM",
        "a             1",
        "b     1,234,567",
    ]


def test_ids_of_one_moment_are_as_long_as_they_must_be():
    _, first, second = shown(60, row(1), row(2), names="id,total_count,at")
    assert first.split()[0] == ID.format(1)
    assert second.split()[0] == ID.format(2)


def test_a_note_has_a_line_below_its_row_in_a_terminal_and_a_column_elsewhere():
    rows = row(1, note="why it is so, in\nmany words"), row(2)
    lines = shown(30, *rows)
    assert lines[2] == "    why it is so, in many …"
    assert len(lines) == 4
    heading, first, _ = shown(None, *rows)
    assert heading.endswith("NOTE")
    assert first.endswith("  why it is so, in many words")


def test_without_a_terminal_or_with_wide_nothing_is_cut():
    long = row(name="n" * 300)
    for lines in (shown(None, long), shown(None, long, wide=True)):
        assert ID.format(1) in lines[1]
        assert "n" * 300 in lines[1]
    assert "HIDDEN" in shown(None, long, wide=True)[0]
    assert "HIDDEN" not in shown(None, long)[0]


def test_wide_characters_take_two_cells():
    heading, chinese, latin = shown(40, row(name="请找出重试循环"), row(name="a"), names="name,sum")
    assert width(heading) == width(chinese) == width(latin) == 25


@pytest.mark.parametrize(
    ("names", "heading"),
    [
        ("id", "ID"),
        ("spare, ID ,hidden", "SPARE  ID                                    HIDDEN"),
        ("sum", "      SUM"),
        ("total_count", "      SUM"),
        ("Total-Count", "      SUM"),
        ("name,name", "NAME                  NAME"),
        ("note", "NOTE"),
    ],
)
def test_columns_are_named_by_name_or_heading(names, heading):
    assert shown(200, names=names)[0] == heading


@pytest.mark.parametrize("names", ["id,nonsense", "", "id,,name"])
def test_an_unknown_column_is_named_with_those_there_are(names):
    with pytest.raises(typer.BadParameter) as caught:
        chosen(COLUMNS, names=names)
    unknown = "nonsense" if "nonsense" in names else ""
    assert str(caught.value) == (
        f"there is no column {unknown!r}; there are id, at, name, hidden, spare, total_count, note."
    )


@pytest.mark.parametrize(
    ("options", "output", "flag"),
    [
        ({"wide": True}, "json", "--wide"),
        ({"wide": True}, "csv", "--wide"),
        ({"names": "id"}, "json", "--columns"),
        ({"names": "id"}, "jsonl", "--columns"),
    ],
)
def test_what_an_output_cannot_do_is_not_ignored(options, output, flag):
    with pytest.raises(typer.BadParameter) as caught:
        chosen(COLUMNS, **options, output=output)
    assert caught.value.param_hint == flag
    assert f"--output {output}" in str(caught.value)


def test_a_csv_has_its_columns_or_those_that_are_named():
    assert [each.name for each in chosen(COLUMNS, output="csv").columns] == [
        "id", "at", "name", "hidden", "spare", "total_count",
    ]  # fmt: skip
    assert [each.name for each in chosen(COLUMNS, names="note", output="csv").columns] == ["note"]
    values = [each.field(row(name="a\x1b")) for each in COLUMNS[:3]]
    assert values == [ID.format(1), "2026-01-31T12:00:05+00:00", "a\ufffd"]


def test_a_total_is_the_last_row(monkeypatch):
    monkeypatch.setattr("sys.stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "40")
    view = chosen(COLUMNS, names="name,sum")
    assert view.table([row()], row(name="TOTAL", total_count=12_345_678)).splitlines() == [
        "NAME                         SUM",
        "xxxxxxxxxxxxxxxxxxxx   1,234,567",
        "TOTAL                 12,345,678",
    ]


def test_a_narrow_terminal_is_no_error():
    assert shown(1)[1].startswith("0198c1d2-e3f4")
    assert shown(3, row(note="words and words"))


@pytest.mark.parametrize(
    ("cost", "label", "cell", "field"),
    [
        (87_500_000, "exact", "$0.0875", "0.0875"),
        (1_234_567_890_001, "estimated", "~$1,234.57", "1234.567890001"),
        (10**9, "unpriced", "$1.00+", "1"),
        (None, "unpriced", "unpriced", ""),
        (None, None, "-", ""),
    ],
)
def test_a_cost_is_short_in_a_table_and_exact_in_a_file(cost, label, cell, field):
    costs = Column("cost", lambda row: row, kind=Kind.COST)
    assert costs.full_text((cost, label)) == costs.short_text((cost, label)) == cell
    assert costs.field((cost, label)) == field
