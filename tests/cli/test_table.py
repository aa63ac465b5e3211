"""Text in a terminal: its width, and lines that fit."""

import fcntl
import io
import os
import struct
import subprocess
import sys
import termios

import pytest

from aibridged.cli.table import aligned, fitted, shortened, terminal_width, width, wrapped
from tests.cli.conftest import Terminal

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


@pytest.mark.parametrize(("columns", "cells"), [("140", 140), ("", 80), ("0", 80), ("wide", 80)])
def test_a_line_is_as_wide_as_the_terminal(columns, cells, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert terminal_width() == cells


def test_a_pipe_has_no_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert terminal_width() is None


def test_the_terminal_itself_says_how_wide_it_is(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    ours, its = os.openpty()
    with open(its, "w") as stdout, open(ours, "rb"):
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 123, 0, 0))
        monkeypatch.setattr(sys, "stdout", stdout)
        assert terminal_width() == 123


@pytest.mark.parametrize(
    ("cut", "line"), [(True, "alice      1  日…  1…"), (False, "alice      1  日本語  1234")]
)
def test_cells_are_aligned_to_either_side(cut, line):
    texts, right = ("alice", "1", "日本語", "1234"), (False, True, False, True)
    assert aligned(texts, (7, 3, 3, 2), right, cut=cut) == line


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
