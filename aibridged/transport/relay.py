"""Reverse-proxy relay with backpressure: a provider's response, written as it arrives."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
from aiohttp import web

from aibridged.core.headers import NOT_RELAYED
from aibridged.transport.abort import broken_off
from aibridged.transport.read_backlog import Backlog, Reader
from aibridged.transport.request import GatewayRequest
from aibridged.transport.response import DownstreamResponse
from aibridged.transport.time_slices import Turns
from aibridged.transport.upstream_failure import describe
from aibridged.transport.upstream_response import UpstreamResponse
from aibridged.wire.bounds import SLICE
from aibridged.wire.chat_completions.stream_usage import UsageWithholder
from aibridged.wire.sse import SseSplitter


async def relay(
    request: GatewayRequest,
    source: UpstreamResponse,
    readers: Sequence[Reader],
    idle_timeout: float,
    turns: Turns,
    *,
    dropped: frozenset[bytes] = NOT_RELAYED,
    withhold_usage: bool = False,
    before_end: Callable[[], None] = lambda: None,
    ended_early: Callable[["Pump"], Awaitable[bytes]] | None = None,
) -> web.StreamResponse:
    """Relay a response to its end; each of `readers` sees a chunk after it has been written.

    Of the last chunk it is the other way round, and `before_end` is called before that is written:
    what a client has seen whole is on record, whatever happens to this process then.

    A stalled client pauses reading from the provider, and so do readers that lag behind: they get a
    large chunk in slices, each in one of `turns`, and have seen all of it at the end. If the
    provider breaks off, or is silent for `idle_timeout` seconds, the client's connection is
    aborted: no client may take a truncated response as complete.

    `dropped` are the names of headers that aren't relayed, in lower case; with `withhold_usage` the
    client doesn't get a stream's usage, which only the gateway asked for. Where the task is
    cancelled, `ended_early` tells what ends the response in place of its rest, or raises.

    Raises:
        BrokenOffError: the provider didn't complete its response.
        ConnectionError: the client has disconnected.
    """
    withholder = _withholder(source) if withhold_usage else None
    without = (b"content-length",) if withholder else ()
    response = DownstreamResponse(source, without=without, dropped=dropped)
    response.begin(request)
    if source.is_whole and source.waiting <= SLICE and not (withholder or source.content_coding):
        # As most responses that aren't streams: all of it is here, and can be read at once.
        whole = source.take()
        try:
            for read in readers if whole else ():
                read(whole)
            before_end()
        finally:
            await response.write_eof(whole)
        return response
    passed_on = None if withholder is None else lambda part: response.send(withholder.feed(part))
    pump = Pump(request, response, source, readers, idle_timeout, turns, pass_on=passed_on)
    backlog = pump.backlog
    try:
        if source.is_whole and withholder is None:
            pump.rest = source.take()
            backlog.read(pump.rest)
        else:
            await pump.run()
        try:
            await backlog.finish()  # the withholder relays what it reads
            before_end()
        finally:
            rest = pump.rest if withholder is None else withholder.finish()
            await response.write_eof(rest)
    except asyncio.CancelledError:
        if ended_early is None:
            raise
        await response.write_eof(pump.rest + await ended_early(pump))
    except (aiohttp.ClientError, TimeoutError) as error:
        await backlog.finish()
        raise broken_off(request, describe(error)) from None
    finally:
        await backlog.finish()
    return response


def _withholder(source: UpstreamResponse) -> UsageWithholder | None:
    """The filter that removes the usage of a stream that only the gateway asked for."""
    if source.content_type != "text/event-stream":
        return None
    return None if source.content_coding else UsageWithholder()


class Pump:
    """Moves a body from the provider's connection straight into the client's.

    Where the client gets less than all of it, `pass_on` sends the visible part of each slice. The
    task that runs it sleeps while chunks pass, and wakes up at the end, for a stalled client, and
    for errors.
    """

    def __init__(
        self,
        request: GatewayRequest,
        response: DownstreamResponse,
        source: UpstreamResponse,
        readers: Sequence[Reader],
        idle_timeout: float,
        turns: Turns,
        *,
        pass_on: Reader | None = None,
    ) -> None:
        self._source = source
        self._client = request.protocol
        self._writer = request.writer
        self._send = response.send
        self._sends_all = pass_on is None
        if pass_on is not None:
            readers = (pass_on, *readers)
        self.backlog = Backlog(
            turns, readers, self._on_read, coded=source.content_coding is not None
        )
        self._idle_timeout = idle_timeout
        self._loop = asyncio.get_running_loop()
        self._moved_at = self._loop.time()
        self._waiter: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self.rest = b""
        """The last piece, to be written with the end: what it tells is recorded before it goes."""

    async def run(self) -> None:
        """Return once the body has been written, except for its `rest` and its end.

        Raises:
            aiohttp.ClientError, TimeoutError: the provider broke off or is silent.
            ConnectionError: the client has disconnected.
        """
        source = self._source
        if first := source.take():
            self._on_progress(first)
        else:
            self._send(b"")  # the head
        source.sink = self._on_progress
        self._timer = self._loop.call_later(self._idle_timeout, self._check_idle)
        try:
            while (error := self._failure or source.error) is None and not source.is_whole:
                if self._client.writing_paused:
                    await self._writer.drain()
                    self._moved_at = self._loop.time()
                    continue
                self._resume()  # it may have stalled, and read again before this task woke up
                self._waiter = self._loop.create_future()
                await self._waiter
            if error is not None:
                if self.rest:
                    self._send(self.rest)
                raise error
        finally:
            source.sink = None
            self._waiter = None
            self._timer.cancel()

    async def finish_event(self, splitter: SseSplitter, seconds: float) -> None:
        """Relay the rest of the event that is under way, after `run` was cancelled.

        `splitter` is that of a reader.

        Raises:
            aiohttp.ClientError, TimeoutError: it didn't come.
        """
        source = self._source
        async with asyncio.timeout(seconds):
            await self.backlog.finish()
            while splitter.is_within_event and not (source.is_whole and not source.waiting):
                source.resume()
                chunk = await source.read()
                if self._client.writing_paused:
                    await self._writer.drain()
                piece = chunk[: splitter.rest_of_event(chunk)]
                if self._sends_all:
                    self._send(piece)
                self.backlog.read(piece)
                await self.backlog.finish()

    def _on_progress(self, piece: bytes) -> None:
        """Relay a chunk."""
        source = self._source
        if piece:
            try:
                if source.is_whole and self._sends_all:
                    self.rest = piece
                elif self._sends_all:
                    self._send(piece)
                self._moved_at = self._loop.time()
                self.backlog.read(piece)
            except Exception as error:  # noqa: BLE001 - the request's failure, not the connection's
                self._failure = error
        stalled = self._client.writing_paused
        if stalled or self.backlog.waits:
            # At once: until the task wakes up, the transport may deliver megabytes.
            source.pause()
        if source.is_whole or stalled or self._failure or source.error:
            self._wake()

    def _on_read(self) -> None:
        """Called once nothing is left to be read."""
        self._moved_at = self._loop.time()
        self._failure = self._failure or self.backlog.failure
        if self._failure or self._client.writing_paused:
            self._wake()
        self._resume()

    def _resume(self) -> None:
        if not (self._client.writing_paused or self.backlog.waits):
            self._source.resume()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _check_idle(self) -> None:
        waiter = self._waiter
        left = self._moved_at + self._idle_timeout - self._loop.time()
        if waiter is None or waiter.done() or left > 0 or self.backlog.waits:
            # The client is slow, something has arrived since, or is still to be read.
            self._timer = self._loop.call_later(
                max(left, self._idle_timeout / 10), self._check_idle
            )
        else:
            waiter.set_exception(TimeoutError())
