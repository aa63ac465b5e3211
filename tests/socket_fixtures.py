"""A provider whose bytes a test says itself, the client towards it, and a server."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from aiohttp import web

from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.observe.descriptors import Shortages
from aibridged.transport.idle_pools import Pools
from aibridged.transport.server import Limits, Server
from aibridged.transport.upstream import Upstream
from aibridged.transport.upstream_connection import UpstreamConnection
from aibridged.transport.upstream_response import RawHeaders, UpstreamResponse

PATIENCE_S = 10
_AT_ONCE = struct.pack("ii", 1, 0)

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# What a provider may answer.
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = bytes(range(256)) * 20480  # 5 MiB


@asynccontextmanager
async def listening(
    serve: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    """An HTTP server on a free port of 127.0.0.1; its URL."""
    server = web.Server(serve)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    listener.close()
    await server.shutdown(0.1)


async def whole(answer: UpstreamResponse) -> bytes:
    """The body of an answer."""
    body = b""
    async with asyncio.timeout(PATIENCE_S):
        while piece := await answer.read():
            body += piece
    return body


class Peer:
    """The provider's end of a connection. It reads no more than it is told to, and a bit ahead."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def say(self, *pieces: bytes) -> None:
        """Write each piece in a packet of its own, as far as the system lets it."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def gone(self) -> int:
        """Read until the gateway has ended the connection; how many bytes came until then."""
        count = 0
        async with asyncio.timeout(PATIENCE_S):
            with suppress(ConnectionError):
                while piece := await self.reader.read(1 << 16):
                    count += len(piece)
        return count

    def leave(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        transport = self.writer.transport
        if not transport.is_closing():
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        transport.abort()


class Provider:
    """A server with a connection after the other, and small buffers."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self._came: asyncio.Queue[Peer] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, **options: object) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        self.port = listening.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=listening, **options)

    async def stop(self) -> None:
        for peer in self.peers:
            peer.reset()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def peer(self) -> Peer:
        """The next connection."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._came.get()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self.peers.append(peer)
        self._came.put_nowait(peer)


class Watched(UpstreamConnection):
    """Tells a test what happens, and calls `then`, if it is set, when something has been read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.lost = asyncio.Event()
        self.paused = asyncio.Event()
        self.then: Callable[[], object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # So that a body of a megabyte doesn't fit in.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.then is not None:
            self.then()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()

    async def until_lost(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self.lost.wait()

    def pause(self) -> None:
        super().pause()
        self.paused.set()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """It is there, but hasn't been started."""
    made = Provider()
    yield made
    await made.stop()


@pytest.fixture
def connections() -> list[Watched]:
    """Those that were made, in their order."""
    return []


@pytest.fixture
def connection_limiter(clock) -> ConnectionLimiter:
    """The limiter that `pools` evict idle connections from."""
    return ConnectionLimiter(clock)


@pytest.fixture
def pools(connection_limiter, clock) -> Pools:
    return Pools(connection_limiter, Shortages(clock))


@pytest.fixture
async def connect(
    provider, connections, pools
) -> AsyncIterator[Callable[..., Awaitable[Upstream]]]:
    """Makes an `Upstream` to the provider, which gets what options are given."""
    made = []

    def watched(loop: asyncio.AbstractEventLoop) -> Watched:
        connections.append(Watched(loop))
        return connections[-1]

    async def connect(
        url: str = "http://127.0.0.1:{}/v1/",
        connect_timeout: float = 5.0,
        keepalive_timeout: float = 15.0,
        **options: object,
    ) -> Upstream:
        await provider.start(**options)
        made.append(
            Upstream(
                url.format(provider.port),
                connect_timeout,
                pools,
                watched,
                keepalive_timeout=keepalive_timeout,
            )
        )
        return made[-1]

    yield connect
    for upstream in made:
        await upstream.close()


@pytest.fixture
async def upstream(connect) -> Upstream:
    return await connect()


@pytest.fixture
def ask() -> Callable[..., asyncio.Task[UpstreamResponse]]:
    """Begins a request; the task has the answer once its head has come."""

    def ask(
        upstream: Upstream,
        method: str = "POST",
        body: bytes = b"{}",
        headers: RawHeaders = (),
        idle_timeout: float = 60.0,
    ) -> asyncio.Task[UpstreamResponse]:
        asking = upstream.ask(method, "/x?y=%20", headers, body, idle_timeout)
        return asyncio.get_running_loop().create_task(asking)

    return ask


@pytest.fixture
async def asked(upstream, provider, ask) -> tuple[asyncio.Task[UpstreamResponse], Peer]:
    """A request that the provider has got: the task, and the provider's end."""
    asking = ask(upstream)
    peer = await provider.peer()
    await peer.head()
    await peer.reader.readexactly(2)
    return asking, peer


@pytest.fixture
def answer(source) -> UpstreamResponse:
    """One whose head is there, over the `source` that a test names."""
    return UpstreamResponse(200, b"OK", [], source)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server of clients at `port`; its `handler` is still to be set."""
    server = Server(None, limits=Limits(60, 60))
    loop = asyncio.get_running_loop()
    async with await loop.create_server(server, "127.0.0.1", 0) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server
        server.abort()
        await server.empty()


@pytest.fixture
async def open_connection(server) -> AsyncIterator[Callable[..., Awaitable[Stream]]]:
    """Makes clients of `server`."""
    writers = []

    async def open_connection(**options: int) -> Stream:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, **options)
        writers.append(writer)
        return reader, writer

    yield open_connection
    for writer in writers:
        writer.close()


@pytest.fixture
async def nothing_goes_untold() -> AsyncIterator[None]:
    """The loop was told of no failure that wasn't awaited."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    yield
    assert told == []
