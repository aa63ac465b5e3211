"""Writes a provider's answer to the client as it arrives."""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import aiohttp
from aiohttp import web
from aiohttp.http import StreamWriter

from aibridged.core.headers import response_header_passes
from aibridged.pipeline.header_bytes import keep_bytes
from aibridged.pipeline.request import GatewayRequest
from aibridged.pipeline.upstream import UpstreamConnection
from aibridged.relayed import RelayedResponse, broken_off
from aibridged.wire.stream_usage import UsageWithholder

Reader = Callable[[bytes], None]


class ProviderResponse(RelayedResponse):
    """A response that carries the provider's headers, byte for byte.

    `head_at_once` is false where the body's first piece is there already: head and piece then
    travel in one packet.
    """

    def __init__(self, upstream: aiohttp.ClientResponse, *, head_at_once: bool) -> None:
        super().__init__(upstream, response_header_passes)
        self._head_at_once = head_at_once
        self._send_headers_immediately = False

    async def _write_headers(self) -> None:
        await super()._write_headers()
        writer = self._payload_writer
        assert writer is not None
        keep_bytes(writer, self.headers)
        if self._head_at_once:
            writer.send_headers()


async def relay(
    request: GatewayRequest,
    upstream: aiohttp.ClientResponse,
    readers: Sequence[Reader],
    idle_timeout: float,
) -> web.StreamResponse:
    """Relay the answer to its end; each of `readers` sees a chunk after it has been written.

    A stalled client stops the reading from the provider. If the provider breaks off, or is silent
    for `idle_timeout` seconds, so is the client's connection: no client may take the half for a
    whole.

    Raises:
        BrokenOffError: the provider did not end its answer.
        ConnectionError: the client is gone.
    """
    content = upstream.content
    withholder = _withholder(request, upstream)
    has_come, is_whole = content.total_bytes > 0, content.is_eof()
    head_at_once = not (has_come or is_whole) or withholder is not None
    response = ProviderResponse(upstream, head_at_once=head_at_once)
    if withholder is not None:
        response.headers.popall("Content-Length", None)
    await response.prepare(request)
    try:
        if is_whole and withholder is None:
            whole = content.read_nowait()
            await response.write_eof(whole)
            for read in readers if whole else ():
                read(whole)
            return response
        if has_come and withholder is None:
            first = content.read_nowait()
            await response.write(first)
            for read in readers:
                read(first)
        await _Pump(request, upstream, readers, idle_timeout, withholder).run()
        await response.write_eof(withholder.finish() if withholder is not None else b"")
    except aiohttp.ClientConnectionResetError:
        raise  # of the client's connection, in spite of its name
    except (aiohttp.ClientError, TimeoutError) as error:
        raise broken_off(request, error) from None
    return response


def _withholder(
    request: GatewayRequest, upstream: aiohttp.ClientResponse
) -> UsageWithholder | None:
    """What keeps back the usage of a stream that only the gateway asked for."""
    if not request.asks_for_usage or upstream.content_type != "text/event-stream":
        return None
    return None if upstream.headers.get("Content-Encoding") else UsageWithholder()


class _Pump:
    """Moves a body from the provider's connection straight into the client's.

    The task that runs it sleeps while chunks pass, and wakes up for the end, for a client that
    has stalled, and for what went wrong.
    """

    def __init__(
        self,
        request: GatewayRequest,
        upstream: aiohttp.ClientResponse,
        readers: Sequence[Reader],
        idle_timeout: float,
        withholder: UsageWithholder | None,
    ) -> None:
        self._content = upstream.content
        self._withholder = withholder
        self._client = request.protocol
        self._writer = cast(StreamWriter, request.writer)
        self._readers = readers
        self._idle_timeout = idle_timeout
        self._loop = asyncio.get_running_loop()
        self._moved_at = self._loop.time()
        self._waiter: asyncio.Future[None] | None = None
        connection = upstream.connection
        # None once the provider has sent all: what is left to move is in the buffer.
        self._upstream = cast(UpstreamConnection, connection.protocol) if connection else None

    async def run(self) -> None:
        """Return once the body has been written to its end.

        Raises:
            aiohttp.ClientError, TimeoutError: the provider broke off or is silent.
            ConnectionError: the client is gone.
        """
        on_progress = self._on_progress
        if self._upstream is not None:
            self._upstream.on_progress = on_progress
        self._timer = self._loop.call_later(self._idle_timeout, self._check_idle)
        try:
            while not self._move():
                if self._client.writing_paused:
                    await self._writer.drain()
                    self._moved_at = self._loop.time()
                    continue
                self._waiter = self._loop.create_future()
                await self._waiter
        finally:
            self._waiter = None
            self._timer.cancel()
            # The connection may serve another request already.
            if self._upstream is not None and self._upstream.on_progress is on_progress:
                self._upstream.on_progress = None

    def _move(self) -> bool:
        """Write on what has come; true at the end of the body. Raises what `run` does."""
        content = self._content
        chunk = content.read_nowait()
        if chunk:
            self._write(chunk if self._withholder is None else self._withholder.feed(chunk))
            self._moved_at = self._loop.time()
            for read in self._readers:
                read(chunk)
        return content.at_eof()

    def _write(self, chunk: bytes) -> None:
        transport = self._client.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        if not self._writer.chunked:
            transport.write(chunk)
        elif chunk:  # an empty one would end the body
            transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def _on_progress(self) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return  # the task is awake, and moves by itself
        try:
            if self._move() or self._client.writing_paused:
                waiter.set_result(None)
        except (aiohttp.ClientError, ConnectionError) as error:
            waiter.set_exception(error)

    def _check_idle(self) -> None:
        waiter = self._waiter
        left = self._moved_at + self._idle_timeout - self._loop.time()
        if waiter is None or waiter.done() or left > 0:
            # Either the client holds things up, or something has come since.
            self._timer = self._loop.call_later(
                max(left, self._idle_timeout / 10), self._check_idle
            )
        else:
            waiter.set_exception(TimeoutError())
