"""The control channel: requests and answers in both directions, with deadlines and bounds."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import msgspec
import pytest

from aibridged.daemon.workers import channel as module
from aibridged.daemon.workers.channel import (
    Channel,
    ChannelClosedError,
    NoAnswerError,
    RefusedError,
    receive,
)
from aibridged.tasks import Tasks


class Sum(msgspec.Struct):
    numbers: list[int]


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Channel, Channel]]:
    ours, theirs = socket.socketpair()
    channels = Channel(ours, "The child"), Channel(theirs, "The supervisor")
    for each in channels:
        await each.start()
    yield channels
    for each in channels:
        await each.close()


async def add(asked: Sum) -> int:
    return sum(asked.numbers)


async def test_both_sides_ask_and_answer(ends) -> None:
    ours, theirs = ends
    ours.on("add", add, Sum)
    theirs.on("add", add, Sum)
    answers = await asyncio.gather(
        *(each.ask("add", Sum([1, n]), gives=int) for n in range(20) for each in ends)
    )
    assert answers == [1 + n for n in range(20) for _ in ends]


async def test_a_large_frame_arrives(ends) -> None:
    ours, theirs = ends

    async def echo(data: bytes) -> bytes:
        return data

    theirs.on("echo", echo, bytes)
    assert await ours.ask("echo", bytes(8 << 20), gives=bytes) == bytes(8 << 20)


async def test_an_answer_has_a_deadline(ends) -> None:
    ours, theirs = ends

    async def never(_: object) -> None:
        await asyncio.Event().wait()

    theirs.on("never", never)
    theirs.on("add", add, Sum)
    with pytest.raises(NoAnswerError):
        await ours.ask("never", within=0.01)
    assert await ours.ask("add", Sum([2]), gives=int) == 2


async def test_who_asks_learns_why_it_is_not_done(ends) -> None:
    ours, theirs = ends

    async def refuse(_: object) -> None:
        raise RefusedError("Not today.")

    async def fail(_: object) -> None:
        raise KeyError("a secret")

    theirs.on("refuse", refuse)
    theirs.on("fail", fail)
    theirs.on("add", add, Sum)
    with pytest.raises(RefusedError, match="Not today"):
        await ours.ask("refuse")
    with pytest.raises(RefusedError, match="KeyError"):
        await ours.ask("fail")
    with pytest.raises(RefusedError, match="no handler"):
        await ours.ask("unknown")
    with pytest.raises(RefusedError):
        await ours.ask("add", "no sum")
    with pytest.raises(RefusedError, match="something else"):
        await ours.ask("add", Sum([1]), gives=str)


async def test_who_waits_learns_that_the_other_process_has_ended(ends) -> None:
    ours, theirs = ends
    asked, told = asyncio.Event(), list[str]()

    async def never(_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    theirs.on("never", never)
    ours.on_end = lambda: told.append("ended")
    waiting = Tasks().start(ours.ask("never"), "asking")
    await asked.wait()
    await theirs.close()
    with pytest.raises(ChannelClosedError):
        await waiting
    assert ours.closed.is_set()
    assert told == ["ended"]
    with pytest.raises(ChannelClosedError):
        await ours.ask("never")
    ours.tell("never")


async def test_what_is_told_needs_no_answer(ends) -> None:
    ours, theirs = ends
    told = asyncio.Queue[int]()
    theirs.on("note", told.put, int)
    ours.tell("note", 7)
    assert await told.get() == 7


async def test_a_frame_has_a_bound(ends, monkeypatch) -> None:
    ours, theirs = ends
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(RefusedError, match="bytes"):
        await ours.ask("note", bytes(1001))
    assert ours._writer is not None
    ours._writer.write(struct.pack(">I", 1001))
    await theirs.closed.wait()


async def test_requests_that_are_handled_at_once_have_a_bound(ends, monkeypatch) -> None:
    ours, theirs = ends
    monkeypatch.setattr(module, "MAX_AT_ONCE", 2)
    go_on, ended = asyncio.Event(), asyncio.Queue[None]()

    async def wait(_: object) -> None:
        await go_on.wait()
        ended.put_nowait(None)

    theirs.on("wait", wait)
    for _ in range(2):
        ours.tell("wait")
    with pytest.raises(RefusedError, match="handled"):
        await ours.ask("wait")
    go_on.set()
    for _ in range(2):
        await ended.get()
    await asyncio.sleep(0)
    await ours.ask("wait")


async def test_requests_that_wait_have_a_bound(ends, monkeypatch) -> None:
    ours, theirs = ends
    monkeypatch.setattr(module, "MAX_WAITING", 1)
    theirs.on("add", add, Sum)
    waiting = Tasks().start(ours.ask("add", Sum([1]), gives=int), "asking")
    await asyncio.sleep(0)
    with pytest.raises(RefusedError, match="wait for an answer"):
        await ours.ask("add", Sum([1]))
    assert await waiting == 1
    assert await ours.ask("add", Sum([2]), gives=int) == 2


async def test_what_a_stopped_process_does_not_read_has_a_bound(monkeypatch) -> None:
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(module, "MAX_UNSENT", 1 << 20)
    channel = Channel(ours, "The child")
    await channel.start()
    with theirs:
        for _ in range(20):
            channel.tell("note", bytes(200_000))
        with pytest.raises(RefusedError, match="does not read"):
            await channel.ask("note", bytes(200_000))
        await channel.close()


def test_the_first_frame_comes_before_there_is_a_loop() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:

        async def tell() -> None:
            channel = Channel(ours.dup(), "The child")
            await channel.start()
            channel.tell("begin", Sum([1]))
            await asyncio.sleep(0)
            await channel.close()

        asyncio.run(tell())
        assert receive(theirs, "begin", Sum, 1.0) == Sum([1])
        with pytest.raises(NoAnswerError):
            receive(theirs, "begin", Sum, 0.01)
        ours.close()


def test_another_first_frame_and_none_are_the_end() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        frame = msgspec.msgpack.encode((0, "stop", None, ""))
        ours.send(struct.pack(">I", len(frame)) + frame)
        with pytest.raises(ChannelClosedError, match="stop came in place of begin"):
            receive(theirs, "begin", Sum, 1.0)
        ours.close()
        with pytest.raises(ChannelClosedError):
            receive(theirs, "begin", Sum, 1.0)
