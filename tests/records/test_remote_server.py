"""What one worker does can't hurt the others."""

import asyncio
import socket

import pytest

from aibridged.records import remote_server, schema
from aibridged.records.remote_frames import HEADER_BYTES, Batch, Hello, decode_to_worker, framed
from tests.waiting import until


class Raw:
    """A worker's end of a connection, byte by byte."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def read(self):
        """The next message; None at the end."""
        header = await self._exactly(HEADER_BYTES)
        if header is None:
            return None
        return decode_to_worker(await self._exactly(int.from_bytes(header, "big")))

    async def _exactly(self, count: int) -> bytes | None:
        found = b""
        async with asyncio.timeout(10):
            while len(found) < count:
                piece = await asyncio.get_running_loop().sock_recv(self.socket, count - len(found))
                if not piece:
                    return None
                found += piece
        return found


@pytest.fixture
async def raw(group):
    """Makes bare connections to the server."""
    made = []

    def connect() -> Raw:
        made.append(group.connect())
        return Raw(made[-1])

    yield connect
    for each in made:
        each.close()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x00\x00\x00\x03xyz",
        b"\xff\xff\xff\xff",
        bytes(framed(Batch(1, [], []))),  # before its hello
        bytes(framed(Hello(1, 1)) + framed(Hello(1, 1))),
    ],
)
async def test_nonsense_ends_its_connection_alone(group, raw, new_start, sqlite_database, nonsense):
    worker = await group.worker()
    connection = raw()
    await connection.send(nonsense)
    while await connection.read() is not None:
        pass
    await worker.start(new_start())
    assert len(sqlite_database.rows(schema.interceptions)) == 1


async def test_a_worker_of_another_release_is_refused(group, raw):
    connection = raw()
    await connection.send(framed(Hello(999, 1)))
    assert "another release" in (await connection.read()).reason


async def test_a_recorder_has_one_connection_and_its_starts_are_settled_first(
    group, raw, new_start
):
    first, second = raw(), raw()
    await first.send(framed(Hello(1, 5)))
    await first.read()
    await second.send(framed(Hello(1, 5)))
    assert "isn't settled" in (await second.read()).reason
    with group.holding_starts():
        await first.send(framed(Batch(1, [new_start()], [])))
        await until(lambda: group.recorder._starts)
        first.socket.close()
        await until(lambda: group.server._leaving)
        third = raw()
        await third.send(framed(Hello(1, 5)))
        assert "isn't settled" in (await third.read()).reason
    await until(lambda: not group.server._leaving)
    fourth = raw()
    await fourth.send(framed(Hello(1, 5)))
    assert not (await fourth.read()).refuses


async def test_a_worker_that_reads_nothing_loses_its_connection(
    group, raw, new_start, monkeypatch, sqlite_database
):
    monkeypatch.setattr(remote_server, "MAX_UNREAD", 10_000)
    worker, connection = await group.worker(), raw()
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    await connection.send(framed(Hello(1, 5)))
    await until(lambda: len(group.server._members) == 2)
    member = next(each for each in group.server._members if each.recorder_id == 5)
    for _ in range(100_000):
        if member.is_lost:
            break
        member.answer()
    assert member.is_lost
    await worker.start(new_start())


async def test_nothing_is_read_while_too_much_waits(group, new_start, new_facts, sqlite_database):
    await group.stop()
    await group.start(queue_limit=3)
    one, other = await group.worker(), await group.worker()
    start = new_start()
    await one.start(start)
    with group.recorder._writer._awake:  # nothing is written meanwhile
        one.record(*new_facts(start.id))
        one._send()
        await until(lambda: group.server._is_full)
        assert not any(each.socket._is_reading for each in group.server._members)
        waiting = asyncio.ensure_future(other.start(new_start()))  # noqa: TID251
        await asyncio.sleep(0.02)
        assert not waiting.done()
    await waiting
    assert not group.server._is_full


async def test_places_are_bounded(group, raw, monkeypatch):
    monkeypatch.setattr(remote_server, "PLACES", 1)
    await group.worker()
    connection = raw()
    assert await connection.read() is None


async def test_it_is_empty_when_all_have_left(group):
    assert group.server.is_empty.is_set()
    worker = await group.worker()
    assert not group.server.is_empty.is_set()
    await worker.close()
    await asyncio.wait_for(group.server.is_empty.wait(), 10)
