"""Body stage: reads and parses the request body, bounded in size, memory and time."""

import asyncio
from io import BytesIO
from typing import TypeVar

from aiohttp import web

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.core.byte_budget import ByteBudget, Shortage
from aibridged.errors import (
    AT_CAPACITY,
    INVALID_REQUEST,
    REQUEST_TIMEOUT,
    REQUEST_TOO_LARGE,
    GatewayError,
)
from aibridged.pipeline.components import Components
from aibridged.transport.request import GatewayRequest, Handler, Middleware
from aibridged.transport.time_slices import TimeSlices
from aibridged.wire.coding import BodyTooLargeError, CodingError, decode_body
from aibridged.wire.facts import WireApi
from aibridged.wire.injection.splice import Fields, UnsplittableError
from aibridged.wire.large_request import is_small, outline_request, read_large_request
from aibridged.wire.outline import Steps, TooComplexError
from aibridged.wire.request import BadRequestError, read_request
from aibridged.wire.stream_usage import ask_for_usage, with_usage

T = TypeVar("T")

_BUSY = (
    "The memory budget for request bodies in flight is exhausted (--aibridge-max-inflight-bytes)."
)
_CALLER_BUSY = "Your share of the memory budget for request bodies in flight is exhausted."


def stage(components: Components) -> Middleware:
    settings, clock, budget = components.settings, components.clock, components.body_budget
    reader = _FactReader(settings, components.slices)

    async def body(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        hold = request.hold = BodyHold(budget, request.actor.id)
        try:
            if request.body_exists:
                request.body = await _read(request, hold, settings, clock)
            else:
                request.body = b""
            if (api := request.route.api) is not None:
                await reader.read(request, hold, api)
                if api is WireApi.CHAT_COMPLETIONS:
                    _ask_for_usage(request)
            return await handler(request)
        finally:
            hold.release()

    return body


class BodyHold:
    """The memory that one request's body takes out of the budget."""

    __slots__ = ("_budget", "_caller", "_size")

    def __init__(self, budget: ByteBudget, caller: str) -> None:
        self._budget = budget
        self._caller = caller
        self._size = 0

    def take(self, size: int) -> None:
        """Take so many bytes more.

        Raises:
            GatewayError: the caller, or all of them together, hold as many as they may.
        """
        shortage = self._budget.take(self._caller, size)
        if shortage is not None:
            sentence = _BUSY if shortage is Shortage.ALL else _CALLER_BUSY
            raise GatewayError(AT_CAPACITY, sentence, retry_after=1)
        self._size += size

    def release(self) -> None:
        """Give all of it back. The second time, do nothing."""
        if self._size:
            self._budget.release(self._caller, self._size)
            self._size = 0


class _FactReader:
    """Reads the facts of small bodies at once, and of those that are large or coded in slices."""

    def __init__(self, settings: Settings, slices: TimeSlices) -> None:
        self._settings = settings
        self._slices = slices

    async def read(self, request: GatewayRequest, hold: BodyHold, api: WireApi) -> None:
        """Read `facts`; `plain` is the body without its coding from then on.

        Raises:
            GatewayError: the body can't be a request of the API, or is over a bound.
        """
        try:
            request.plain = request.body
            if "Content-Encoding" in request.headers:
                request.plain = await self._decoded(request)
                hold.take(len(request.plain))
            if not (is_small(request.plain) and self._read_at_once(request, api)):
                await self._read_large(request, api)
        except (BodyTooLargeError, TooComplexError) as error:
            raise GatewayError(REQUEST_TOO_LARGE, str(error)) from None
        except (CodingError, BadRequestError) as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        except TimeoutError:
            raise GatewayError(AT_CAPACITY, retry_after=1) from None

    async def _decoded(self, request: GatewayRequest) -> bytes:
        coding = request.headers["Content-Encoding"]
        most = self._settings.max_request_bytes
        return await self._in_slices(request, decode_body(request.body, coding, most))

    def _read_at_once(self, request: GatewayRequest, api: WireApi) -> bool:
        try:
            request.facts = read_request(api, request.plain)
        except RecursionError:
            return False  # the other way tells how deep is too deep
        return True

    async def _read_large(self, request: GatewayRequest, api: WireApi) -> None:
        outline, members = await self._in_slices(request, outline_request(request.plain))
        keep = self._settings.max_stored_text
        steps = read_large_request(api, outline, members, keep)
        request.facts = await self._in_slices(request, steps)
        request.members = members

    async def _in_slices(self, request: GatewayRequest, steps: Steps[T]) -> T:
        async with asyncio.timeout(self._settings.http_read_timeout):
            return await self._slices.run(steps, request.actor.id)


def _ask_for_usage(request: GatewayRequest) -> None:
    """Without the usage a stream can't be recorded; `relay` withholds it from the client."""
    facts = request.facts
    if not facts.stream or facts.include_usage:
        return
    if facts.has_options or request.members is not None:
        try:
            request.change(ask_for_usage(Fields(request.plain, request.members)))
        except UnsplittableError:
            return
    else:
        request.change_body(with_usage(request.plain))
    request.asks_for_usage = True


def _too_large(settings: Settings) -> GatewayError:
    return GatewayError(
        REQUEST_TOO_LARGE,
        f"The request body is larger than {settings.max_request_bytes} bytes "
        "(--aibridge-max-request-bytes).",
    )


async def _read(request: GatewayRequest, hold: BodyHold, settings: Settings, clock: Clock) -> bytes:
    length = request.content_length or 0
    if length > settings.max_request_bytes:
        raise _too_large(settings)
    hold.take(length)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    content = request.content
    if content.is_eof() and length:  # it has come with the head, as small ones do
        return _within(content.read_nowait(), 0, settings)
    began = clock.monotonic()
    # Not a list of pieces: those would be scattered over the heap, and there twice once joined.
    body = BytesIO()
    while not content.at_eof():
        try:
            async with asyncio.timeout(settings.http_read_timeout):
                chunk = await content.readany()
        except TimeoutError:
            raise GatewayError(REQUEST_TIMEOUT) from None
        body.write(_within(chunk, body.tell(), settings))
        if not length:
            hold.take(len(chunk))
    request.body_wait = clock.monotonic() - began
    return body.getvalue()


def _within(chunk: bytes, before: int, settings: Settings) -> bytes:
    if before + len(chunk) > settings.max_request_bytes:
        raise _too_large(settings)
    return chunk
