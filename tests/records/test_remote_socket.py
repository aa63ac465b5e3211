"""Frames over a socket: whole and in their order, whatever pieces they arrive in."""

import asyncio
import socket
from contextlib import suppress

import pytest

from aibridged.records import remote_socket
from aibridged.records.remote_socket import FrameSocket
from tests.waiting import until


def frame(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


@pytest.fixture
async def ends():
    """One end as a FrameSocket, with what it took and why it was lost, and the other's socket."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    taken, lost = [], []
    made = FrameSocket(ours, lambda each: taken.append(bytes(each)), lost.append)
    yield made, theirs, taken, lost
    made.close()
    theirs.close()


async def test_frames_in_pieces(ends):
    _, theirs, taken, _ = ends
    content = frame(b"one") + frame(b"") + frame(b"three" * 1000)
    for at in range(0, len(content), 7):
        theirs.send(content[at : at + 7])
        await asyncio.sleep(0)
    await until(lambda: len(taken) == 3)
    assert taken == [b"one", b"", b"three" * 1000]


async def test_what_the_system_does_not_take_waits_and_keeps_its_order(ends):
    ours, theirs, _, _ = ends
    room = []
    ours._on_room = lambda: room.append(True)
    contents = [bytes([number]) * 300_000 for number in range(4)]
    for each in contents:
        ours.send(frame(each))
    assert ours.waiting > 0
    received = bytearray()
    async with asyncio.timeout(10):
        while len(received) < sum(len(each) + 4 for each in contents):
            received += await asyncio.get_running_loop().sock_recv(theirs, 65536)
    assert received == b"".join(map(frame, contents))
    assert ours.waiting == 0
    assert room == [True]


async def test_a_frame_that_is_too_long_ends_it(ends, monkeypatch):
    _, theirs, taken, lost = ends
    monkeypatch.setattr(remote_socket, "MAX_FRAME_BYTES", 10)
    theirs.send(frame(b"1234567890") + frame(b"12345678901"))
    await until(lambda: lost)
    assert taken == [b"1234567890"]
    assert "11 bytes" in lost[0]


async def test_what_is_not_read_stays_with_the_sender(ends):
    ours, theirs, taken, _ = ends
    ours.pause()
    with suppress(BlockingIOError):
        while theirs.send(bytes(65536)):
            pass
    assert taken == []
    ours.resume()
    await until(lambda: taken)


async def test_the_end_is_told_once_and_not_to_who_closes_it(ends):
    ours, theirs, _, lost = ends
    theirs.close()
    await until(lambda: lost)
    ours.send(frame(b"x"))
    await asyncio.sleep(0)
    assert lost == ["it has closed the connection"]
    first, second = socket.socketpair()
    told = []
    with second:
        own = FrameSocket(first, lambda each: None, told.append)
        own.close()
        own.close()
    await asyncio.sleep(0)
    assert told == []


async def test_a_failing_send_is_told_later(ends):
    ours, theirs, _, lost = ends
    ours.pause()
    theirs.close()
    ours.send(frame(b"x"))
    assert lost == []
    await until(lambda: lost)
    assert lost == ["Broken pipe"]
