"""The tool loop: turns with the model, between which the gateway runs the injected tools.

Each turn is a request of its own to the provider: with the same headers, admitted by the breaker,
and dumped. The client gets one response (see `wire.injection`), and one interception is recorded.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress

import aiohttp
import msgspec
from aiohttp import web

from aibridged.errors import UPSTREAM_TIMEOUT, UPSTREAM_UNREACHABLE, ErrorKind, GatewayError
from aibridged.mcp.tools import Toolbox
from aibridged.pipeline import ending, forward
from aibridged.pipeline.bridge import Interception
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import RequestContext
from aibridged.pipeline.failure import of_gateway
from aibridged.pipeline.tool_loop.calls import ToolCalls, as_last
from aibridged.pipeline.tool_loop.spending import TurnSpending
from aibridged.pipeline.tool_loop.turn import Turn, ask
from aibridged.tasks import Tasks
from aibridged.transport.abort import broken_off
from aibridged.transport.relay import Pump
from aibridged.transport.response import DownstreamResponse
from aibridged.transport.upstream_failure import describe
from aibridged.wire.bounds import MAX_ELEMENTS, MAX_VALUE, UNREADABLE, has_more_elements
from aibridged.wire.injection.dialogue import Dialogue, OverrunError
from aibridged.wire.reader import MAX_BODY_BYTES, Told

PING_S = 10.0
"""Interval of keep-alive events for the client of a stream while a tool runs."""

_decode_error = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class ToolLoop:
    """The tool loop of one request; `dialogue` is that of its body, with the tools injected."""

    def __init__(
        self,
        context: RequestContext,
        components: Components,
        interception: Interception,
        toolbox: Toolbox,
        dialogue: Dialogue,
    ) -> None:
        self._context = context
        self._parts = components
        self._interception = interception
        self._dialogue = dialogue
        self._calls = ToolCalls(components, interception, toolbox)
        self._rounds_left = components.settings.mcp_max_turns
        self._spending = TurnSpending(context, components.spending, interception)
        self._response: DownstreamResponse | None = (
            None  # a stream whose head was sent to the client
        )
        self._first_byte_at: float | None = None  # of that stream

    async def run(self) -> web.StreamResponse:
        """Respond to the request; see `forward` for the errors."""
        try:
            return await self._respond_in_turns()
        except asyncio.CancelledError:
            if self._response is None:
                raise
            ending.begin(self._context)
            return await self._end_early(self._response)
        finally:
            self._spending.end()

    async def _respond_in_turns(self) -> web.StreamResponse:
        self._dialogue.begin_turn(last=False)
        turn = await ask(self._context, self._parts, first=True)
        while True:
            with turn:
                response = await self._respond(turn)
            if response is not None:
                return response
            if self._context.trace is not None:
                self._context.trace.turn_answered()
            try:
                async with self._pings():
                    await self._run_tools()
                    turn = await ask(self._context, self._parts, first=False)
            except GatewayError as error:
                if self._response is None:
                    raise
                self._interception.failure = of_gateway(error)
                return await self._fail(error.body())

    async def _respond(self, turn: Turn) -> web.StreamResponse | None:
        """Relay a turn's visible part to the client; None if tools are to be run now."""
        if turn.may_be_mislabelled:
            source = turn.response
            turn.look_at(source.first or await self._awaited(source.beginning()))
        if turn.opens_stream():
            return await self._stream(turn)
        if self._response is not None:
            return await self._fail(await self._error_body(turn))
        if turn.is_body:
            return await self._body(turn)
        return await forward.relay_response(self._context, turn.response, turn.dump, self._parts)

    async def _stream(self, turn: Turn) -> web.StreamResponse | None:
        dialogue = self._dialogue
        reading = self._reading = turn.begin_reading(dialogue.reader)
        reading.first_byte_at = self._first_byte_at
        response = self._response or await self._begin(turn)
        try:
            await (self._pass_on_decoded if turn.is_coded else self._pass_on)(turn, response)
        except OverrunError:
            raise self._broken_off("it is too long for tools of the gateway's") from None
        self._first_byte_at = reading.first_byte_at
        reading.complete = True
        rest = dialogue.end_stream()
        self._keep_continuation()
        if not dialogue.calls:
            forward.record_end(self._context, response.status)
            await response.write_eof(rest)
            return response
        if rest:
            await response.write(rest)
        return None

    async def _pass_on(self, turn: Turn, response: DownstreamResponse) -> None:
        """Relay the visible part of a stream as it arrives."""
        parts, idle_timeout = self._parts, self._parts.settings.upstream_idle_timeout
        pump = Pump(
            self._context.request,
            response,
            turn.response,
            turn.readers,
            idle_timeout,
            parts.turns,
            pass_on=self._show,
        )
        try:
            try:
                await pump.run()
            finally:
                await pump.backlog.finish()
        except TimeoutError as error:
            raise self._broken_off(describe(error), UPSTREAM_TIMEOUT) from None
        except aiohttp.ClientError as error:
            raise self._broken_off(describe(error)) from None

    async def _pass_on_decoded(self, turn: Turn, response: DownstreamResponse) -> None:
        """The same, decoded: a few bytes may become megabytes, which a slow client holds up."""
        while chunk := await self._next(turn):
            async for part in turn.decode(chunk):
                self._show(part)
                await response.write(b"")  # waits while the client is slow
            await turn.note(chunk)
            if turn.fault is not None:
                self._dialogue.reader.count(turn.fault)
                raise self._broken_off(turn.fault)

    def _show(self, part: bytes) -> None:
        """Send the visible part of the next bytes of a stream."""
        seen = self._dialogue.feed(part)
        self._reading.size += len(part)
        if not self._reading.is_settled:
            self._reading.progress()
        if self._dialogue.continuation is not None:
            self._keep_continuation()
        if seen:
            assert self._response is not None, "it was begun"
            self._response.send(seen)

    def _keep_continuation(self) -> None:
        """Store it once, before the client has all of the response and may continue or leave."""
        continuation = self._dialogue.continuation
        if continuation is not None:
            self._dialogue.continuation = None
            self._parts.continuations.keep(self._context, continuation)

    async def _begin(self, turn: Turn) -> DownstreamResponse:
        """Send the head of the client's stream: the first turn's."""
        coded = turn.response.content_coding is not None
        without = (b"content-length", *((b"content-encoding",) if coded else ()))
        response = self._response = DownstreamResponse(turn.response, without=without)
        await response.prepare(self._context.request)
        response.send(b"")  # the head is sent, whatever comes first
        return response

    async def _body(self, turn: Turn) -> web.StreamResponse | None:
        """Relay a blocking response, which has to be complete before it can be judged."""
        collected = bytearray()
        while chunk := await self._next(turn):
            collected += chunk
            if len(collected) > MAX_BODY_BYTES:
                return await self._too_large(turn, collected)
        body = bytes(collected)
        seen = plain = await turn.decode_whole(body)
        if plain is not None:
            seen = self._dialogue.read(plain)
            self._keep_continuation()
        facts = self._dialogue.facts
        reading = turn.begin_reading(None if facts is None else Told(facts))
        reading.complete = True
        if plain is not None and facts is not None:
            reading.size = len(plain)
        if self._dialogue.calls:
            reading.progress()
            await turn.note(body)
            reading.first_byte_at = None  # nothing was sent to the client yet
            return None
        if seen is None or seen is plain:
            shown = body
            response = DownstreamResponse(turn.response)
        else:
            shown = seen
            response = DownstreamResponse(
                turn.response, without=(b"content-encoding",), length=len(shown)
            )
        await response.prepare(self._context.request)
        reading.progress()
        await turn.note(body)
        forward.record_end(self._context, response.status)
        await response.write_eof(shown)
        return response

    async def _too_large(self, turn: Turn, collected: bytearray) -> web.StreamResponse:
        """Relay a response that is too large to be read, whatever tools it calls."""
        reading = turn.begin_reading()
        response = DownstreamResponse(turn.response)
        await response.prepare(self._context.request)
        chunk = bytes(collected)
        while chunk:
            await response.write(chunk)
            await turn.note(chunk)
            chunk = await self._next(turn)
        reading.complete = True
        forward.record_end(self._context, response.status)
        await response.write_eof()
        return response

    async def _run_tools(self) -> None:
        """Run the tools that the model has called, and make the results its next request."""
        context, reading = self._context, self._context.observer
        assert reading is not None, "it has told of the calls"
        self._rounds_left -= 1
        try:
            results = await self._calls.run(self._dialogue.calls)
        finally:
            self._interception.end_turn(reading)
            if self._response is None:
                context.observer = None
        last = self._rounds_left == 0 or await self._spending.is_over()
        context.body = self._dialogue.answer(as_last(results) if last else results)
        self._dialogue.begin_turn(last=last)

    async def _next(self, turn: Turn) -> bytes:
        """The next bytes of a response, empty at its end; raises if it breaks off."""
        if turn.response.waiting or turn.response.is_whole:  # as mostly: that needs no deadline
            return turn.response.take()
        return await self._awaited(turn.response.read())

    async def _awaited(self, coming: Awaitable[bytes]) -> bytes:
        """What is to come of a response; see `_next`."""
        try:
            async with asyncio.timeout(self._parts.settings.upstream_idle_timeout):
                return await coming
        except TimeoutError as error:
            failure, reason = UPSTREAM_TIMEOUT, describe(error)
        except aiohttp.ClientError as error:
            failure, reason = UPSTREAM_UNREACHABLE, describe(error)
        raise self._broken_off(reason, failure)

    def _broken_off(self, reason: str, failure: ErrorKind = UPSTREAM_UNREACHABLE) -> Exception:
        """The error to raise when the response broke off.

        A response under way ends with its connection, so that no client takes it as complete.
        """
        forward.warn_of_break(self._context, self._parts, reason)
        if self._context.request.writer.output_size > 0:
            return broken_off(self._context.request, reason)
        if self._context.verdict is not None:
            self._context.verdict.failure()
        return GatewayError(failure, reason=reason)

    async def _error_body(self, turn: Turn) -> bytes:
        """The provider's error response, as a body of its API on one line."""
        reading = turn.begin_reading()
        body = bytearray()
        while len(body) < MAX_VALUE and (chunk := await self._next(turn)):
            body += chunk
            await turn.note(chunk)
        reading.complete = True
        with suppress(*UNREADABLE):
            if not has_more_elements(body, MAX_ELEMENTS) and "error" in _decode_error(body):
                return msgspec.json.format(bytes(body), indent=-1)
        name, status = self._context.route.provider.name, turn.response.status
        return GatewayError(
            UPSTREAM_UNREACHABLE, f"The provider {name} responded with status {status}."
        ).body()

    async def _fail(self, body: bytes) -> web.StreamResponse:
        """End a stream under way with an error event of its API."""
        assert self._response is not None
        await self._response.write_eof(self._dialogue.error(body))
        return self._response

    async def _end_early(self, response: DownstreamResponse) -> web.StreamResponse:
        """End a stream under way, as was asked from outside."""
        if self._dialogue.reader.splitter.is_within_event:  # of which the client has a part
            raise ending.cut_off(self._context)
        said = ending.said_at_end(self._context, self._parts.clock)
        last = self._dialogue.early_end(said)
        ending.record_end(self._context, said, is_early=bool(last))
        await response.write_eof(last)
        return response

    @asynccontextmanager
    async def _pings(self) -> AsyncIterator[None]:
        """Send keep-alive events to the client of a stream."""
        if self._response is None:
            yield
            return
        pinging = Tasks()
        pinging.start(self._ping(self._response), "pings")
        try:
            yield
        finally:
            await pinging.cancel()

    async def _ping(self, response: DownstreamResponse) -> None:
        with suppress(ConnectionError):  # the client has disconnected: then everything is cancelled
            while True:
                await asyncio.sleep(PING_S)
                await response.write(self._dialogue.PING)
