"""The requests that the fake has received, as bytes on the wire."""

import asyncio
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec
import zstandard

from aibridged.fake_provider.answer import InvalidRequestError, Usage

BODY_LIMIT = 64 * 1024 * 1024
"""Bound on the bytes of a decompressed request body."""


@dataclass(slots=True, eq=False)
class Received:
    """One request. Headers and body are not in the repr, as they may hold keys."""

    method: str
    raw_path: str
    """The request target, with its query string."""
    raw_headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    connection: str
    """`host:port` of the peer, the same for all requests of one connection."""
    body: bytes = field(default=b"", repr=False)
    """As received, compressed or not; empty until it is complete."""
    sent: int = 0
    """Bytes of the response's body handed to the socket so far."""
    usage: Usage | None = None
    """The tokens in the response's usage."""
    disconnected: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set when the peer has gone (or the fake has stopped) before the response was complete."""

    @property
    def path(self) -> str:
        """The request target without its query string."""
        return self.raw_path.partition("?")[0]

    def all(self, name: str) -> list[str]:
        """The values of header `name`, in order."""
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self.raw_headers if key.lower() == wanted]

    def header(self, name: str) -> str | None:
        """The first value of header `name`."""
        return next(iter(self.all(name)), None)

    def decoded(self) -> bytes:
        """The body without its content encoding; raises InvalidRequestError for a bad one."""
        encoding = (self.header("content-encoding") or "identity").lower()
        try:
            if encoding == "identity":
                return self.body
            if encoding == "gzip":
                return zlib.decompressobj(wbits=31).decompress(self.body, BODY_LIMIT)
            if encoding == "zstd":
                return zstandard.ZstdDecompressor().stream_reader(self.body).read(BODY_LIMIT)
        except (zlib.error, zstandard.ZstdError) as error:
            raise InvalidRequestError(f"the body is not valid {encoding}: {error}") from None
        raise InvalidRequestError(f"content-encoding {encoding} is not supported")

    def json(self) -> Any:
        """The decoded body as JSON."""
        return msgspec.json.decode(self.decoded())

    def public(self) -> dict[str, Any]:
        """The JSON of the control route, with the body as bytes (base64 in JSON)."""
        return {
            "method": self.method,
            "path": self.raw_path,
            "headers": [
                [name.decode("latin-1"), value.decode("latin-1")]
                for name, value in self.raw_headers
            ],
            "body": self.body,
            "connection": self.connection,
            "sent": self.sent,
            "usage": self.usage,
            "disconnected": self.disconnected.is_set(),
        }


class Log:
    """The last `keep` requests, and the number of all."""

    def __init__(self, keep: int) -> None:
        self.requests: deque[Received] = deque(maxlen=keep)
        self.seen = 0
        self._arrived = asyncio.Event()

    def add(self, received: Received) -> None:
        """Add a request whose headers have arrived, and wake its waiters."""
        self.requests.append(received)
        self.seen += 1
        self._arrived.set()

    async def wait(self, count: int) -> Received:
        """The last request, once there have been `count`."""
        while self.seen < count:
            self._arrived.clear()
            await self._arrived.wait()
        return self.requests[-1]

    def clear(self) -> None:
        """Forget all requests."""
        self.requests.clear()
        self.seen = 0
