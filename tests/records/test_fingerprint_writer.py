"""Fingerprints are made and written beside the requests, within bounds."""

import json
import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from aibridged.records import fingerprint_writer as module
from aibridged.records import schema
from aibridged.records.fingerprint_writer import _ROWS_AT_ONCE, MAX_CHAIN, FingerprintWriter, Sent
from aibridged.records.fingerprints import Stored, assembled
from aibridged.wire.facts import WireApi
from tests.waiting import until

ANN = ("00000000-0000-4000-8000-000000000001", "session")


def body(*texts, tools=("ls",)):
    return json.dumps(
        {
            "tools": [{"name": name} for name in tools],
            "messages": [{"role": "user", "content": text} for text in texts],
        }
    ).encode()


def sent(id, *texts, conversation=ANN, **more):
    return Sent(id, conversation, WireApi.MESSAGES, body(*texts, **more))


@pytest.fixture
def make_writer(database, clock):
    def make(**options):
        options = {"linger": 60, "sleep": lambda seconds: None, **options}
        return FingerprintWriter(database.engine, clock, lambda: b"k" * 32, **options)

    return make


@pytest.fixture
def rows(database):
    return lambda: {
        row["interception_id"]: Stored(**row) for row in database.rows(schema.prompt_fingerprints)
    }


def test_rows_build_on_the_one_before_in_their_conversation(make_writer, add, rows):
    ids = [add() for _ in range(5)]
    writer = make_writer()
    writer.put(sent(ids[0], "a", "b"))
    writer.put(sent(ids[1], "a", "b", "c", "d"))
    writer.put(sent(ids[2], "a", "b", "c", "e", tools=("ls", "cat")))
    writer.put(sent(ids[3], "z"))  # another conversation
    writer.put(sent(ids[4], "a", "b", "c", "d", conversation=(ANN[0], "other")))
    writer.finish(10)
    found = rows()
    assert [(found[id].base_id, found[id].shared, found[id].total) for id in ids] == [
        (None, 0, 3),
        (ids[0], 3, 5),
        (ids[1], 1, 6),
        (None, 0, 2),
        (None, 0, 5),
    ]
    assert assembled(ids[1], found) == assembled(ids[4], found)
    assert writer.counts == {"stored": 5, "dropped": 0, "unreadable": 0}


def test_a_chain_of_rows_has_a_bound(make_writer, add, rows, monkeypatch):
    monkeypatch.setattr(module, "MAX_CHAIN", 3)
    writer = make_writer()
    ids = [add() for _ in range(9)]
    texts = [f"text {number}" for number in range(9)]
    for number, id in enumerate(ids):
        writer.put(sent(id, *texts[: number + 1]))
    writer.finish(10)
    sizes = [len(rows()[id].blocks) for id in ids]
    small = min(sizes)
    assert [size > small for size in sizes] == [
        *(True, False, False, False),
        *(True, False, False, False),
        True,
    ]
    assert MAX_CHAIN >= 8


def test_of_a_long_prompt_the_first_blocks_are_kept(make_writer, add, rows, monkeypatch):
    monkeypatch.setattr(module, "MAX_BLOCKS", 10)
    writer, id = make_writer(), add()
    writer.put(sent(id, *map(str, range(50))))
    writer.finish(10)
    assert rows()[id].total == 10


def test_what_is_behind_is_dropped_and_counted(make_writer, add, rows):
    ids = [add() for _ in range(3)]
    writer = make_writer(most=2)
    for id in ids:
        writer.put(sent(id, "a"))
    writer.finish(10)
    assert sorted(rows()) == sorted(ids[:2])
    assert writer.counts["dropped"] == 1


def test_a_callers_bytes_have_a_bound_and_leave_room_for_others(make_writer, add, rows):
    size = len(body("a"))
    writer = make_writer(most_bytes=4 * size)
    bob = add(initiator_id="bob")
    for _ in range(3):
        writer.put(sent(add(), "a"))
    writer.put(sent(bob, "a", conversation=("bob", "")))
    for number in range(9):
        writer.put(sent(add(), "a", conversation=(f"other{number}", "")))
    assert writer._bytes == 4 * size
    writer.finish(10)
    assert writer.counts["dropped"] == 2 + 7
    assert (writer._bytes, writer._bytes_of) == (0, {})
    assert bob in rows()


def test_what_is_remembered_has_a_bound(make_writer, monkeypatch, add):
    monkeypatch.setattr(module, "MAX_REMEMBERED_BYTES", 2_000)
    writer = make_writer()
    ids = [add() for _ in range(9)]
    for number, id in enumerate(ids):
        writer.put(sent(id, "a", conversation=(ANN[0], str(number))))
    writer.finish(10)
    known = writer._known._found
    assert 1 <= len(known) <= 4
    assert [key[1] for key in known] == [str(n) for n in range(9 - len(known), 9)]


def test_a_long_body_is_read_in_slices(make_writer, add, clock):
    rests = []
    writer = make_writer(sleep=rests.append)
    monotonic = iter(range(10**6))
    writer._monotonic = lambda: next(monotonic)  # each look at the clock takes a second
    writer.put(sent(add(), *map(str, range(50))))
    writer.finish(10)
    assert len(rests) >= 50


def test_an_interception_that_is_gone_has_no_row(make_writer, add, rows):
    gone, kept = "00000000-0000-7000-8000-000000000000", add()
    writer = make_writer()
    for id in (gone, kept):
        writer.put(sent(id, "a"))
    writer.finish(10)
    assert list(rows()) == [kept]


def test_they_go_with_their_interception(make_writer, add, rows, database):
    writer, id = make_writer(), add()
    writer.put(sent(id, "a"))
    writer.finish(10)
    with database.engine.begin() as connection:
        connection.execute(sa.delete(schema.interceptions))
    assert not rows()


def test_what_is_no_request_is_counted(make_writer, add, rows):
    writer = make_writer()
    writer.put(Sent(add(), ANN, WireApi.MESSAGES, b"?"))
    writer.finish(10)
    assert (writer.counts["unreadable"], rows()) == (1, {})


async def test_they_are_written_by_and_by_and_no_thread_is_left(make_writer, add, rows):
    writer = make_writer(linger=0.01)
    for number in (1, 2):
        writer.put(sent(add(), "a"))
        await until(lambda: writer._thread is None)
        assert len(rows()) == number


async def test_the_connection_is_kept_as_long_as_more_come(make_writer, add, rows, database):
    ids = [add() for _ in range(_ROWS_AT_ONCE * 2)]
    opened, closed = [], []
    sa.event.listen(database.engine, "connect", lambda *_: opened.append(1))
    sa.event.listen(database.engine, "close", lambda *_: closed.append(1))
    writer = make_writer(linger=0.01)
    for id in ids:
        writer.put(sent(id, "a"))
    await until(lambda: closed)
    assert (len(opened), len(closed)) == (1, 1)
    assert len(rows()) == len(ids)


async def test_a_database_that_is_away_costs_a_line(make_writer, add, rows, monkeypatch, messages):
    is_there, tries, write = threading.Event(), [], module.writing_over

    def writing(connection):
        tries.append(connection)
        if not is_there.is_set():
            raise OperationalError("INSERT", {}, Exception("disk I/O error"))
        return write(connection)

    monkeypatch.setattr(module, "writing_over", writing)
    writer = make_writer(linger=0.01)
    ids = [add() for _ in range(3)]
    for number, id in enumerate(ids):
        if number == 2:
            is_there.set()
        writer.put(sent(id, "a"))
        await until(lambda: writer._thread is None)
    assert messages().count("disk I/O error") == 1
    assert writer.counts == {"stored": 1, "dropped": 2, "unreadable": 0}
    # It builds on none that was lost.
    assert rows()[ids[2]].base_id is None


def test_a_key_that_cant_be_read_costs_a_line(database, clock, messages, add):
    def read_key():
        raise OSError("The key file is missing.")

    writer = FingerprintWriter(database.engine, clock, read_key, linger=60)
    for _ in range(2):
        writer.put(sent(add(), "a"))
    writer.finish(10)
    assert messages().count("The key file is missing.") == 1
    assert writer.counts["dropped"] == 2
