"""An HTTP proxy as organisations have it on the way out, over real sockets; and a CA of theirs."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from aibridged.clock import SystemClock
from aibridged.proxy.authority import load_authority, make_authority
from aibridged.proxy.leaf_certificates import Leaves


class ForwardProxy:
    """Connects to the names in `to` only, which no one else can resolve.

    `heads` are the requests' heads as they came. With `credentials` (`user:password`) it refuses
    requests without them; with `status` it refuses all, with `answer` it sends just that, and with
    `mute` nothing.
    """

    def __init__(self) -> None:
        self.to: dict[str, str] = {}
        self.heads: list[str] = []
        self.credentials: str | None = None
        self.status: int | None = None
        self.mute = False
        self.answer: bytes | None = None
        self.address = ""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, tls: ssl.SSLContext | None = None) -> str:
        """Listen; returns `host:port`, which is `address` from then on."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname())
        return self.address

    async def stop(self) -> None:
        """End all connections."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    @property
    def targets(self) -> list[str]:
        """The method and the target of each request."""
        return [head.partition(" HTTP/1.1")[0] for head in self.heads]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        if self.mute:
            await reader.read()
        if self.answer is not None:
            writer.write(self.answer)
            await writer.drain()
            return
        method, target, _ = head.split(" ", 2)
        status = self.status or (None if self._lets_through(head) else 407)
        if status is None and _named(method, target) not in self.to:
            status = 502
        if status is not None:
            line = f"HTTP/1.1 {status} no\r\nProxy-Authenticate: Basic\r\nContent-Length: 6\r\n\r\n"
            writer.write(line.encode() + b"secret")
            await writer.drain()
            return
        url = urlsplit(target)
        onward = await asyncio.open_connection(*self.to[_named(method, target)].split(":"))
        self._writers.add(onward[1])
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            lines = head.split("\r\n")[1:]
            kept = [line for line in lines if not line.lower().startswith("proxy-")]
            path = url.path + (f"?{url.query}" if url.query else "")
            kept = [f"{method} {path} HTTP/1.1", *kept[:-2], "Connection: close", "", ""]
            onward[1].write("\r\n".join(kept).encode("latin-1"))
        await asyncio.gather(_pipe(reader, onward[1]), _pipe(onward[0], writer))

    def _lets_through(self, head: str) -> bool:
        if self.credentials is None:
            return True
        expected = base64.b64encode(self.credentials.encode()).decode()
        return f"\r\nProxy-Authorization: Basic {expected}\r\n" in head


def _named(method: str, target: str) -> str:
    return target if method == "CONNECT" else urlsplit(target).netloc


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    writer.close()


@dataclass
class PrivateCA:
    """A CA that only the file at `path` names."""

    path: Path
    tls: Callable[[str], ssl.SSLContext]
    """What a server of some name shows."""


@pytest.fixture
async def forward_proxy() -> AsyncIterator[ForwardProxy]:
    """It is there, but hasn't been started."""
    proxy = ForwardProxy()
    yield proxy
    await proxy.stop()


@pytest.fixture
def private_ca(tmp_path: Path) -> PrivateCA:
    clock = SystemClock()
    certificate, key = make_authority("Private CA", clock.wall(), timedelta(days=9), [])
    files = tmp_path / "private-ca.pem", tmp_path / "private-ca.key"
    for file, content in zip(files, (certificate, key), strict=True):
        file.write_bytes(content)
        file.chmod(0o600)
    return PrivateCA(files[0], Leaves(load_authority(*files, clock.wall()), clock).context)
