import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest

from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.core.idle import GRACE_S
from aibridged.transport import acceptor
from aibridged.transport.acceptor import Acceptor, bind
from tests.tls_files import CERT, KEY

PATIENCE_S = 10

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Accepted(asyncio.Protocol):
    """The server's end of a connection."""

    def __init__(self, came: asyncio.Queue["Accepted"], is_surplus: bool) -> None:
        self.is_surplus = is_surplus
        self.lost = asyncio.Event()
        self._came = came

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._came.put_nowait(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


class Listening:
    """A listener with one place, and its room; `shortages` are what it was short of."""

    def __init__(self, limiter: ConnectionLimiter) -> None:
        self.limiter = limiter
        self.shortages: list[tuple[str, BaseException]] = []
        self.short = asyncio.Event()
        self.came: asyncio.Queue[Accepted] = asyncio.Queue()
        self.port = 0
        self._acceptors: list[Acceptor] = []

    async def start(self, tls: ssl.SSLContext | None = None, handshake: float = 60.0) -> None:
        [listening] = await bind("127.0.0.1", 0)
        self.port = listening.getsockname()[1]

        def note(what: str, error: BaseException) -> None:
            self.shortages.append((what, error))
            self.short.set()

        make = partial(Accepted, self.came)
        self._acceptors.append(Acceptor(listening, make, self.limiter, note, tls, handshake))

    async def next(self) -> Accepted:
        async with asyncio.timeout(PATIENCE_S):
            return await self.came.get()

    async def empty(self) -> None:
        """Wait until each place has been given back."""
        async with asyncio.timeout(PATIENCE_S):
            while self.limiter.taken or self.limiter.taken_surplus:
                left = asyncio.Event()
                self.limiter.wait(left.set)
                await left.wait()

    def close(self) -> None:
        for each in self._acceptors:
            each.close()


@pytest.fixture
async def listening(clock) -> AsyncIterator[Listening]:
    made = Listening(ConnectionLimiter(clock, places=1, surplus=1))
    yield made
    made.close()


@pytest.fixture
async def connect_client(listening) -> AsyncIterator[Callable[..., Awaitable[Stream]]]:
    writers = []

    async def connect_client(**options: object) -> Stream:
        reader, writer = await asyncio.open_connection("127.0.0.1", listening.port, **options)
        writers.append(writer)
        return reader, writer

    yield connect_client
    for writer in writers:
        writer.transport.abort()


@pytest.fixture
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERT, KEY)
    return context


@pytest.fixture
def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERT)


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends."""
    async with asyncio.timeout(PATIENCE_S):
        return await reader.read()


async def test_places_first_then_surplus_and_then_nothing_until_one_has_left(
    listening, connect_client
):
    await listening.start()
    await connect_client()
    first = await listening.next()
    await connect_client()
    second = await listening.next()
    await connect_client()
    assert (first.is_surplus, second.is_surplus) == (False, True)
    assert listening.limiter.is_saturated
    assert listening.came.empty()
    first.transport.close()
    third = await listening.next()
    assert not third.is_surplus


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_a_place_is_given_back_with_the_descriptor(listening, connect_client, how):
    await listening.start()
    for _ in range(3):
        reader, _ = await connect_client()
        accepted = await listening.next()
        assert listening.limiter.taken == 1
        getattr(accepted.transport, how)()
        assert await ended(reader) == b""
        await listening.empty()


async def test_a_place_is_given_back_when_the_client_leaves(listening, connect_client):
    await listening.start()
    _, writer = await connect_client()
    accepted = await listening.next()
    writer.close()
    await accepted.lost.wait()
    await listening.empty()


async def test_tls_and_what_is_none(listening, connect_client, tls, trusting):
    await listening.start(tls)
    reader, writer = await connect_client()
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await ended(reader)
    await listening.empty()
    reader, _ = await connect_client(ssl=trusting, server_hostname="localhost")
    accepted = await listening.next()
    assert len(listening.limiter.idle) == 0  # from now on the protocol's own word counts
    accepted.transport.write(b"hello")
    accepted.transport.close()
    assert await ended(reader) == b"hello"
    await listening.empty()


async def test_a_handshake_has_a_deadline(listening, connect_client, tls):
    await listening.start(tls, handshake=0.05)
    reader, _ = await connect_client()
    assert await ended(reader) == b""
    await listening.empty()


async def test_a_handshake_that_makes_no_progress_makes_room(
    listening, connect_client, tls, trusting, clock
):
    await listening.start(tls)
    silent, _ = await connect_client()
    # Accepted by the time that one after it has been told that there is no room.
    _, surplus = await connect_client(ssl=trusting, server_hostname="localhost")
    assert (await listening.next()).is_surplus
    surplus.close()
    clock.advance(GRACE_S)
    await connect_client(ssl=trusting, server_hostname="localhost")
    assert not (await listening.next()).is_surplus
    assert await ended(silent) == b""


async def test_a_handshake_that_has_to_leave_may_still_be_made(
    listening, connect_client, tls, trusting, monkeypatch
):
    monkeypatch.setattr(acceptor, "GRACE_S", 0.2)
    listening.limiter.places = 9
    listening.limiter.limit_idle(9, 1)
    await listening.start(tls)
    silent, _ = await connect_client()
    await connect_client(ssl=trusting, server_hostname="localhost")
    await listening.next()
    assert listening.limiter.idle.closed == 1
    assert await ended(silent) == b""


async def test_without_a_descriptor_a_client_waits_and_somebody_is_told(
    listening, no_descriptor_left
):
    await listening.start()
    with socket.socket() as client:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        with no_descriptor_left():
            await loop.sock_connect(client, ("127.0.0.1", listening.port))
            await listening.short.wait()
        assert not (await listening.next()).is_surplus
    [(what, error), *_] = listening.shortages
    assert (what, str(error)) == ("clients", "[Errno 24] Too many open files")
    await listening.empty()


async def test_a_closed_listener_refuses_and_keeps_what_it_has(listening, connect_client):
    await listening.start()
    reader, _ = await connect_client()
    accepted = await listening.next()
    listening.close()
    with pytest.raises(ConnectionRefusedError):
        await connect_client()
    accepted.transport.write(b"still here")
    accepted.transport.close()
    assert await ended(reader) == b"still here"


async def test_an_address_that_is_taken_leaves_no_socket_behind():
    [taken] = await bind("127.0.0.1", 0)
    with taken, pytest.raises(OSError, match="in use"):
        await bind("127.0.0.1", taken.getsockname()[1])
