"""A thread makes an answer no faster than it is read, and stops when nobody reads it."""

import asyncio
import threading

import pytest

from aibridged.api.channel import AHEAD, PIECE_BYTES, Channel
from aibridged.records.cancel_scope import QueryCancelledError
from tests.waiting import until


class Made:
    """An answer of `count` full pieces, and what became of its making."""

    def __init__(self, count):
        self._count = count
        self.made = 0
        self.closed = threading.Event()

    def __call__(self):
        try:
            for _ in range(self._count):
                self.made += 1
                yield b"x" * PIECE_BYTES
        finally:
            self.closed.set()


async def write(channel, make):
    """Make it in a thread; returns what is awaited for its end."""
    return asyncio.get_running_loop().run_in_executor(None, channel.write, make)


async def read_all(channel):
    pieces = []
    while (piece := await channel.read()) is not None:
        pieces.append(piece)
    return pieces


async def test_an_answer_comes_whole_and_in_even_pieces():
    channel = Channel()
    parts = [b"a" * 10, b"b" * (3 * PIECE_BYTES), b"", b"c"]
    written = await write(channel, lambda: (part for part in parts))
    pieces = await read_all(channel)
    await written
    assert b"".join(pieces) == b"".join(parts)
    assert [len(piece) for piece in pieces] == [PIECE_BYTES] * 3 + [11]


async def test_nothing_is_nothing():
    channel = Channel()
    await write(channel, lambda: (part for part in ()))
    assert await channel.read() is None


async def test_the_thread_waits_for_who_reads():
    channel, made = Channel(), Made(100)
    written = await write(channel, made)
    await until(lambda: channel._pieces.qsize() == AHEAD)
    for count in range(1, 4):
        await channel.read()
        await until(lambda: channel._pieces.qsize() == AHEAD)
        # One more is made, and waits to be handed over.
        assert made.made <= AHEAD + count + 1
    channel.close()
    await written
    assert made.closed.is_set()


async def test_what_nobody_reads_is_given_up():
    channel, made = Channel(), Made(1000)
    written = await write(channel, made)
    await channel.read()
    channel.close()
    async with asyncio.timeout(10):
        await written
    assert made.closed.is_set()
    assert made.made < 1000


async def test_an_error_is_raised_where_the_answer_is_read():
    def fail():
        yield b"x" * PIECE_BYTES
        raise QueryCancelledError("why")

    channel = Channel()
    await write(channel, fail)
    assert await channel.read() == b"x" * PIECE_BYTES
    with pytest.raises(QueryCancelledError, match="why"):
        await channel.read()
