import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from aibridged.observe.scope import SCOPE, Scope
from aibridged.transport.body import arriving
from aibridged.transport.response import DownstreamResponse
from aibridged.transport.server import Limits, Server
from aibridged.transport.upstream_response import UpstreamResponse

PATIENCE_S = 10
MOST_CHUNKS = 5000
"""A few milliseconds of them."""


class Source:
    """The connection of a response, which is here already."""

    def pause(self): ...
    def resume(self): ...
    def give_up(self, response): ...


def relayed(request, body):
    """A response that writes itself, as those of a relay do."""
    headers = [(b"Content-Length", b"%d" % len(body))]
    response = DownstreamResponse(UpstreamResponse(200, b"OK", headers, Source()))
    response.begin(request)
    response.send(body, last=False)
    return response


def post(body=b"", **headers):
    lines = [f"{name}: {value}".encode() for name, value in headers.items()]
    head = [b"POST /x HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join([*head, b"", body])


@pytest.fixture
def connected():
    """A client's end of a connection, whose requests a handler gets."""

    @asynccontextmanager
    async def connected(handle):
        server = Server(handle, limits=Limits(60, 60))
        listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield reader, writer
        finally:
            writer.close()
            listener.close()
            server.abort()
            await server.empty()

    return connected


async def answer(reader):
    """Status and body of the next response."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    return int(head.split()[1]), await reader.readexactly(length)


async def test_requests_of_a_connection_come_one_after_another_in_one_task(connected):
    tasks = []

    async def handle(request):
        tasks.append(asyncio.current_task())
        response = relayed(request, await request.read())
        await response.write_eof()
        return response

    async with connected(handle) as (reader, writer):
        writer.write(post(b"one") + post(b"two"))
        assert [await answer(reader), await answer(reader)] == [(200, b"one"), (200, b"two")]
        writer.write(post(b"three"))
        assert await answer(reader) == (200, b"three")
    assert len(tasks) == 3
    assert len(set(tasks)) == 1


async def test_others_have_their_turns_between_requests_that_came_together(connected):
    turns = []

    async def handle(request):
        asyncio.get_running_loop().call_soon(turns.append, None)
        return web.Response(text=str(len(turns)))

    async with connected(handle) as (reader, writer):
        writer.write(post() * 20)
        assert [await answer(reader) for _ in range(20)] == [(200, b"%d" % n) for n in range(20)]


def tiny_chunks(count):
    head = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"1\r\nx\r\n" * count + b"0\r\n\r\n"


async def test_others_have_their_turns_within_a_body_of_tiny_chunks(connected):
    turns, pieces = [], []

    async def handle(request):
        async for piece in arriving(request, PATIENCE_S):
            assert len(piece) <= MOST_CHUNKS
            pieces.append(len(turns))
            asyncio.get_running_loop().call_soon(turns.append, None)
        return web.Response(text="hi")

    async with connected(handle) as (reader, writer):
        writer.write(tiny_chunks(50_000))
        assert await answer(reader) == (200, b"hi")
    assert pieces == list(range(len(pieces)))


async def test_others_have_their_turns_while_the_rest_of_a_body_is_read(connected):
    chunks, turns, seen = 200_000, [], []

    def turn():
        turns.append(None)
        if len(seen) < 2:
            asyncio.get_running_loop().call_soon(turn)

    async def handle(request):
        if not seen:
            asyncio.get_running_loop().call_soon(turn)
        seen.append(len(turns))
        return web.Response(text="hi")

    async with connected(handle) as (reader, writer):
        writer.write(tiny_chunks(chunks) + post())
        assert [await answer(reader), await answer(reader)] == [(200, b"hi")] * 2
    assert seen[1] >= chunks // MOST_CHUNKS


async def test_a_response_that_does_not_write_itself_is_written(connected):
    async def handle(request):
        return web.Response(text="hi")

    async with connected(handle) as (reader, writer):
        for _ in range(2):
            writer.write(post())
            assert await answer(reader) == (200, b"hi")


async def test_a_handler_that_fails_is_an_error_of_the_gateways(connected):
    async def handle(request):
        raise ValueError

    async with connected(handle) as (reader, writer):
        writer.write(post())
        status, body = await answer(reader)
        assert status == 500
        assert b"ValueError" not in body
        assert await reader.read() == b""


async def test_after_a_client_that_is_gone_the_connection_is_closed(connected):
    async def handle(request):
        raise ConnectionResetError

    async with connected(handle) as (reader, writer):
        writer.write(post())
        assert await reader.read() == b""


async def test_what_is_no_http_is_refused_behind_what_is(connected):
    async def handle(request):
        return web.Response(text="hi")

    async with connected(handle) as (reader, writer):
        writer.write(post())
        assert await answer(reader) == (200, b"hi")
        writer.write(b"nonsense\r\n\r\n")
        assert (await answer(reader))[0] == 400
        assert await reader.read() == b""


async def test_a_body_that_nobody_read_is_no_request(connected):
    async def handle(request):
        return web.Response(text=request.path)

    async with connected(handle) as (reader, writer):
        body = post(b"x" * 100_000)
        writer.write(body[:-50_000])
        assert await answer(reader) == (200, b"/x")
        writer.write(body[-50_000:] + post())
        assert await answer(reader) == (200, b"/x")


async def test_a_handler_is_cancelled_when_its_client_leaves(connected):
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(request):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with connected(handle) as (_, writer):
        writer.write(post())
        await begun.wait()
        writer.close()
        await cancelled.wait()


async def test_a_request_that_was_ended_early_leaves_its_connection_as_it_was(connected):
    async def handle(request):
        task = asyncio.current_task()
        if request.headers.get("X-End"):
            request.task.cancel()
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                assert task.uncancel() == 0
        return web.Response(text="hi")

    async with connected(handle) as (reader, writer):
        for headers in ({"X-End": "1"}, {}):
            writer.write(post(**headers))
            assert await answer(reader) == (200, b"hi")


async def test_the_scope_of_a_request_that_has_left_it_is_not_the_next_ones(connected):
    seen = []

    async def handle(request):
        before = SCOPE.get()
        seen.append(before.request_id if before is not None else "")
        scope = Scope("r")
        SCOPE.set(scope)
        scope.leave()
        return web.Response(text="hi")

    async with connected(handle) as (reader, writer):
        for _ in range(2):
            writer.write(post())
            await answer(reader)
    assert seen == ["", ""]
