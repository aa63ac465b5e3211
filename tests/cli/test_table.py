import subprocess
import sys

import pytest

from aibridged.cli.table import fitted, shortened, table, terminal_width, width, wrapped

CHINESE = "请找出重试循环的测试在慢机器上失败的原因并修复它"  # no blanks, two cells a character


@pytest.mark.parametrize(
    ("text", "cells"),
    [("", 0), ("plain", 5), ("naïve", 5), ("日本", 4), ("ok 👍", 5), ("e\u0301", 1)],
)
def test_a_text_is_as_wide_as_it_looks(text, cells):
    assert width(text) == cells


@pytest.mark.parametrize(
    ("text", "room", "shown"),
    [
        ("plain", 7, "plain  "),
        ("plain", 5, "plain"),
        ("plain", 4, "pla…"),
        ("日本語", 7, "日本語 "),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日… "),  # half a character is none
        ("日本語", 1, "…"),
    ],
)
def test_a_text_fits_exactly(text, room, shown):
    assert fitted(text, room) == shown
    assert width(shown) == room


@pytest.mark.parametrize("text", ["word " * 30, "für " * 30, CHINESE * 3, "x" * 90, "👍" * 50])
def test_lines_are_as_wide_as_there_is_room(text):
    lines = wrapped(text, 20)
    assert max(map(width, lines)) <= 20
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_columns_that_can_be_spared_go_before_others_are_cut():
    rows = [("x" * 10, "y" * 10, "z" * 10)]
    whole = table(("A", "B", "C"), rows, cut={"A"}, spare={"C"}, room=34)
    assert whole.splitlines()[1] == "xxxxxxxxxx  yyyyyyyyyy  zzzzzzzzzz"
    spared = table(("A", "B", "C"), rows, cut={"A"}, spare={"C"}, room=33)
    assert spared.splitlines() == ["A           B", "xxxxxxxxxx  yyyyyyyyyy"]
    cut = table(("A", "B", "C"), rows, cut={"A"}, spare={"C"}, room=20)
    assert cut.splitlines()[1] == "xxxxxxx…  yyyyyyyyyy"


def test_a_note_stands_below_its_row_on_one_line():
    notes = ["", "why it is so, in many words"]
    assert table(("A",), [("1",), ("2",), ("3",)], cut=(), notes=notes, room=24) == (
        "A\n1\n2\n    why it is so, in …\n3"
    )


@pytest.mark.parametrize(("columns", "cells"), [("140", 140), ("", 80), ("0", 80), ("wide", 80)])
def test_a_line_is_as_wide_as_the_terminal(columns, cells, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert terminal_width() == cells


def test_words_are_kept_whole():
    assert wrapped("schöne neue Welt", 10) == ["schöne", "neue Welt"]
    assert wrapped("lovely new world", 10) == ["lovely new", "world"]


def test_what_is_blank_has_no_lines_that_are_seen():
    assert not any(wrapped("  ", 10))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("some\n words", "some words"),
        ("some more words than fit", "some more …"),
        ("日本語の説明はここにあります", "日本語の説 …"),
    ],
)
def test_a_line_says_whether_there_is_more(text, shown):
    assert shortened(text, 12) == shown


def test_plain_text_is_measured_without_a_library():
    program = (
        "import sys; from aibridged.cli.table import fitted, width, wrapped;"
        "fitted('a', 3); width('a'); wrapped('a b', 1); print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"


def test_columns_are_aligned_and_nothing_trails():
    rows = [("alice", "1", ""), ("bob", "1000", "x")]
    assert table(("NAME", "N", "NOTE"), rows, cut={"NAME"}) == (
        "NAME   N     NOTE\n"
        "alice  1\n"
        "bob    1000  x"
    )  # fmt: skip


def test_without_rows_there_are_headings():
    assert table(("NAME", "N"), [], cut={"NAME"}) == "NAME  N"


def test_the_widest_of_the_named_columns_are_cut_to_the_width():
    rows = [("0123456789" * 3, "n" * 40, "e" * 60, "short")]
    shown = table(("ID", "NAME", "EMAIL", "ROLE"), rows, cut={"NAME", "EMAIL", "ROLE"}, room=70)
    _, row = shown.splitlines()
    assert len(row) == 70
    assert row.split("  ") == ["0123456789" * 3, "n" * 13 + "…", "e" * 14 + "…", "short"]


def test_what_fits_exactly_is_not_cut():
    shown = table(("A", "B"), [("x" * 4, "y" * 4)], cut={"A", "B"}, room=10)
    assert shown == "A     B\nxxxx  yyyy"


def test_what_cannot_fit_keeps_a_character_a_column():
    assert table(("A", "B"), [("xxx", "yyy")], cut={"A"}, room=1) == "A  B\n…  yyy"
