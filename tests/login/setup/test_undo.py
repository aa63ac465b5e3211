"""What was there before comes back, and later changes of others aren't lost unasked."""

import pytest

from aibridged.login.failure import LoginError
from aibridged.login.setup.change import Change
from aibridged.login.setup.undo import Journal


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "config", "codex")


def change(journal, path, after):
    made = Change(path, path.read_text() if path.exists() else None, after)
    journal.keep(made)
    made.make()


def undo(journal, *, is_sure=True):
    for each in journal.reverse(is_sure=is_sure):
        each.make()
    journal.forget()


def test_the_first_state_comes_back_after_several_changes(journal, tmp_path):
    path = tmp_path / "f"
    path.write_text("mine")
    change(journal, path, "first")
    change(journal, path, "second")
    undo(journal)
    assert path.read_text() == "mine"
    assert journal.reverse(is_sure=True) == []


def test_a_file_that_was_not_there_goes(journal, tmp_path):
    change(journal, tmp_path / "f", "ours")
    undo(journal)
    assert not (tmp_path / "f").exists()


def test_a_change_of_others_between_counts_as_theirs(journal, tmp_path):
    path = tmp_path / "f"
    change(journal, path, "first")
    path.write_text("theirs")
    change(journal, path, "second")
    undo(journal)
    assert path.read_text() == "theirs"


def test_later_changes_are_not_lost_unasked(journal, tmp_path):
    path = tmp_path / "f"
    path.write_text("mine")
    change(journal, path, "ours")
    path.write_text("ours, and theirs")
    with pytest.raises(LoginError, match="was changed since"):
        undo(journal)
    undo(journal, is_sure=False)
    assert path.read_text() == "mine"


def test_what_is_kept_is_private(journal, tmp_path):
    change(journal, tmp_path / "f", "ours")
    [kept] = (tmp_path / "config" / "setup").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"f": {}}', '{"f": {"before": 1, "after": ""}}'])
def test_a_damaged_journal_is_said(journal, tmp_path, text):
    change(journal, tmp_path / "f", "ours")
    [kept] = (tmp_path / "config" / "setup").iterdir()
    kept.write_text(text)
    with pytest.raises(LoginError, match="damaged"):
        journal.reverse(is_sure=True)
