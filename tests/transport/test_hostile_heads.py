"""Whatever bytes a client or a provider sends: no failure, no hang, and nothing is smuggled.

Heads are put together from what parsers are known to disagree about, and cut anywhere. What the
server makes of a client's bytes is compared with what h11 does, an independent parser.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import aiohttp
import h11
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from aibridged.clock import SystemClock
from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.observe.descriptors import Shortages
from aibridged.transport.idle_pools import Pools
from aibridged.transport.server import Limits, Server
from aibridged.transport.upstream import Upstream
from aibridged.transport.upstream_connection import UpstreamConnection

EXAMPLES = 150
PATIENCE_S = 20
QUIET_S = 0.05
"""How long a client may leave a head or a body unfinished."""

ODD_LINE_ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b""]
STATUS_LINES = [
    *[b"HTTP/1.1 200 OK"] * 8,
    *(b"HTTP/1.1 204 No", b"HTTP/1.1 304 No", b"HTTP/1.0 200 OK", b"HTTP/1.1 100 Continue"),
    *(b"HTTP/1.1 101 Switching", b"HTTP/1.1 20 OK", b"HTTP/1.1 99999 -", b"HTTP/2 200 OK"),
    *(b"HTTP/1.1", b"", b"HTTP/1.1 200 \xff\x00", b"ICY 200 OK", b"\x16\x03\x01"),
]
REQUEST_LINES = [
    *[b"POST /a HTTP/1.1"] * 8,
    *(b"GET /b HTTP/1.1", b"HEAD /c HTTP/1.1", b"POST /d HTTP/1.0", b"GET /e HTTP/0.9"),
    *(b"GET /f", b"GET  /g HTTP/1.1", b"GET /h h HTTP/1.1", b"G\xffT /i HTTP/1.1"),
    *(b"GET /\xff HTTP/1.1", b"GET /\x00 HTTP/1.1", b"POST http://x/j HTTP/1.1", b"PRI * HTTP/2.0"),
    *(b"CONNECT x:1 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"", b"GET //k\tHTTP/1.1"),
]
FRAMING = [
    *[b"Content-Length: 5"] * 4,
    *[b"Transfer-Encoding: chunked"] * 4,
    *(b"Content-Length: 0", b"Content-Length: 6", b"Content-Length: 5, 5", b"Content-Length: +5"),
    *(b"Content-Length: 0x5", b"Content-Length: -1", b"Content-Length:", b"Content-Length : 5"),
    *(b"Content-Length: 99999999999999999999", b"Content-Length: \xb2", b"content-length: 5"),
    *(b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip"),
    *(b"Transfer-Encoding: xchunked", b"Transfer-Encoding:\x0bchunked", b"Transfer_Encoding: x"),
    *(b"Transfer-Encoding : chunked", b" Transfer-Encoding: chunked", b"Transfer-Encoding:"),
]
OTHER_FIELDS = [
    # No `Connection: Upgrade`: aiohttp drops what is pipelined behind such a request.
    *(b"Connection: close", b"Connection: keep-alive", b"Connection: TE", b"Upgrade: h2c"),
    *(b"X: " + b"y" * 9000, b"X" * 9000 + b": y", b"X: \x00", b"X\x00: y", b": y", b"no colon"),
    *(b" folded", b"\tfolded", b"X: a\rb", b"Expect: 100-continue", b"X: caf\xe9", b"X:"),
]
BODIES = [
    *(b"", b"hello", b"hello!", b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"5\nhello\n0\n\n"),
    *(b"5 \r\nhello\r\n0\r\n\r\n", b"5;x=y\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n"),
    *(b"-5\r\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"fffffffffffffffff\r\nx"),
    *(b"5\r\nhelloXX0\r\n\r\n", b"0\r\nX: y\r\n", b"\r\n"),
]
SMUGGLED_REQUEST = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLED_RESPONSE = b"HTTP/1.1 200 Smuggled\r\nContent-Length: 8\r\n\r\nsmuggled"


WELL_FRAMED = [
    ([b"Content-Length: 5"], b"hello"),
    ([b"Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
    ([b"Content-Length: 0"], b""),
]


@st.composite
def messages(draw: st.DrawFn, lines: list[bytes], fields: list[bytes], smuggled: bytes) -> bytes:
    """Half of them are well-formed, but for what follows."""
    framing, body = draw(st.sampled_from(WELL_FRAMED))
    others: list[bytes] = []
    ends = [b"\r\n"]
    line = lines[0]
    if draw(st.booleans()):
        line = draw(st.sampled_from(lines))
        others = draw(st.lists(st.sampled_from(OTHER_FIELDS), max_size=2))
        ends += draw(st.lists(st.sampled_from(ODD_LINE_ENDS), max_size=1))
        if draw(st.booleans()):
            framing = draw(st.lists(st.sampled_from(FRAMING), max_size=2))
            body = draw(st.sampled_from(BODIES))
    message = b""
    for each in (line, *fields, *framing, *others, b""):
        message += each + draw(st.sampled_from(ends))
    return message + body + draw(st.sampled_from([b"", smuggled, b"\0"]))


@st.composite
def cut(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> list[bytes]:
    """The bytes in pieces, some of them perhaps changed."""
    sent = bytearray(draw(whole))
    if draw(st.integers(0, 3)) == 3:
        sent[draw(st.integers(0, len(sent) - 1))] = draw(st.integers(0, 255))
    places = sorted(draw(st.lists(st.integers(0, len(sent)), max_size=3)))
    ends = [*places, len(sent)]
    return [bytes(sent[start:end]) for start, end in zip([0, *places], ends, strict=True)]


REQUESTS = cut(
    st.lists(messages(REQUEST_LINES, [b"Host: x"], SMUGGLED_REQUEST), min_size=1, max_size=2).map(
        b"".join
    )
)
RESPONSES = cut(messages(STATUS_LINES, [], SMUGGLED_RESPONSE))


@contextmanager
def nothing_untold() -> Iterator[None]:
    """The loop hears of no failure that nobody waited for."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    yield
    assert told == []


@pytest.fixture(scope="module")
def run() -> Iterator[Any]:
    """Runs one example, within a time limit, on a loop that lives as long as all of them."""

    async def limited(example: Coroutine[Any, Any, None]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            with nothing_untold():
                await example

    with asyncio.Runner() as runner:
        yield lambda example: runner.run(limited(example))


async def say(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
    with suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)


# The client's side.

Request = tuple[bytes, bytes, bytes]
"""Method, target and body."""


def understood(sent: bytes) -> tuple[list[Request], str]:
    """The requests that h11 finds, up to the first that is unfinished or wrong, and what is."""
    found: list[Request] = []
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(sent)
    try:
        while True:
            head = connection.next_event()
            if not isinstance(head, h11.Request):
                return found, "the end"
            if head.method == b"CONNECT":  # has no body, and nothing after it is a request
                return [*found, (head.method, head.target, b"")], "the end"
            body = b""
            while isinstance(event := connection.next_event(), h11.Data):
                body += bytes(event.data)
            if not isinstance(event, h11.EndOfMessage):
                return found, "the end"
            found.append((head.method, head.target, body))
            connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
            connection.send(h11.EndOfMessage())
            connection.start_next_cycle()
    except h11.ProtocolError as error:
        return found, str(error)


async def talk(pieces: list[bytes], *, is_decrypted: bool = False) -> tuple[list[Request], bytes]:
    """What a server makes of the bytes: the requests that it handles, and all that it says."""
    handled: list[Request] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        for name, value in request.raw_headers:
            assert not set(name + value) & set(b"\r\n\0")
        try:
            async with asyncio.timeout(QUIET_S):
                body = await request.content.read()
        except (TimeoutError, web.RequestPayloadError, aiohttp.ClientPayloadError):
            request.transport.abort()
            raise asyncio.CancelledError from None
        target = request.target.encode("utf-8", "surrogateescape")
        handled.append((request.method.encode(), target, body))
        return web.Response(text="handled")

    server = Server(handle, limits=Limits(QUIET_S, PATIENCE_S))
    make = partial(server.connection_for, handle) if is_decrypted else server
    loop = asyncio.get_running_loop()
    async with await loop.create_server(make, "127.0.0.1", 0) as listening:
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        await say(writer, pieces)
        said = b""
        with suppress(ConnectionError):
            while piece := await reader.read(1 << 16):
                said += piece
        writer.close()
        server.abort()
        await server.empty()
    return handled, said


# Blanks in a request line and empty lines before it: RFC 9112 allows them (2.2 and 3). And h11
# closes every connection of HTTP/1.0, though the client asks to keep it open.
LENIENT = ("illegal request line", "no request line received", "not in a reusable state")
# Otherwise a connection is left open for the next request.
FAREWELL = b"GET /farewell HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@settings(max_examples=EXAMPLES)
@given(pieces=REQUESTS)
def test_a_server_makes_of_a_clients_bytes_what_they_say(run, pieces):
    """It may refuse more than h11 does."""

    async def example() -> None:
        handled, said = await talk([*pieces, FAREWELL])
        sent = b"".join(pieces)
        expected, stopped_by = understood(sent + FAREWELL)
        assert handled[: len(expected)] == expected[: len(handled)]
        assert len(handled) <= len(expected) or stopped_by.startswith(LENIENT)
        assert said.count(b"handled") <= len(handled)
        assert b" 500 " not in said

    run(example())


@pytest.mark.parametrize(
    "fields",
    [
        b"Transfer-Encoding:\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n",
    ],
)
@pytest.mark.parametrize("is_decrypted", [False, True], ids=["plain", "decrypted"])
def test_a_transfer_coding_other_than_chunked_is_refused_and_ends_the_connection(
    run, fields, is_decrypted
):
    head = b"POST /a HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n"

    async def example() -> None:
        handled, said = await talk([head, SMUGGLED_REQUEST], is_decrypted=is_decrypted)
        assert handled == []
        assert b" 400 Bad Request" in said
        assert said.count(b"HTTP/1.") == 1

    run(example())


@pytest.mark.parametrize(
    "head",
    [
        b"POST /a HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5_000,
        b"POST /a HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 33_000,
        b"POST /a HTTP/1.1\r\nHost: x\r\n" + b"X" * 33_000 + b": y",
        b"GET /" + b"a" * 33_000 + b" HTTP/1.1\r\nHost: x",
    ],
    ids=["many fields", "a long value", "a long name", "a long target"],
)
def test_a_header_that_is_too_large_is_called_so(run, head):
    async def example() -> None:
        handled, said = await talk([head + b"\r\n\r\n"])
        assert handled == []
        assert said.startswith(b"HTTP/1.0 431 Request Header Fields Too Large\r\n")
        assert b"it may have 128 fields of 32768 bytes each, the URL included." in said
        assert said.count(b"HTTP/1.") == 1

    run(example())


def test_a_header_field_may_have_many_elements(run):
    field = b"X: " + b"a," * 5_000
    head = b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + field + b"\r\n\r\n"

    async def example() -> None:
        handled, said = await talk([head])
        assert len(handled) == 1
        assert b" 200 OK" in said

    run(example())


def test_nothing_after_connect_is_a_request(run):
    """A proxy in front may take it for the body that the head announces."""
    head = b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"

    async def example() -> None:
        handled, _ = await talk([head % len(SMUGGLED_REQUEST) + SMUGGLED_REQUEST])
        assert handled == [(b"CONNECT", b"x:1", b"")]

    run(example())


# The provider's side.


class Counted(UpstreamConnection):
    """Knows how much it has received, and when that is all that there is to receive."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expected: int, done: asyncio.Event) -> None:
        super().__init__(loop)
        self._expected = expected
        self._done = done

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expected -= len(data)
        if self._expected <= 0:
            self._done.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._done.set()


Response = tuple[int, bytes]
"""Status and body."""


async def ask(upstream: Upstream) -> Response:
    response = await upstream.ask("POST", "/", [], b"{}", PATIENCE_S)
    assert 200 <= response.status <= 999
    for name, value in response.headers:
        assert name
        assert not set(name + value) & set(b"\r\n\0")
    body = b""
    while piece := await response.read():
        body += piece
    return response.status, body


class Replies:
    """A provider that replies to its first request with these bytes, and well to all others."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces: list[bytes] | None = pieces
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"{}")
                pieces, self._pieces = self._pieces, None
                await say(writer, [NEXT] if pieces is None else pieces)
        writer.close()


NEXT = b"HTTP/1.1 299 Next\r\nContent-Length: 4\r\n\r\nnext"


@settings(max_examples=EXAMPLES)
@given(pieces=RESPONSES)
def test_a_response_is_whole_or_an_error_and_none_answers_the_next_request(run, pieces):
    async def example() -> None:
        received, replies = asyncio.Event(), Replies(pieces)
        expected = sum(map(len, pieces))
        clock = SystemClock()
        async with await asyncio.start_server(replies, "127.0.0.1", 0) as provider:
            port = provider.sockets[0].getsockname()[1]
            upstream = Upstream(
                f"http://127.0.0.1:{port}",
                PATIENCE_S,
                Pools(ConnectionLimiter(clock), Shortages(clock)),
                lambda loop: Counted(loop, expected, received),
            )
            async with asyncio.TaskGroup() as tasks:
                first = tasks.create_task(outcome(ask(upstream)))
                await received.wait()
                for _ in range(10):
                    await asyncio.sleep(0)
                if not first.done():  # more could come
                    replies.writers[0].close()
            expected_first = understood_response(b"".join(pieces))
            if first.result() is not None and expected_first is not None:
                assert first.result() == expected_first
            assert await ask(upstream) == (299, b"next")
            await upstream.close()
            for writer in replies.writers:
                writer.close()

    run(example())


async def outcome(asking: Coroutine[Any, Any, Response]) -> Response | None:
    """The response, or None if it failed in a way that the pipeline expects of a provider."""
    with suppress(aiohttp.ClientError):
        return await asking
    return None


def understood_response(sent: bytes) -> Response | None:
    """What h11 makes of it, if it finds nothing wrong."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(sent)
    with suppress(h11.ProtocolError):
        connection.receive_data(b"")
        while isinstance(head := connection.next_event(), h11.InformationalResponse):
            pass
        body = b""
        while isinstance(event := connection.next_event(), h11.Data):
            body += bytes(event.data)
        if isinstance(head, h11.Response) and isinstance(event, h11.EndOfMessage):
            return head.status_code, body
    return None
