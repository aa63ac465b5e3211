"""Sentences are wrapped between words on a terminal, and nowhere else."""

import sys

import pytest

from aibridged.cli.say import say
from tests.cli.conftest import Terminal

SENTENCE = "There is no database at /var/lib: run `aibridged users create` first."


@pytest.mark.parametrize("err", [False, True])
def test_a_terminal_has_lines_of_its_width(err: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys, "stderr" if err else "stdout", terminal := Terminal())
    say(f"{SENTENCE}\n  {'pip install ' * 9}", err=err)
    first, second, command = terminal.getvalue().splitlines()
    assert f"{first} {second}" == SENTENCE
    assert second.startswith("`aibridged users create`") or "`aibridged users create`" in first
    assert command == f"  {'pip install ' * 9}"


def test_a_pipe_has_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(SENTENCE, err=True)
    assert capsys.readouterr().err == f"{SENTENCE}\n"
