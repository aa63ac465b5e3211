"""A provider's answer on its way to a client's socket; the answer is fed by hand."""

import asyncio
import select

import aiohttp
import pytest

from aibridged.clock import SystemClock
from aibridged.transport.abort import BrokenOffError
from aibridged.transport.relay import relay
from aibridged.transport.time_slices import Turns
from aibridged.transport.upstream_failure import FELL_SILENT
from aibridged.transport.upstream_response import UpstreamResponse
from aibridged.wire.bounds import SLICE


class Source:
    """A provider's connection that notes when it is held up."""

    def __init__(self):
        self.paused, self.resumed = asyncio.Event(), asyncio.Event()
        self.pauses = 0

    def pause(self):
        self.pauses += 1
        self.paused.set()
        self.resumed.clear()

    def resume(self):
        self.resumed.set()


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def turns():
    return Turns(SystemClock())


@pytest.fixture
def relayed(server, answer, open_connection, turns):
    """Begins a request that gets the answer: the client's stream, and what the relay comes to."""

    async def begin(
        *readers,
        of=answer,
        version=b"1.1",
        idle_timeout=60.0,
        limit=1 << 16,
        before_end=lambda _: None,
    ):
        outcome = asyncio.get_running_loop().create_future()

        async def handler(request):
            try:
                response = await relay(
                    request,
                    of,
                    readers,
                    idle_timeout,
                    turns,
                    before_end=lambda: before_end(writer.get_extra_info("socket").fileno()),
                )
            except BaseException as error:
                outcome.set_result(error)
                raise
            outcome.set_result(response)
            return response

        server.handler = handler
        reader, writer = await open_connection(limit=limit)
        writer.write(b"GET / HTTP/%b\r\nHost: x\r\n\r\n" % version)
        return reader, outcome

    return begin


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_an_answer_that_is_there_goes_on_in_one(relayed, answer):
    seen = []
    answer.feed(b"all ", whole=False)
    answer.feed(b"of it", whole=True)
    reader, _ = await relayed(seen.append)
    assert await reader.readuntil(b"0\r\n\r\n") == HEAD + b"9\r\nall of it\r\n0\r\n\r\n"
    assert seen == [b"all of it"]


async def test_each_piece_goes_on_as_it_comes_and_is_read_afterwards(relayed, answer):
    seen = []
    answer.feed(b"one", whole=False)
    reader, outcome = await relayed(seen.append)
    assert await reader.readuntil(b"one\r\n") == HEAD + b"3\r\none\r\n"
    answer.feed(b"two", whole=False)
    assert await reader.readexactly(8) == b"3\r\ntwo\r\n"
    assert seen == [b"one", b"two"]
    answer.feed(b"three", whole=True)
    assert await reader.readexactly(15) == b"5\r\nthree\r\n0\r\n\r\n"
    assert (await outcome).status == 200


@pytest.mark.parametrize("first", [b"", b"one"])
@pytest.mark.parametrize("last", [b"two", b"t" * (2 * SLICE)])
async def test_all_is_read_before_the_client_sees_the_end(relayed, answer, first, last):
    """What it has seen whole is on record, even if the process is killed at that moment."""
    seen, arrived = [], []

    def before_end(client):
        assert b"".join(seen) == first + last
        arrived.append(select.select([client], [], [], 0)[0])

    if not first:
        answer.feed(last, whole=True)
    reader, outcome = await relayed(seen.append, before_end=before_end)
    if first:
        answer.feed(first, whole=False)
        await reader.readuntil(b"one\r\n")
        answer.feed(last, whole=True)
    assert (await reader.readuntil(b"0\r\n\r\n")).endswith(last + b"\r\n0\r\n\r\n")
    assert (await outcome).status == 200
    assert arrived == [[]]


async def test_the_head_waits_for_nothing(relayed, answer):
    reader, _ = await relayed()
    assert await reader.readuntil(b"\r\n\r\n") == HEAD


async def test_an_answer_that_breaks_off_has_no_end(relayed, answer):
    answer.feed(b"half", whole=False)
    reader, outcome = await relayed()
    await reader.readuntil(b"half\r\n")
    answer.fail(aiohttp.ClientPayloadError("broken"))
    assert isinstance(await outcome, BrokenOffError)
    assert await reader.read() == b""


async def test_to_an_http_1_0_client_the_end_of_the_connection_would_be_one(relayed, answer):
    answer.feed(b"half", whole=False)
    reader, outcome = await relayed(version=b"1.0")
    assert await reader.readuntil(b"half") == b"HTTP/1.0 200 OK\r\n\r\nhalf"
    answer.fail(aiohttp.ClientPayloadError("broken"))
    assert isinstance(await outcome, BrokenOffError)
    with pytest.raises(ConnectionResetError):
        await reader.read()


async def test_a_provider_that_falls_silent_is_broken_off(relayed, answer):
    answer.feed(b"half", whole=False)
    reader, outcome = await relayed(idle_timeout=0.1)
    assert str(await outcome) == FELL_SILENT
    assert (await reader.read()).endswith(b"half\r\n")


@pytest.mark.parametrize("whole", [False, True])
async def test_a_reader_that_fails_fails_the_request_and_keeps_nobody_waiting(
    relayed, answer, whole
):
    def fail(piece):
        if piece == b"two":
            raise RuntimeError("a bug")

    answer.feed(b"one", whole=False)
    reader, outcome = await relayed(fail)
    await reader.readuntil(b"one\r\n")
    answer.feed(b"two", whole=whole)
    async with asyncio.timeout(10):
        assert isinstance(await outcome, RuntimeError)
        assert await reader.read() == b"3\r\ntwo\r\n"


async def test_a_client_that_stalls_holds_up_the_provider_and_no_longer(relayed, answer, source):
    """However long it takes, it isn't the provider that is silent."""
    answer.feed(b"x", whole=False)
    reader, outcome = await relayed(limit=1 << 10, idle_timeout=0.05)
    await reader.readuntil(b"x\r\n")
    sent = 0
    while not source.paused.is_set():
        answer.feed(b"x" * 100_000, whole=False)
        sent += 100_000
        await asyncio.sleep(0)
    _, other = await relayed(of=UpstreamResponse(200, b"OK", [], Source()), idle_timeout=0.2)
    assert str(await other) == FELL_SILENT
    assert not outcome.done()
    assert (source.pauses, source.resumed.is_set()) == (1, False)
    async with asyncio.timeout(10):
        got = 0
        while got < sent:
            got += (await reader.read(1 << 16)).count(b"x")
        await source.resumed.wait()
        answer.feed(b"", whole=True)
        await reader.readuntil(b"0\r\n\r\n")
    assert (await outcome).status == 200


async def test_a_client_that_is_gone_ends_it(relayed, answer, server):
    answer.feed(b"x", whole=False)
    reader, outcome = await relayed()
    await reader.readuntil(b"x\r\n")
    for connection in server.connections:
        connection.transport.abort()
    answer.feed(b"y", whole=False)
    assert isinstance(await outcome, asyncio.CancelledError | ConnectionError)


async def test_what_comes_at_once_is_relayed_at_once_and_read_in_turns(relayed, answer, source):
    seen = []
    answer.feed(b"x", whole=False)
    reader, outcome = await relayed(seen.append, limit=1 << 20)
    await reader.readuntil(b"x\r\n")
    answer.feed(b"y\n" * 5 * SLICE, whole=False)
    assert len(seen) == 2, "the piece before, and the first slice"
    assert source.paused.is_set(), "until all is read no more is taken"
    await reader.readuntil(b"y\n\r\n")
    await source.resumed.wait()
    assert b"".join(seen) == b"x" + b"y\n" * 5 * SLICE
    answer.feed(b"z\n" * 5 * SLICE, whole=True)
    await reader.readuntil(b"0\r\n\r\n")
    await outcome
    assert b"".join(seen).endswith(b"y\n" + b"z\n" * 5 * SLICE)


async def test_a_client_that_leaves_at_the_last_byte_leaves_no_part_unread(relayed, answer, server):
    seen = []
    answer.feed(b"x", whole=False)
    reader, outcome = await relayed(seen.append)
    await reader.readuntil(b"x\r\n")
    answer.feed(b"y\n" * 50 * SLICE, whole=False)
    for connection in server.connections:
        connection.transport.abort()
    assert isinstance(await outcome, asyncio.CancelledError | ConnectionError)
    assert b"".join(seen) == b"x" + b"y\n" * 50 * SLICE


async def test_an_answer_that_breaks_off_is_read_to_where_it_does(relayed, answer):
    seen = []
    answer.feed(b"x", whole=False)
    reader, outcome = await relayed(seen.append)
    await reader.readuntil(b"x\r\n")
    answer.feed(b"y\n" * 50 * SLICE, whole=False)
    answer.fail(aiohttp.ClientPayloadError("broken"))
    assert isinstance(await outcome, BrokenOffError)
    assert b"".join(seen) == b"x" + b"y\n" * 50 * SLICE


async def test_a_client_that_stalls_holds_up_the_provider_at_once(relayed, answer, source):
    """Not only once the task wakes up: a transport may bring megabytes in one turn."""
    answer.feed(b"x", whole=False)
    reader, _ = await relayed(limit=1 << 10)
    await reader.readuntil(b"x\r\n")
    sent = 0
    while not source.paused.is_set():
        answer.feed(b"x" * 200_000, whole=False)
        sent += 200_000
        assert sent < 50_000_000


async def test_a_client_that_reads_on_at_once_keeps_nobody_waiting(relayed, answer, source, server):
    """Before the relay's task wakes up, even."""
    answer.feed(b"x", whole=False)
    reader, _ = await relayed()
    await reader.readuntil(b"x\r\n")
    (connection,) = server.connections
    connection.pause_writing()
    answer.feed(b"y", whole=False)
    assert source.paused.is_set()
    connection.resume_writing()
    async with asyncio.timeout(10):
        await source.resumed.wait()
