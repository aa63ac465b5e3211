"""The journals of workers tell who lives."""

import pytest

from aibridged.records.journal import JOURNAL_FILE
from aibridged.records.remote_journal import (
    JournalsElsewhere,
    WorkerJournal,
    have_living,
    is_living,
    journal_path,
    left_behind,
    left_behind_before_group,
)
from aibridged.records.spool import SpoolError


def test_a_recorder_lives_as_long_as_its_journal_is_open(tmp_path, new_facts):
    assert not is_living(tmp_path, 5)
    journal = WorkerJournal(tmp_path, 5)
    journal.open()
    journal.append(new_facts("1"))
    assert is_living(tmp_path, 5)
    assert have_living(tmp_path)
    assert left_behind(tmp_path) == []
    journal.close()
    assert not is_living(tmp_path, 5)
    assert not have_living(tmp_path)
    assert left_behind(tmp_path) == [journal_path(tmp_path, 5)]
    (tmp_path / JOURNAL_FILE).touch()
    assert left_behind_before_group(tmp_path) == [tmp_path / JOURNAL_FILE, *left_behind(tmp_path)]
    journal.remove()
    assert left_behind(tmp_path) == []


def test_a_journal_has_one_recorder(tmp_path):
    journal = WorkerJournal(tmp_path, 5)
    journal.open()
    with pytest.raises(SpoolError, match="locked"):
        WorkerJournal(tmp_path, 5).open()
    journal.close()


def test_one_that_was_taken_for_a_dead_ones_is_not_used(tmp_path, monkeypatch):
    journal = WorkerJournal(tmp_path, 5)
    flock = "aibridged.records.remote_journal.fcntl.flock"
    monkeypatch.setattr(flock, lambda file, how: journal.path.unlink(missing_ok=True))
    with pytest.raises(SpoolError, match=r"No such file|left behind"):
        journal.open()
    monkeypatch.undo()
    assert not is_living(tmp_path, 5)


def test_journals_elsewhere_tell_what_is_kept(new_facts):
    told = []
    journal = JournalsElsewhere(told.append)
    journal.open()
    journal.hold(new_facts("1"))
    journal.append(new_facts("1"))
    assert journal.size == journal.missed == 0
    assert list(journal.read()) == []
    journal.release(3)
    journal.clear()
    journal.close()
    assert told == [3]
