"""The journal: what is appended survives a kill, in room that was taken before."""

import errno
import os
import stat
from datetime import UTC, datetime

import pytest

from aibridged.records import journal as journal_module
from aibridged.records.facts import InterceptionEnd, Outcome, ToolUsageRecord, UserPromptRecord
from aibridged.records.journal import AREA_BYTES, MAX_TEXT, MAX_TEXTS, Journal
from aibridged.records.spool import SpoolError

AT = datetime(2026, 1, 1, tzinfo=UTC)
SMALL = 4096


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


@pytest.fixture
def make(path):
    """Opens the journal, as a process does that comes after the one before was killed."""
    made = []

    def make(area_bytes=SMALL):
        made.append(Journal(path, area_bytes=area_bytes))
        made[-1].open()
        return made[-1]

    yield make
    for each in made:
        each.close()


def prompt(id, text="text"):
    return UserPromptRecord(id=id, interception_id="i", created_at=AT, prompt=text)


def read(journal):
    return [fact for chunk in journal.read() for fact in chunk]


def ids(journal):
    return sorted(fact.id for fact in read(journal))


def test_what_was_appended_is_there_for_the_next_process(make, new_facts):
    facts = new_facts("i")
    make().append(facts)
    successor = make()
    assert read(successor) == facts
    assert read(successor) == facts, "reading takes nothing out"
    successor.clear()
    assert read(make()) == []


def test_what_is_held_is_written_with_the_next(make):
    journal = make()
    journal.hold([prompt("a")])
    assert read(make()) == []
    journal.append([prompt("b")])
    assert ids(make()) == ["a", "b"]
    journal.hold([prompt("c")])
    journal.release(3)
    journal.append([])
    assert read(make()) == [], "it was committed meanwhile"


def test_ends_come_after_what_they_end(make):
    end = InterceptionEnd(interception_id="i", ended_at=AT, outcome=Outcome.COMPLETED)
    make().append([end, prompt("a")])
    assert read(make()) == [prompt("a"), end]


def test_what_is_released_is_not_there_any_more(make, path):
    journal = make()
    journal.append([prompt("a"), prompt("b")])
    journal.release(1)
    assert ids(make()) == ["a", "b"], "it goes together"
    journal.release(2)
    assert read(make()) == []
    assert path.read_bytes().strip(b"\0") == b""
    journal.append([prompt("c")])
    assert ids(make()) == ["c"]


def fill(journal, prefix):
    """Append until the area is full; how many found room in it."""
    start, count = journal._start, 0
    while journal._start == start and not journal.missed:
        journal.append([prompt(f"{prefix}{count:03}")])
        count += 1
    return count


def test_it_never_grows_and_areas_are_used_in_turn(make, path):
    journal = make()
    size = path.stat().st_size
    assert size == 2 * SMALL
    first = fill(journal, "a") - 1
    total = first + 1
    for _ in range(5):
        journal.release(total - 1)  # all but the last: the area that it is in is still needed
        total += fill(journal, "b")
        assert journal.missed == 0
        assert f"b{first - 1:03}" in ids(make())
    assert path.stat().st_size == size


def test_both_areas_are_emptied_once_all_of_them_is_released(make, path):
    journal = make()
    first = fill(journal, "a") - 1  # the last one is in the other area already
    journal.release(first - 1)
    assert len(ids(make())) == first + 1
    journal.release(first)
    assert ids(make()) == [f"a{first:03}"]
    journal.append([prompt("b")])
    journal.release(first + 2)
    assert path.read_bytes().strip(b"\0") == b""


def test_what_finds_no_room_is_counted_and_goes_nowhere(make, messages):
    journal = make()
    total = fill(journal, "a") + fill(journal, "b")
    assert journal.missed == 1
    before = ids(make())
    journal.append([prompt("c"), prompt("d")])
    assert (journal.missed, journal.missed_total) == (3, 3)
    assert ids(make()) == before
    assert messages().count("full or can't be written") == 1
    journal.release(total + 2)
    assert (journal.missed, journal.missed_total) == (0, 3)
    journal.append([prompt("e")])
    assert "e" in ids(make())
    journal.append([prompt("f", "x" * SMALL)])
    assert journal.missed == 1, "more than an area"


def test_nothing_is_written_to_where_the_other_area_is_still_needed(make):
    journal = make()
    first = fill(journal, "a") - 1
    journal.release(first - 1)
    fill(journal, "b")
    assert journal.missed == 1
    assert f"a{first - 1:03}" in ids(make())


@pytest.mark.parametrize("kept", range(1, 60, 7))
def test_a_torn_last_line_is_passed_over(make, path, kept):
    make().append([prompt("a"), prompt("b")])
    content = path.read_bytes()
    end = content.index(b"\n") + 1
    path.write_bytes(content[: end + kept] + bytes(len(content) - end - kept))
    successor = make()
    assert ids(successor) == ["a"]
    assert successor.lost == 0


def test_damaged_lines_are_counted_and_the_others_are_read(make, path):
    journal = make()
    for id in "abcd":
        journal.append([prompt(id)])
    content = bytearray(path.read_bytes())
    length = content.index(b"\n") + 1
    content[length + 20 : length + 25] = b"\xff\xfe\xfd\xfc\xfb"
    content[2 * length + 30 : 2 * length + 40] = bytes(10)  # a page that the disk never got
    path.write_bytes(content)
    successor = make()
    assert ids(successor) == ["a", "d"]
    assert successor.lost == 2


def test_a_short_write_harms_no_other_fact(make, monkeypatch):
    journal, pwrite = make(), os.pwrite
    journal.append([prompt("a")])
    monkeypatch.setattr(
        journal_module.os, "pwrite", lambda file, data, at: pwrite(file, data[:20], at)
    )
    journal.append([prompt("b")])
    monkeypatch.undo()
    journal.append([prompt("c")])
    assert ids(make()) == ["a", "c"]
    assert journal.missed == 1


def test_a_disk_that_fails_is_counted_and_raises_nothing(make, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "I/O error")

    journal = make()
    monkeypatch.setattr(journal_module.os, "pwrite", fail)
    journal.append([prompt("a")])
    monkeypatch.undo()
    assert journal.missed == 1
    journal.append([prompt("b")])
    assert ids(make()) == ["b"]


def test_a_disk_that_takes_no_write_any_more_raises_nothing_where_areas_are_emptied(
    make, monkeypatch
):
    """A file system is remounted read-only, say. The writer's thread and the event loop go on."""

    def fail(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    journal = make()
    total = fill(journal, "a")
    monkeypatch.setattr(journal_module.os, "pwrite", fail)
    journal.release(total)
    while not journal.missed:
        journal.append([prompt("b", "x" * 1000)])
        total += 1
    monkeypatch.undo()
    assert len(ids(make())) == total - 1
    journal.release(total)
    assert read(make()) == []
    assert journal.missed == 0


def test_long_texts_are_cut_since_the_event_loop_writes_them(make):
    calls = [
        ToolUsageRecord(
            id=f"{number:02}", interception_id="i", created_at=AT, tool="t", input="x" * MAX_TEXT
        )
        for number in range(20)
    ]
    make(AREA_BYTES).append([prompt("long", "y" * 10_000_000), *calls])
    found = read(make(AREA_BYTES))
    assert len(found) == 21
    lengths = [len(found[0].prompt), *(len(call.input) for call in found[1:])]
    assert max(lengths) == MAX_TEXT
    assert sum(lengths) == MAX_TEXTS
    assert [fact.metadata for fact in found if "cut" not in fact.metadata] == [{}] * 3
    assert found[0].metadata == found[-1].metadata == {"cut": True}


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("half \ud800.", "half ?."),
        ("aib_0123456789_" + "s" * 43, "aib_0123456789_***"),
    ],
)
def test_texts_are_written_as_they_may_be_stored(make, path, text, stored):
    make().append([prompt("a", text), prompt("b")])
    assert [fact.prompt for fact in read(make())] == [stored, "text"]
    assert b"sss" not in path.read_bytes()


def test_a_fact_that_is_no_json_takes_no_other_with_it(make):
    odd = UserPromptRecord(
        id="odd", interception_id="i", created_at=AT, prompt="p", metadata={"n": object()}
    )
    make().append([prompt("a"), odd, prompt("b")])
    assert ids(make()) == ["a", "b"]


def test_only_its_owner_may_read_it(make, path):
    make()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_room_for_it_nothing_starts(make, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal_module.os, "posix_fallocate", fail)
    with pytest.raises(SpoolError, match=r"journal\.jsonl.*No space left.*are free"):
        make()


def test_a_journal_that_is_a_symbolic_link_is_not_followed(make, tmp_path, path):
    target = tmp_path / "target"
    target.write_text("precious")
    path.symlink_to(target)
    with pytest.raises(SpoolError, match="symbolic link"):
        make()
    assert target.read_text() == "precious"


def test_its_size_is_what_is_in_use(make):
    journal = make()
    assert journal.size == 0
    journal.append([prompt("a")])
    assert 0 < journal.size < SMALL
    journal.release(1)
    assert journal.size == 0
