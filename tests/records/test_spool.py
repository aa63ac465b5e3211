"""The spool: on disk when it says so, read back whole, torn ends passed over, nobody else's."""

import errno
import os
import stat
from datetime import UTC, datetime

import msgspec
import pytest

from aibridged.records import spool as spool_module
from aibridged.records.facts import InterceptionEnd, Outcome, UserPromptRecord
from aibridged.records.spool import Spool, SpoolError, Spooling, SpoolInUseError
from aibridged.records.stats import RecorderStats

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spool.jsonl"


@pytest.fixture
def spool(path):
    made = Spool(path)
    made.open()
    yield made
    made.close()


def prompt(text):
    return UserPromptRecord(id=text, interception_id="i", created_at=AT, prompt=text)


def read(spool):
    return [fact for chunk in spool.read() for fact in chunk]


def test_all_kinds_of_facts_come_back_as_they_were(spool, new_facts):
    facts = new_facts("i")
    spool.append(facts)
    assert read(spool) == facts
    assert read(spool) == facts, "reading takes nothing out"


def test_a_file_outlives_its_spool_and_only_its_owner_reads_it(path, spool):
    spool.append([prompt("a")])
    spool.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    successor = Spool(path)
    successor.open()
    assert successor.size == path.stat().st_size > 0
    successor.append([prompt("b")])
    assert [fact.id for fact in read(successor)] == ["a", "b"]
    successor.close()


def test_a_line_is_on_disk_when_append_returns(path, spool, monkeypatch):
    synced = []
    monkeypatch.setattr(spool_module.os, "fsync", lambda _: synced.append(path.stat().st_size))
    spool.append([prompt("a"), prompt("b")])
    assert synced == [path.stat().st_size]


def test_many_facts_come_in_chunks(spool):
    facts = [prompt(str(number)) for number in range(1200)]
    spool.append(facts)
    assert [len(chunk) for chunk in spool.read()] == [500, 500, 200]
    assert read(spool) == facts


def test_a_cleared_spool_is_empty(path, spool):
    spool.append([prompt("a")])
    spool.clear()
    assert (read(spool), spool.size, path.stat().st_size) == ([], 0, 0)
    spool.append([prompt("b")])
    assert [fact.id for fact in read(spool)] == ["b"]


@pytest.mark.parametrize("kept", range(1, 40, 7))
def test_a_torn_last_line_is_passed_over(path, spool, kept):
    spool.append([prompt("a")])
    whole = path.read_bytes()
    spool.close()
    path.write_bytes(whole + whole[:kept])
    spool = Spool(path)
    spool.open()
    assert [fact.id for fact in read(spool)] == ["a"]
    assert spool.lost == 0
    spool.close()


def test_a_damaged_line_is_counted_and_the_rest_is_read(path, spool):
    spool.append([prompt("a")])
    spool.close()
    path.write_bytes(b'{"type": "martian"}\n{"type": "\xff"}\n' + path.read_bytes())
    spool = Spool(path)
    spool.open()
    assert [fact.id for fact in read(spool)] == ["a"]
    assert spool.lost == 2
    spool.close()


def test_a_line_of_an_earlier_release_is_an_end_without_a_reason(path, spool):
    spool.close()
    path.write_text(
        '{"type":"interception_end","interception_id":"i","ended_at":"2026-01-01T00:00:00Z",'
        '"outcome":"failed","status_code":502,"usage_partial":false,'
        '"time_to_first_byte_ms":null,"prompt_response_id":null}\n'
    )
    spool = Spool(path)
    spool.open()
    end = InterceptionEnd(interception_id="i", ended_at=AT, outcome=Outcome.FAILED, status_code=502)
    assert read(spool) == [end]
    told = msgspec.structs.replace(end, error_type="timeout", error_message="It took too long.")
    spool.append([told])
    assert read(spool) == [end, told]
    spool.close()


def test_text_that_is_no_unicode_is_spooled_all_the_same(spool):
    spool.append([prompt("half \ud800.")])
    assert read(spool)[0].prompt == "half ?."


def test_a_fact_that_is_no_json_takes_no_other_with_it(spool):
    odd = UserPromptRecord(
        id="odd", interception_id="i", created_at=AT, prompt="p", metadata={"n": object()}
    )
    spool.append([prompt("a"), odd, prompt("b")])
    assert [fact.id for fact in read(spool)] == ["a", "b"]
    assert spool.lost == 1


def test_a_write_that_fails_leaves_no_half_line(path, spool, monkeypatch):
    spool.append([prompt("a")])
    write = os.write

    def fill_up(file, data):
        if len(data) > 20:
            return write(file, data[:20])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool_module.os, "write", fill_up)
    with pytest.raises(OSError, match="No space"):
        spool.append([prompt("b")])
    monkeypatch.undo()
    spool.append([prompt("c")])
    assert [fact.id for fact in read(spool)] == ["a", "c"]
    assert spool.size == path.stat().st_size


def test_one_state_directory_has_one_recorder(path, spool):
    with pytest.raises(SpoolInUseError, match="--state-dir"):
        Spool(path).open()
    spool.close()
    other = Spool(path)
    other.open()
    other.close()


def test_a_spool_that_is_a_symbolic_link_is_not_followed(tmp_path, path):
    """Through it the daemon would append to, and empty, whatever its user may write to."""
    target = tmp_path / "target"
    target.write_text("precious")
    path.symlink_to(target)
    with pytest.raises(SpoolError, match=r"spool\.jsonl.*symbolic link.*--state-dir"):
        Spool(path).open()
    assert target.read_text() == "precious"
    target.unlink()
    with pytest.raises(SpoolError, match="symbolic link"):
        Spool(path).open()
    assert not target.exists()


def test_a_spool_that_is_a_pipe_is_not_waited_for(path):
    os.mkfifo(path)
    with pytest.raises(SpoolError, match="not a regular file"):
        Spool(path).open()


@pytest.fixture
def spooling(path):
    made = Spooling(Spool(path), RecorderStats())
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


def test_what_the_spool_does_not_take_waits_in_memory(spooling, new_facts, monkeypatch):
    def fail(facts):
        raise OSError(errno.ENOSPC, "No space left on device")

    spooling.save(new_facts("a"))
    monkeypatch.setattr(spooling._spool, "append", fail)
    spooling.save(new_facts("b"))
    back = []
    spooling.replay(back.extend)
    assert [fact.interception_id for fact in back] == ["a"] * 4 + ["b"] * 4
