"""How answers are written, and what asking leaves alone."""

import json

import pytest
import sqlalchemy as sa
import typer
from typer.testing import CliRunner

from aibridged.cli import build
from aibridged.cli.query_options import Output, as_json, moment, printable, short, write
from aibridged.records.migrations import VERSION_TABLE

DRIVING = "a\x1b[31m\x07b\x7f\x9b31m\u202ec\u2028d"


def ask(state_dir, *args):
    return CliRunner().invoke(build(), [*args, "--state-dir", str(state_dir)])


@pytest.mark.parametrize("output", list(Output))
def test_no_text_drives_the_terminal(output, capsys):
    cells = ("MODEL",), lambda text: (text,)
    write([DRIVING], output, *cells, columns={"model": str}, cut=(), nothing="")
    said = capsys.readouterr().out
    assert not set("\x1b\x07\x7f\x9b\u202e\u2028") & set(said)


def test_json_means_what_was_recorded():
    assert json.loads(as_json({"prompt": DRIVING})) == {"prompt": DRIVING}
    assert as_json("ü\n", indent=None) == '"ü\\n"'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\r\nlines\tand a tab", "two  lines and a tab"),
        ("non\u00a0breaking\u3000ideographic", "non breaking ideographic"),
        ("\N{WOMAN}\u200d\N{PERSONAL COMPUTER}", "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}"),
        ("\x1b]0;title\x07", "\ufffd]0;title\ufffd"),
    ],
)
def test_text_on_one_line(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0"), (999, "999"), (12_345, "12.3k"), (4_500_000, "4.5M")]
)
def test_counts_in_few_characters(count, shown):
    assert short(count) == shown


@pytest.mark.parametrize("text", ["soon", "", "2026-13-01", "0001-01-01T00:00:00+14:00", "5"])
def test_what_is_no_time_is_wrong_usage(text):
    with pytest.raises(typer.BadParameter, match="is not a time"):
        moment(text, "--since")


@pytest.mark.parametrize(
    "args",
    [("interceptions", "list"), ("sessions", "list"), ("usage",), ("tail",)],
)
def test_who_asks_in_the_wrong_place_is_told_and_nothing_is_made(tmp_path, args):
    result = ask(tmp_path / "typo", *args)
    assert result.exit_code == 1
    assert "--state-dir" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_schema_of_another_release_is_left_as_it_is(sqlite_database):
    with sqlite_database.engine.begin() as connection:
        connection.execute(sa.text(f"DELETE FROM {VERSION_TABLE}"))
    result = ask(sqlite_database.state_dir, "usage")
    assert result.exit_code == 1
    assert "aibridged db upgrade" in result.stderr
    with sqlite_database.engine.begin() as connection:
        assert connection.scalar(sa.text(f"SELECT count(*) FROM {VERSION_TABLE}")) == 0


def test_no_text_that_can_be_typed_breaks_a_question(sqlite_database):
    result = ask(sqlite_database.state_dir, "interceptions", "list", "--model", "\udcff")
    assert result.exit_code == 0, result.output
