"""The AI Proxy over sockets: a CA, names that resolve as a test wants, and what clients do."""

import asyncio
import base64
import itertools
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from aibridged.clock import SystemClock
from aibridged.config.kinds import Address
from aibridged.daemon.gateway import Gateway
from aibridged.proxy import dial
from aibridged.proxy.authority import load_authority, make_authority
from aibridged.proxy.leaf_certificates import Leaves
from tests.migrated import migrate
from tests.tls_files import CERT, KEY


class ClockOfToday:
    """Moved by hand; it starts today, since clients look at a certificate's dates."""

    def __init__(self) -> None:
        self._start = SystemClock().wall()
        self._elapsed = 0.0

    def monotonic(self) -> float:
        return 1000.0 + self._elapsed

    def wall(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def advance(self, seconds: float) -> None:
        self._elapsed += seconds


@pytest.fixture
def clock() -> ClockOfToday:
    return ClockOfToday()


@pytest.fixture
def ca(tmp_path, clock) -> tuple[Path, Path]:
    """The files of a CA."""
    certificate, key = make_authority("Test CA", clock.wall(), timedelta(days=365), [])
    files = tmp_path / "ca.pem", tmp_path / "ca.key"
    for file, content in zip(files, (certificate, key), strict=True):
        file.write_bytes(content)
        file.chmod(0o600)
    return files


@pytest.fixture
def resolve_to(monkeypatch) -> Callable[..., list[str]]:
    """Has names stand for addresses (`"10.0.0.1"` or `("127.0.0.1", port)`), other names for none.

    Returns the names that are asked for, as they are.
    """
    real, asked = dial._resolve, []
    names: dict[str, Any] = {}

    async def resolve(destination, threads):
        if destination.address is not None:
            return await real(destination, threads)
        asked.append(destination.host)
        if destination.host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = names[destination.host]
        return [_info(each, destination.port) for each in (found() if callable(found) else found)]

    monkeypatch.setattr(dial, "_resolve", resolve)

    def resolve_to(**addresses: Any) -> list[str]:
        names.update({name.replace("_", "."): each for name, each in addresses.items()})
        return asked

    return resolve_to


def _info(address: str | tuple[str, int], port: int) -> tuple[Any, ...]:
    host, port = (address, port) if isinstance(address, str) else address
    if ":" in host:
        return socket.AF_INET6, socket.SOCK_STREAM, 6, "", (host, port, 0, 0)
    return socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)


@dataclass
class Connect:
    """What came of a CONNECT: the status, the head and body if it was refused, the connection."""

    status: int
    head: str
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def header(self, name: str) -> str | None:
        lines = (line.partition(": ") for line in self.head.split("\r\n"))
        return next((value for key, _, value in lines if key.lower() == name.lower()), None)

    async def tls(self, name: str, cafile: Path, **options: Any) -> None:
        """Shake hands with whatever is at the other end."""
        context = ssl.create_default_context(cafile=cafile)
        context.check_hostname = options.pop("check_hostname", True)
        await self.writer.start_tls(context, server_hostname=name, **options)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request that asks for the connection to be closed; the answer's status and all."""
        self.writer.write(request)
        answer = await self.reader.read()
        return int(answer.split()[1]), answer


@dataclass
class Proxied:
    """A gateway with its AI Proxy, a user's token, and the CA that clients trust."""

    gateway: Gateway
    token: str
    ca: Path
    _connects: list[Connect]

    @property
    def address(self) -> tuple[str, int]:
        assert self.gateway.proxy is not None
        host, port = self.gateway.proxy.url.rpartition("//")[2].split(":")
        return host, int(port)

    @property
    def url(self) -> str:
        """What goes into HTTPS_PROXY."""
        assert self.gateway.proxy is not None
        scheme, _, rest = self.gateway.proxy.url.partition("//")
        return f"{scheme}//token:{self.token}@{rest}"

    @property
    def authorization(self) -> str:
        return basic(f"token:{self.token}")

    async def connect(self, target: str, *headers: str, authorization: str | None = "") -> Connect:
        """CONNECT, with the token unless `authorization` is something else or None."""
        if authorization == "":
            authorization = self.authorization
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *headers]
        if authorization is not None:
            lines.append(f"Proxy-Authorization: {authorization}")
        return await self.send("\r\n".join([*lines, "", ""]).encode())

    async def send(self, request: bytes) -> Connect:
        """Send bytes as they are, and read the head of the answer."""
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split()[1])
        body = b"" if status == 200 and request.startswith(b"CONNECT") else await reader.read()
        connect = Connect(status, head.decode(), body, reader, writer)
        self._connects.append(connect)
        return connect

    async def intercepted(self, host: str) -> Connect:
        """A connection whose TLS the proxy has opened."""
        connect = await self.connect(f"{host}:443")
        assert connect.status == 200
        await connect.tls(host, self.ca)
        return connect


def basic(text: str) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.fixture
async def start_proxied(
    start_gateway, ca, tmp_path
) -> AsyncIterator[Callable[..., Awaitable[Proxied]]]:
    """Starts a gateway with an AI Proxy and the user alice, with the settings that are given."""
    connects: list[Connect] = []
    numbers = itertools.count()

    async def start(**changes: object) -> Proxied:
        state_dir = tmp_path / f"state-{next(numbers)}"
        state_dir.mkdir(mode=0o700)
        migrate(state_dir)
        settings = {
            "auth": "token",
            "state_dir": state_dir,
            "proxy_enabled": True,
            "proxy_listen_addr": Address("127.0.0.1", 0),
            "proxy_cert_file": ca[0],
            "proxy_key_file": ca[1],
            **changes,
        }
        gateway = await start_gateway(**settings)
        token = "none"
        if (tokens := gateway._composition.resources.tokens) is not None:
            if not tokens.list_users():
                tokens.create_user("alice")
            token = tokens.create_token("alice", name="laptop", lifetime=None)[1].reveal()
        return Proxied(gateway, token, ca[0], connects)

    yield start
    for connect in connects:
        connect.writer.close()


@pytest.fixture
async def proxied(start_proxied) -> Proxied:
    return await start_proxied()


@pytest.fixture
def log() -> Iterator[list[str]]:
    """All that is logged, debug lines with their fields."""
    lines: list[str] = []
    sink = logger.add(lines.append, level="DEBUG", format="{message} {extra}")
    yield lines
    logger.remove(sink)


@pytest.fixture
def server_tls(ca, clock) -> Callable[[str], ssl.SSLContext]:
    """What a server of some name shows, with a certificate of the tests' CA."""
    return Leaves(load_authority(*ca, clock.wall()), clock).context


@pytest.fixture
async def listen() -> AsyncIterator[Callable[..., Awaitable[tuple[str, int]]]]:
    """Listens with a handler of streams; where is returned."""
    servers: list[asyncio.Server] = []

    async def listen(handle: Any, tls: ssl.SSLContext | None = None) -> tuple[str, int]:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls, limit=1 << 20)
        servers.append(server)
        return server.sockets[0].getsockname()[:2]

    yield listen
    for server in servers:
        server.close()


@pytest.fixture
def own_pair() -> tuple[Path, Path]:
    """A certificate for localhost that no CA has signed, and its key."""
    return CERT, KEY
