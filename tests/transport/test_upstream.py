"""The client towards providers, over real sockets; the provider's end is moved by hand."""

import asyncio
import ssl

import aiohttp
import pytest

from aibridged.errors import REQUEST_TIMEOUT, GatewayError
from aibridged.transport.body import StreamedBody
from aibridged.transport.upstream_connection import StaleConnectionError
from tests.socket_fixtures import CHUNKED, LARGE, OK, whole
from tests.tls_files import CERT, KEY


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("POST", b"{}", b"Content-Length: 2\r\n"),
        ("POST", b"", b"Content-Length: 0\r\n"),
        ("DELETE", b"", b"Content-Length: 0\r\n"),
        ("GET", b"", b""),
        ("HEAD", b"", b""),
        ("GET", b"{}", b"Content-Length: 2\r\n"),
    ],
)
async def test_a_request_is_sent_byte_for_byte(upstream, provider, ask, method, body, length):
    asking = ask(upstream, method, body, headers=[(b"x-A", b"caf\xe9"), (b"x-A", b"2")])
    peer = await provider.peer()
    head = b"%b /v1/x?y=%%20 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nx-A: caf\xe9\r\nx-A: 2\r\n%b\r\n"
    assert await peer.head() == head % (method.encode(), provider.port, length)
    assert await peer.reader.readexactly(len(body)) == body
    asking.cancel()


@pytest.mark.parametrize("ending", ["leave", "reset"])
async def test_a_kept_connection_that_turns_out_to_be_closed(
    upstream, provider, asked, ask, ending
):
    """It is tried once more with a GET; a POST may have been heard."""
    asking, peer = asked
    await peer.say(OK)
    await asking
    asking = ask(upstream, "GET", b"")
    await peer.head()
    getattr(peer, ending)()
    peer = await provider.peer()
    await peer.head()
    await peer.say(OK)
    assert await whole(await asking) == b"hi"
    asking = ask(upstream)
    await peer.head()
    getattr(peer, ending)()
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await asking
    assert len(provider.peers) == 2


async def test_more_than_once_nothing_is_tried_again(upstream, provider, ask):
    asking = ask(upstream, "GET", b"")
    for _ in range(2):
        peer = await provider.peer()
        await peer.head()
        peer.leave()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await asking
    assert len(provider.peers) == 2


async def test_half_a_head_is_no_answer_and_not_tried_again_as_if_nothing_had_come(
    upstream, provider, asked
):
    asking, peer = asked
    await peer.say(b"HTTP/1.1 200 OK\r\nContent-Le")
    peer.leave()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await asking
    assert upstream.connections == (0, 0)


async def test_a_head_that_does_not_come_in_time(upstream, provider, ask):
    asking = ask(upstream, "GET", b"", idle_timeout=0.1)
    peer = await provider.peer()
    with pytest.raises(TimeoutError):
        await asking
    assert upstream.connections == (0, 0)
    await peer.gone()
    assert len(provider.peers) == 1


async def test_an_answer_that_has_begun_may_take_any_time(upstream, provider, ask):
    asking = ask(upstream, idle_timeout=0.1)
    peer = await provider.peer()
    await peer.head()
    await peer.say(CHUNKED)
    answer = await asking
    with pytest.raises(TimeoutError):
        await ask(upstream, idle_timeout=0.1)  # which takes as long
    await peer.say(b"2\r\nhi\r\n0\r\n\r\n")
    assert await whole(answer) == b"hi"


async def test_a_timeout_in_the_turn_in_which_the_answer_comes(upstream, asked, connections):
    """The connection isn't handed on with an answer that nobody reads."""
    asking, peer = asked
    connections[0]._head.set_exception(TimeoutError())
    connections[0].data_received(CHUNKED)
    with pytest.raises(TimeoutError):
        await asking
    assert upstream.connections == (0, 0)
    await peer.gone()


async def test_cancelled_while_it_connects(connect, provider, ask):
    upstream = await connect("https://127.0.0.1:{}")  # whose greeting is never answered
    asking = ask(upstream)
    peer = await provider.peer()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert upstream.connections == (0, 0)
    await peer.gone()


async def test_cancelled_while_it_waits_for_the_head(upstream, asked):
    asking, peer = asked
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert upstream.connections == (0, 0)
    await peer.gone()


async def test_cancelled_while_it_sends(upstream, provider, ask, connections):
    asking = ask(upstream, body=LARGE)
    peer = await provider.peer()
    await peer.head()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await connections[0].until_lost()  # although the provider reads no more
    assert upstream.connections == (0, 0)
    assert await peer.gone() < len(LARGE)
    await upstream._sending.idle()


async def test_cancelled_in_the_turn_in_which_the_head_comes(upstream, asked, connections):
    asking, peer = asked
    connections[0].then = asking.cancel
    await peer.say(CHUNKED)
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert upstream.connections == (0, 0)
    await peer.gone()


async def test_cancelled_in_the_turn_in_which_all_of_the_answer_comes(
    upstream, asked, ask, connections
):
    """Nothing of it is left that the next request could take for its own."""
    asking, peer = asked
    connections[0].then = asking.cancel
    await peer.say(OK)
    with pytest.raises(asyncio.CancelledError):
        await asking
    connections[0].then = None
    assert upstream.connections == (0, 1)
    again = ask(upstream)
    await peer.head()
    await peer.say(b"HTTP/1.1 202 Again\r\nContent-Length: 0\r\n\r\n")
    assert (await again).status == 202


class Pieces:
    """A body that arrives as a test says; `taken` are the pieces that were asked for."""

    def __init__(self) -> None:
        self.taken = 0
        self.ended = asyncio.Event()
        self._queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    def say(self, *pieces: bytes | Exception | None) -> None:
        """Let these arrive; None is the end."""
        for piece in pieces:
            self._queue.put_nowait(piece)

    async def arrive(self):
        try:
            while (piece := await self._queue.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                self.taken += 1
                yield piece
        finally:
            self.ended.set()

    async def until_ended(self) -> None:
        async with asyncio.timeout(10):
            await self.ended.wait()


@pytest.fixture
def pieces() -> Pieces:
    return Pieces()


class TestABodyThatStreams:
    async def test_of_known_length_goes_on_as_it_arrives(self, upstream, provider, ask, pieces):
        asking = ask(upstream, body=StreamedBody(pieces.arrive(), 5))
        peer = await provider.peer()
        assert (await peer.head()).endswith(b"\r\nContent-Length: 5\r\n\r\n")
        for piece in (b"he", b"llo"):
            pieces.say(piece)
            assert await peer.reader.readexactly(len(piece)) == piece
        pieces.say(None)
        await pieces.until_ended()
        await peer.say(OK)
        assert await whole(await asking) == b"hi"
        assert upstream.connections == (0, 1)

    async def test_of_unknown_length_goes_on_in_chunks(self, upstream, provider, ask, pieces):
        asking = ask(upstream, body=StreamedBody(pieces.arrive(), None))
        peer = await provider.peer()
        head = await peer.head()
        assert head.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b"Content-Length" not in head
        pieces.say(b"he", b"", b"x" * 17, None)
        expected = b"2\r\nhe\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n"
        assert await peer.reader.readexactly(len(expected)) == expected
        await peer.say(OK)
        assert await whole(await asking) == b"hi"
        assert upstream.connections == (0, 1)

    async def test_a_provider_that_does_not_read_holds_it_up(
        self, upstream, provider, ask, pieces, connections
    ):
        """Backpressure: what waits to be sent is bounded, however much has arrived."""
        asking = ask(upstream, body=StreamedBody(pieces.arrive(), None), idle_timeout=0.2)
        peer = await provider.peer()
        await peer.head()
        pieces.say(*[bytes(100_000)] * 100)
        with pytest.raises(TimeoutError):  # the deadline for its reading on
            await asking
        assert pieces.taken < 50
        assert pieces.ended.is_set()
        await connections[0].until_lost()
        assert upstream.connections == (0, 0)
        assert await peer.gone() < 5_000_000

    async def test_the_deadline_of_the_answer_begins_at_its_end(
        self, upstream, provider, ask, pieces
    ):
        asking = ask(upstream, body=StreamedBody(pieces.arrive(), None), idle_timeout=0.1)
        peer = await provider.peer()
        await peer.head()
        with pytest.raises(TimeoutError):
            await ask(upstream, idle_timeout=0.1)  # which takes as long
        pieces.say(b"late")
        await peer.reader.readexactly(9)
        assert not asking.done()
        pieces.say(None)
        with pytest.raises(TimeoutError):
            await asking
        await peer.gone()

    async def test_one_that_fails_fails_the_request(self, upstream, provider, ask, pieces):
        asking = ask(upstream, body=StreamedBody(pieces.arrive(), 10))
        peer = await provider.peer()
        await peer.head()
        pieces.say(b"half", GatewayError(REQUEST_TIMEOUT))
        with pytest.raises(GatewayError):
            await asking
        assert upstream.connections == (0, 0)
        assert await peer.gone() == 4

    async def test_one_that_fails_after_the_head_breaks_the_answer_off(
        self, upstream, provider, ask, pieces
    ):
        """A refusal can't follow a head that has gone on."""
        asking = ask(upstream, body=StreamedBody(pieces.arrive(), 10))
        peer = await provider.peer()
        await peer.head()
        await peer.say(CHUNKED + b"2\r\nhi\r\n")
        answer = await asking
        pieces.say(b"half", GatewayError(REQUEST_TIMEOUT))
        assert await answer.read() == b"hi"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
        assert upstream.connections == (0, 0)

    async def test_cancelled_with_the_request(self, upstream, provider, ask, pieces):
        asking = ask(upstream, body=StreamedBody(pieces.arrive(), 10))
        peer = await provider.peer()
        await peer.head()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await pieces.until_ended()
        assert upstream.connections == (0, 0)
        await peer.gone()

    async def test_an_answer_that_is_whole_before_its_end(self, upstream, provider, ask, pieces):
        """The rest isn't read, and no other request follows on that connection."""
        asking = ask(upstream, body=StreamedBody(pieces.arrive(), 10))
        peer = await provider.peer()
        await peer.head()
        await peer.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        answer = await asking
        assert (answer.status, await whole(answer)) == (413, b"no")
        await pieces.until_ended()
        assert upstream.connections == (0, 0)
        await peer.gone()

    async def test_it_is_never_sent_twice(self, upstream, provider, asked, ask, pieces):
        asking, peer = asked
        await peer.say(OK)
        await asking
        asking = ask(upstream, "PUT", body=StreamedBody(pieces.arrive(), 4))
        await peer.head()
        pieces.say(b"half")
        await peer.reader.readexactly(4)
        peer.leave()
        with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
            await asking
        assert len(provider.peers) == 1


@pytest.fixture
def trusting(monkeypatch):
    """Certificates of the test's own are trusted."""
    context = ssl.create_default_context(cafile=CERT)
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", context)


@pytest.fixture
def certified():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERT, KEY)
    return context


class TestTLS:
    async def test_one_connection_for_many(self, trusting, certified, connect, provider, ask):
        upstream = await connect("https://127.0.0.1:{}", ssl=certified)
        for _ in range(2):
            asking = ask(upstream, body=LARGE)
            peer = provider.peers[0] if provider.peers else await provider.peer()
            await peer.head()
            assert await peer.reader.readexactly(len(LARGE)) == LARGE
            await peer.say(OK)
            assert await whole(await asking) == b"hi"
            assert upstream.connections == (0, 1)

    async def test_a_body_that_ends_with_the_connection(
        self, trusting, certified, connect, provider, ask
    ):
        upstream = await connect("https://127.0.0.1:{}", ssl=certified)
        asking = ask(upstream)
        peer = await provider.peer()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\nhi")
        answer = await asking
        peer.leave()
        assert await whole(answer) == b"hi"

    async def test_the_last_answer_of_a_connection_with_its_end(
        self, trusting, certified, connect, provider, ask
    ):
        upstream = await connect("https://127.0.0.1:{}", ssl=certified)
        asking = ask(upstream)
        peer = await provider.peer()
        await peer.head()
        peer.writer.write(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        peer.leave()
        assert await whole(await asking) == b"hi"
        assert upstream.connections == (0, 0)

    async def test_what_is_given_up_ends_at_once(
        self, trusting, certified, connect, provider, ask, connections
    ):
        """Without a goodbye, whose answer a provider that is busy would be waited for."""
        upstream = await connect("https://127.0.0.1:{}", ssl=certified)
        asking = ask(upstream)
        peer = await provider.peer()
        await peer.say(CHUNKED + b"2\r\nhi\r\n")
        answer = await asking
        peer.writer.transport.pause_reading()
        answer.close()
        await connections[0].until_lost()

    async def test_a_certificate_that_nobody_knows(self, certified, connect, ask):
        upstream = await connect("https://127.0.0.1:{}", ssl=certified)
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await ask(upstream)

    async def test_a_greeting_that_is_not_answered_in_time(self, connect, provider, ask):
        upstream = await connect("https://127.0.0.1:{}", connect_timeout=0.1)
        with pytest.raises(aiohttp.ConnectionTimeoutError):
            await ask(upstream)
        assert upstream.connections == (0, 0)


async def test_nobody_is_there(provider, upstream, ask, monkeypatch):
    """Who can't be connected to isn't tried again, even where a request could be."""
    await provider.stop()
    tried = []
    connect = upstream._connector.connect
    monkeypatch.setattr(
        upstream._connector, "connect", lambda *given: tried.append(given) or connect(*given)
    )
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(upstream, "GET", b"")
    assert len(tried) == 1


async def test_the_end_takes_every_connection_along(upstream, provider, asked, ask):
    asking, peer = asked
    await peer.say(OK)
    await asking
    sending = ask(upstream, body=LARGE)
    await peer.head()
    waiting = ask(upstream)
    other = await provider.peer()
    await other.head()
    async with asyncio.timeout(5):
        await upstream.close()
    for each in (sending, waiting):
        with pytest.raises(aiohttp.ClientError):
            await each
    for each in (peer, other):
        await each.gone()


async def test_the_end_leaves_no_body_behind_that_is_still_being_sent(upstream, provider, ask):
    """Even one whose connection is closed already, so that nothing else would wait for it."""
    sending = ask(upstream, body=LARGE)
    peer = await provider.peer()
    await peer.head()
    await peer.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 9\r\n\r\n")
    response = await sending
    assert len(upstream._sending) == 1
    response.close()
    await upstream.close()
    assert len(upstream._sending) == 0


@pytest.mark.parametrize("seconds", [0.0, 0.05])
async def test_an_idle_connection_is_kept_for_so_long(connect, provider, ask, seconds):
    upstream = await connect(keepalive_timeout=seconds)
    asking = ask(upstream)
    peer = await provider.peer()
    await peer.head()
    await peer.say(OK)
    assert await whole(await asking) == b"hi"
    assert upstream.connections == (0, 1 if seconds else 0)
    await peer.gone()
    assert upstream.connections == (0, 0)


@pytest.mark.parametrize("ending", ["leave", "reset"])
async def test_a_kept_connection_that_ends_before_the_answer_is_called_stale(
    upstream, provider, ask, ending
):
    asking = ask(upstream)
    peer = await provider.peer()
    for ends in (False, True):
        await peer.head()
        await peer.reader.readexactly(2)
        if not ends:
            await peer.say(OK)
            assert await whole(await asking) == b"hi"
            asking = ask(upstream)
    getattr(peer, ending)()
    with pytest.raises(StaleConnectionError):
        await asking
    assert len(provider.peers) == 1  # a POST isn't sent again


@pytest.mark.parametrize("first", [b"", b"H"], ids=["nothing", "a byte"])
async def test_other_ends_of_a_connection_are_not(upstream, provider, ask, first):
    asking = ask(upstream)
    peer = await provider.peer()
    await peer.head()
    if first:
        await peer.say(OK)
        assert await whole(await asking) == b"hi"
        asking = ask(upstream)
        await peer.head()
        await peer.say(first)
    peer.leave()
    with pytest.raises(aiohttp.ServerDisconnectedError) as raised:
        await asking
    assert type(raised.value) is aiohttp.ServerDisconnectedError
