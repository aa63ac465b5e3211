"""Body stage: reads and parses the request body, bounded in size, memory and time."""

import asyncio
from io import BytesIO
from typing import TypeVar

import msgspec
from aiohttp import web
from multidict import istr

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.core.byte_budget import Hold
from aibridged.core.policies import Policies
from aibridged.errors import (
    AT_CAPACITY,
    INVALID_REQUEST,
    REQUEST_TOO_LARGE,
    UNSUPPORTED_CODING,
    GatewayError,
)
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.pipeline.stream_options import ask_on_behalf
from aibridged.providers.base import AboutModels
from aibridged.transport.body import arriving
from aibridged.transport.time_slices import TimeSlices
from aibridged.wire.coding import (
    BodyTooLargeError,
    CodingError,
    UnsupportedCodingError,
    decode_body,
)
from aibridged.wire.facts import WireApi
from aibridged.wire.large_request import is_small, outline_request, read_large_request
from aibridged.wire.outline import Steps, TooComplexError
from aibridged.wire.request import BadRequestError, read_request

T = TypeVar("T")

# Most bodies that don't come with their head are here so many turns of the event loop later.
_TURNS = 3
_CODING = istr("Content-Encoding")

# Not where the path names the model: that isn't OpenAI's API, and knows no such option.
_USAGE_ON_DEMAND = frozenset({WireApi.CHAT_COMPLETIONS, WireApi.COMPLETIONS})


def stage(components: Components, handler: Handler) -> Handler:
    settings, clock, budget = components.settings, components.clock, components.body_budget
    policies = components.policies
    reader = _FactReader(settings, components.slices)

    async def body(context: RequestContext) -> web.StreamResponse:
        request, route = context.request, context.route
        hold = context.hold = Hold(budget, context.actor.id)
        context.at_end(hold.release)
        if not request.body_exists:
            context.body = b""
        elif (arrived := _arrived(context, hold, settings)) is not None:
            context.body = arrived
        else:
            context.body = await _read(context, hold, settings, clock)
        api = route.api or route.refers
        if api is None and policies is not None:
            api = _read_for_its_model(context, policies)
        if api is not None:
            context.plain = context.body
            if _CODING in request.headers:
                await reader.decode(context, hold)
            if not reader.read_at_once(context, api):
                await reader.read_large(context, api)
            if api in _USAGE_ON_DEMAND and route.model is None:
                ask_on_behalf(context, components.usage_refusals)
        return await handler(context)

    return body


def _read_for_its_model(context: RequestContext, policies: Policies) -> WireApi | None:
    """As what a body is read that needn't be but for a policy, which doesn't grant all models."""
    if context.route.about_models is not AboutModels.BODY:
        return None
    policy = policies.of(context.actor.groups)
    return WireApi.MESSAGES if policy is not None and policy.restricts_models else None


class _FactReader:
    """Reads the facts of small bodies at once, and of large or coded ones in time slices.

    Each method raises GatewayError: the body isn't a request of the API, or is over a bound.
    """

    def __init__(self, settings: Settings, slices: TimeSlices) -> None:
        self._settings = settings
        self._slices = slices

    async def decode(self, context: RequestContext, hold: Hold) -> None:
        """Undo the content coding of the body, in `plain`."""
        steps = decode_body(
            context.body,
            context.request.headers[_CODING],
            self._settings.max_request_bytes,
        )
        try:
            context.plain = await self._in_slices(context, steps)
        except _FAULTS as error:
            raise _refusal(error) from None
        hold.take(len(context.plain))

    def read_at_once(self, context: RequestContext, api: WireApi) -> bool:
        """Read `facts` if that takes no time, as of nearly all bodies."""
        plain = context.plain
        if not is_small(plain):
            return False
        try:
            context.facts = read_request(api, plain, context.route.model)
        except BadRequestError as error:
            raise _refusal(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False  # the other path tells what is no JSON, and reports excessive depth
        return True

    async def read_large(self, context: RequestContext, api: WireApi) -> None:
        """Read `facts` and `members` of what isn't small, or can't be read at once."""
        try:
            await self._read_large(context, api)
        except _FAULTS as error:
            raise _refusal(error) from None

    async def _read_large(self, context: RequestContext, api: WireApi) -> None:
        outline, members = await self._in_slices(context, outline_request(context.plain))
        keep = self._settings.max_stored_text
        steps = read_large_request(api, outline, members, keep, context.route.model)
        context.facts = await self._in_slices(context, steps)
        context.members = members

    async def _in_slices(self, context: RequestContext, steps: Steps[T]) -> T:
        async with asyncio.timeout(self._settings.http_read_timeout):
            return await self._slices.run(steps, context.actor.id)


_FAULTS = (BodyTooLargeError, TooComplexError, CodingError, BadRequestError, TimeoutError)


def _refusal(error: Exception) -> GatewayError:
    if isinstance(error, TimeoutError):
        return GatewayError(AT_CAPACITY, retry_after=1)
    if isinstance(error, BodyTooLargeError | TooComplexError):
        return GatewayError(REQUEST_TOO_LARGE, str(error))
    is_unsupported = isinstance(error, UnsupportedCodingError)
    return GatewayError(UNSUPPORTED_CODING if is_unsupported else INVALID_REQUEST, str(error))


def _too_large(settings: Settings) -> GatewayError:
    return GatewayError(
        REQUEST_TOO_LARGE,
        f"The request body is larger than {settings.max_request_bytes} bytes "
        "(--aibridge-max-request-bytes).",
    )


def _arrived(context: RequestContext, hold: Hold, settings: Settings) -> bytes | None:
    """The body if it has come with the head, as small ones do; its bytes are held from now on."""
    request = context.request
    length, content = request.content_length or 0, request.content
    if length > settings.max_request_bytes:
        raise _too_large(settings)
    hold.take(length)
    return _within(content.read_nowait(), 0, settings) if length and content.is_eof() else None


async def _read(context: RequestContext, hold: Hold, settings: Settings, clock: Clock) -> bytes:
    length, content = context.request.content_length or 0, context.request.content
    began = clock.monotonic()
    for _ in range(_TURNS if length else 0):  # each of which costs less than a deadline
        await asyncio.sleep(0)
        if content.is_eof():
            context.body_wait = clock.monotonic() - began
            return _within(content.read_nowait(), 0, settings)
    # Not a list of chunks: these would fragment the heap, and take twice the memory when joined.
    body = BytesIO()
    async for chunk in arriving(context.request, settings.http_read_timeout):
        body.write(_within(chunk, body.tell(), settings))
        if not length:
            hold.take(len(chunk))
    context.body_wait = clock.monotonic() - began
    return body.getvalue()


def _within(chunk: bytes, before: int, settings: Settings) -> bytes:
    if before + len(chunk) > settings.max_request_bytes:
        raise _too_large(settings)
    return chunk
