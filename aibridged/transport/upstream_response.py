"""The upstream response: its head byte for byte, and a body that is streamed as it arrives."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from aibridged.core.headers import positions

HIGH_WATER = 256 * 1024
"""Bytes that may wait to be read; with as many, reading from the provider pauses."""

RawHeaders = Sequence[tuple[bytes, bytes]]


class Source(Protocol):
    """The connection of a response."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def give_up(self, response: "UpstreamResponse") -> None: ...


class UpstreamResponse:
    """A response from upstream, from its head on.

    `headers` are the bytes as received, and `names` theirs in lower case, with where the first is
    of each; `content_type` is the media type in lower case without its parameters, `content_coding`
    None where there is none. The body goes to `sink`, if there is one, else it waits to be read.
    `is_whole` says that it has ended, `error` why it broke off: a `aiohttp.ClientError`. `sink` is
    called with each chunk once, and with nothing at the end. `waiting` is the number of bytes that
    wait to be read.
    """

    is_whole = False
    error: Exception | None = None
    sink: Callable[[bytes], None] | None = None
    waiting = 0
    content_type = ""
    content_coding: str | None = None
    _waiter: asyncio.Future[None] | None = None

    # Defaults are class attributes: a response pays only for what it sets.
    def __init__(self, status: int, reason: bytes, headers: RawHeaders, source: Source) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self._source = source
        self._pieces: deque[bytes] = deque()
        self.names = positions(headers)
        if (media_type := self.header(b"content-type")) is not None:
            self.content_type = media_type.partition(";")[0].strip().lower()
        if (coding := self.header(b"content-encoding")) is not None:
            coding = coding.strip().lower()
            self.content_coding = None if coding in ("", "identity") else coding

    def header(self, name: bytes) -> str | None:
        """The first value of a header; `name` in lower case."""
        at = self.names.get(name)
        return None if at is None else self.headers[at][1].decode(errors="surrogateescape")

    def feed(self, piece: bytes, *, whole: bool) -> None:
        """Pass on a chunk from the connection; `whole` with the last one."""
        self.is_whole = whole
        if self.sink is not None:
            self.sink(piece)
            return
        if piece:
            self._pieces.append(piece)
            self.waiting += len(piece)
            if self.waiting >= HIGH_WATER and not whole:
                self._source.pause()
        if self._waiter is not None:
            self._wake()

    def fail(self, error: Exception) -> None:
        """Fail: no more will come."""
        self.error = error
        if self.sink is not None:
            self.sink(b"")
        self._wake()

    def take(self) -> bytes:
        """The chunks that wait, joined, possibly empty."""
        if not self._pieces:
            return b""
        taken = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self.waiting = 0
        self.resume()
        return taken

    async def read(self) -> bytes:
        """The next bytes, as many as there are; empty at the end.

        Raises:
            aiohttp.ClientError: the provider broke off.
        """
        await self.beginning()
        return self.take()

    async def beginning(self) -> bytes:
        """The first bytes, still to be read; empty if there are none. Raises what `read` does."""
        await self._arrival(1)
        if not self._pieces and self.error is not None:
            raise self.error
        return self.first

    @property
    def first(self) -> bytes:
        """The first bytes that wait to be read, if there are any."""
        return self._pieces[0] if self._pieces else b""

    async def peek(self, most: int) -> bytes:
        """The beginning of the body, which stays to be read: `most` bytes or more, or all that has
        come before its end or a failure."""
        await self._arrival(most)
        return b"".join(self._pieces)

    async def _arrival(self, most: int) -> None:
        """Return once `most` bytes wait to be read, or all that will come."""
        while self.waiting < most and not self.is_whole and self.error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def pause(self) -> None:
        """Pause reading from the provider."""
        if not self.is_whole:
            self._source.pause()

    def resume(self) -> None:
        """Resume reading from the provider."""
        if not self.is_whole:
            self._source.resume()

    def close(self) -> None:
        """Close the connection, unless the response has ended."""
        self.sink = None
        if not self.is_whole and self.error is None:
            self._source.give_up(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
