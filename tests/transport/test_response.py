"""What a client gets of an answer, byte for byte, over real sockets."""

import asyncio
from types import SimpleNamespace

import pytest
from aiohttp.http import HttpVersion11

from aibridged.transport.request import Replacement
from aibridged.transport.response import DownstreamResponse
from aibridged.transport.upstream_response import UpstreamResponse

LENGTH = (b"Content-Length", b"2")
CLOSE = b"Connection: close\r\n"


def answered(*headers, status=200, reason=b"OK"):
    return UpstreamResponse(status, reason, headers, source=None)


def request(*headers, method=b"GET", version=b"1.1"):
    lines = [b"%b / HTTP/%b" % (method, version), b"Host: x", *headers, b"", b""]
    return b"\r\n".join(lines)


async def respond(request, answer, *pieces, **options):
    """What the relay does, in short."""
    response = DownstreamResponse(answer, **options)
    await response.prepare(request)
    for piece in pieces:
        await response.write(piece)
    await response.write_eof()
    return response


@pytest.fixture
def exchange(server, open_connection):
    """All that comes over a connection until it is closed."""

    async def exchange(sent, answer, *pieces, **options):
        server.handler = lambda request: respond(request, answer, *pieces, **options)
        reader, writer = await open_connection()
        writer.write(sent)
        async with asyncio.timeout(10):
            return await reader.read()

    return exchange


ENDING = [
    # asked by, answered with, in pieces, as it comes
    (
        request(b"Connection: close"),
        answered(LENGTH),
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + CLOSE + b"\r\nhi",
    ),
    (
        request(b"Connection: close"),
        answered(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        + CLOSE
        + b"\r\n1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
    ),
    (request(version=b"1.0"), answered(), b"HTTP/1.0 200 OK\r\n\r\nhi"),
    (
        request(version=b"1.0"),
        answered(LENGTH),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ),
    # Only the end of the connection says where the body ends, whatever the client would like.
    (
        request(b"Connection: keep-alive", version=b"1.0"),
        answered(),
        b"HTTP/1.0 200 OK\r\n\r\nhi",
    ),
]


@pytest.mark.parametrize(("asked", "answer", "expected"), ENDING)
async def test_a_body_on_a_connection_that_ends_with_it(exchange, asked, answer, expected):
    assert await exchange(asked, answer, b"h", b"", b"i") == expected


STAYING = [
    (request(), answered(LENGTH), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
    (
        request(),
        answered((b"content-LENGTH", b"2")),
        b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\n\r\nhi",
    ),
    (
        request(),
        answered(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ),
    (
        request(b"Connection: keep-alive", version=b"1.0"),
        answered(LENGTH),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi",
    ),
]
LAST = request(version=b"1.0")


@pytest.mark.parametrize(("asked", "answer", "expected"), STAYING)
async def test_a_body_on_a_connection_that_stays_open(exchange, asked, answer, expected):
    """Pipelined, too: the second request, which ends the connection, comes along with it."""
    everything = await exchange(asked + LAST, answer, b"hi")
    assert everything.startswith(expected + b"HTTP/1.0 200 OK\r\n")


@pytest.mark.parametrize(
    ("method", "answer", "expected"),
    [
        (b"HEAD", answered(LENGTH), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"),
        (b"HEAD", answered(), b"HTTP/1.1 200 OK\r\n"),
        (b"GET", answered(status=204, reason=b"-"), b"HTTP/1.1 204 -\r\n"),
        (b"GET", answered(LENGTH, status=204, reason=b"-"), b"HTTP/1.1 204 -\r\n"),
        (b"GET", answered(status=304, reason=b"-"), b"HTTP/1.1 304 -\r\n"),
        (
            b"GET",
            answered(LENGTH, status=304, reason=b"-"),
            b"HTTP/1.1 304 -\r\nContent-Length: 2\r\n",
        ),
        (b"GET", answered((b"Content-Length", b"0")), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
    ],
)
async def test_a_head_that_no_body_follows(exchange, method, answer, expected):
    asked = request(method=method)
    everything = await exchange(asked + request(b"Connection: close", method=method), answer)
    assert everything == expected + b"\r\n" + expected + CLOSE + b"\r\n"


async def test_the_head_is_the_providers_but_for_what_is_said_to_the_next_hop(exchange):
    answer = answered(
        (b"x-A", b"caf\xe9 \xe2\x82\xac"),
        (b"Set-Cookie", b"a=b"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"X-Hop"),
        (b"X-Hop", b"1"),
        (b"x-A", b"tab\tinside"),
        (b"X-Empty", b""),
        status=529,
        reason=b"\xdcberlastet",
    )
    assert await exchange(LAST, answer) == (
        b"HTTP/1.0 529 \xdcberlastet\r\nx-A: caf\xe9 \xe2\x82\xac\r\nx-A: tab\tinside\r\n"
        b"X-Empty: \r\n\r\n"
    )


async def test_the_gateways_own_headers_stand_beside_the_providers(server, open_connection):
    async def handle(request):
        request.added_headers = [(b"X-Own", b"1"), (b"X-Own", b"2")]
        return await respond(request, answered(LENGTH), b"hi")

    server.handler = handle
    reader, writer = await open_connection()
    writer.write(request(b"Connection: close"))
    async with asyncio.timeout(10):
        came = await reader.read()
    own = b"X-Own: 1\r\nX-Own: 2\r\n"
    assert came == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + own + CLOSE + b"\r\nhi"


@pytest.mark.parametrize(("status", "own"), [(200, b"X-Quota-Left: 1\r\n"), (429, b"")])
async def test_headers_in_the_place_of_the_providers(server, open_connection, status, own):
    theirs = [(b"x-quota-left", b"9"), (b"X-Quota-Reset", b"5"), LENGTH, (b"X-Other", b"1")]

    async def handle(asked):
        asked.replacement = Replacement((b"x-quota-", b"y-"), [(b"X-Quota-Left", b"1")])
        return await respond(asked, answered(*theirs, status=status), b"hi")

    server.handler = handle
    reader, writer = await open_connection()
    writer.write(request(b"Connection: close"))
    async with asyncio.timeout(10):
        came = await reader.read()
    kept = b"Content-Length: 2\r\nX-Other: 1\r\n"
    assert came == b"HTTP/1.1 %d OK\r\n" % status + kept + own + CLOSE + b"\r\nhi"


async def test_a_status_without_a_reason(exchange):
    assert await exchange(LAST, answered(LENGTH, reason=b""), b"hi") == (
        b"HTTP/1.0 200 \r\nContent-Length: 2\r\n\r\nhi"
    )


async def test_another_body_has_another_length_and_no_coding(exchange):
    answer = answered((b"Content-encoding", b"gzip"), (b"content-length", b"9"), (b"X", b"1"))
    everything = await exchange(LAST, answer, b"hi", without=(b"content-encoding",), length=2)
    assert everything == b"HTTP/1.0 200 OK\r\nX: 1\r\nContent-Length: 2\r\n\r\nhi"


async def test_who_is_leaving_says_so(exchange, server):
    server.is_draining = True
    assert await exchange(request(), answered(LENGTH), b"hi") == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
    )


async def test_answers_come_in_the_order_of_the_requests(server, open_connection):
    first_may_end = asyncio.Event()
    seen = []

    async def handler(request):
        seen.append(request.target)
        response = DownstreamResponse(answered())
        await response.prepare(request)
        await response.write(request.target.encode())
        if request.target == "/1":
            await first_may_end.wait()
        await response.write_eof()
        return response

    server.handler = handler
    reader, writer = await open_connection()
    writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in (1, 2, 3)))
    async with asyncio.timeout(10):
        assert (await reader.readuntil(b"/1\r\n")).endswith(b"\r\n\r\n2\r\n/1\r\n")
        assert seen == ["/1"]
        first_may_end.set()
        assert (await reader.readuntil(b"/2\r\n0\r\n\r\n")).startswith(b"0\r\n\r\nHTTP/1.1 200 OK")
        await reader.readuntil(b"/3\r\n0\r\n\r\n")


async def test_writing_waits_for_a_slow_client(server, open_connection):
    size = 32 * 1024 * 1024  # more than fits in between
    began, ended = asyncio.Event(), asyncio.Event()

    async def handler(request):
        response = DownstreamResponse(answered())
        await response.prepare(request)
        began.set()
        await response.write(b"x" * size)
        ended.set()
        await response.write_eof()
        return response

    server.handler = handler
    reader, writer = await open_connection(limit=1 << 10)
    writer.write(LAST)
    await began.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert not ended.is_set()
    async with asyncio.timeout(30):
        await reader.readuntil(b"\r\n\r\n")
        assert len(await reader.read()) == size
    assert ended.is_set()


async def test_a_client_that_is_gone_gets_nothing_more(server, open_connection):
    raised = asyncio.get_running_loop().create_future()

    async def handler(request):
        response = DownstreamResponse(answered())
        await response.prepare(request)
        request.transport.abort()
        for say in (response.write, response.write_eof):
            with pytest.raises(ConnectionResetError):
                await say(b"hi")
        raised.set_result(None)
        return response

    server.handler = handler
    reader, writer = await open_connection()
    writer.write(request())
    async with asyncio.timeout(10):
        await raised
        assert await reader.read() == b""


class TestPackets:
    """Each write to the client's transport; a request is a stand-in here."""

    @pytest.fixture
    def packets(self):
        return []

    @pytest.fixture
    async def prepared(self, packets):
        transport = SimpleNamespace(write=packets.append, is_closing=lambda: False)
        request = SimpleNamespace(
            protocol=SimpleNamespace(transport=transport, writing_paused=False),
            writer=SimpleNamespace(output_size=0),
            method="GET",
            version=HttpVersion11,
            keep_alive=True,
            added_headers=(),
            replacement=None,
        )
        response = DownstreamResponse(answered())
        await response.prepare(request)
        assert request.writer.output_size > 0
        await response.prepare(None)  # a second time, by whom the response is returned to
        return response

    HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def test_the_head_travels_with_the_first_piece_and_the_last_with_the_end(
        self, prepared, packets
    ):
        assert packets == []
        prepared.send(b"one")
        prepared.send(b"two")
        await prepared.write_eof(b"three")
        await prepared.write_eof()
        assert packets == [
            self.HEAD + b"3\r\none\r\n",
            b"3\r\ntwo\r\n",
            b"5\r\nthree\r\n0\r\n\r\n",
        ]

    async def test_the_head_can_go_first(self, prepared, packets):
        prepared.send(b"")
        prepared.send(b"")
        assert packets == [self.HEAD]

    async def test_an_answer_that_is_there_is_one(self, prepared, packets):
        await prepared.write_eof(b"all")
        assert packets == [self.HEAD + b"3\r\nall\r\n0\r\n\r\n"]
