"""Facts that wait for the database; tests/records/test_writer.py drives the rest."""

import errno

import pytest

from aibridged.records.spool import Spool
from aibridged.records.spooling import Spooling
from aibridged.records.stats import RecorderStats


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool.jsonl")


@pytest.fixture
def spooling(spool):
    made = Spooling(spool, RecorderStats())
    made.open()
    yield made
    made.close()


def test_what_was_saved_comes_back_once_in_its_order(spooling, new_facts):
    spooling.save(new_facts("a"))
    spooling.save(new_facts("b"))
    back = []
    spooling.replay(back.extend)
    owners = [fact.interception_id for fact in back]
    assert owners == ["a"] * 4 + ["b"] * 4
    spooling.replay(back.extend)
    assert len(back) == 8


def test_what_is_not_taken_stays(spooling, new_facts):
    spooling.save(new_facts("a"))

    def refuse(facts):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        spooling.replay(refuse)
    back = []
    spooling.replay(back.extend)
    assert len(back) == 4


def test_what_the_spool_does_not_take_waits_in_memory(spooling, spool, new_facts, monkeypatch):
    def fail(facts):
        raise OSError(errno.ENOSPC, "No space left on device")

    spooling.save(new_facts("a"))
    monkeypatch.setattr(spool, "append", fail)
    spooling.save(new_facts("b"))
    back = []
    spooling.replay(back.extend)
    assert [fact.interception_id for fact in back] == ["a"] * 4 + ["b"] * 4
