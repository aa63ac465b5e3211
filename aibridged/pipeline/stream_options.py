"""Asks for the usage of Chat Completions streams, and no longer where a provider refuses that.

Servers that refuse unknown fields answer 400 or 422 to `stream_options`, which the client may never
have sent. Nothing has run there yet, so the request is sent again as the client meant it, and for a
day the model's streams aren't asked for their usage: the record says that it is unknown.
"""

import asyncio
from typing import TYPE_CHECKING

from loguru import logger

from aibridged.clock import Clock
from aibridged.core.breaker import MAX_MODEL_NAME
from aibridged.core.expiring import Expiring
from aibridged.transport.upstream_response import UpstreamResponse
from aibridged.wire.chat_completions.stream_usage import Unasking, ask_for_usage, with_usage
from aibridged.wire.coding import StreamDecoder, UnsupportedCodingError
from aibridged.wire.splice import Fields, UnsplittableError

if TYPE_CHECKING:
    from aibridged.pipeline.context import RequestContext

_DAY_S = 24 * 60 * 60.0
_REMEMBERED = 1024
_BAD_REQUEST, _UNPROCESSABLE = 400, 422
# How much of a refusal is read for the field's name, and how long that may take.
_ERROR_BYTES = 64 * 1024
_ERROR_S = 5.0
_NAMES = (b"stream_options", b"include_usage")


class UsageRefusals:
    """Which providers refuse to be asked for the usage of which models' streams.

    Behind one provider there may be several servers, which the model tells apart.
    """

    def __init__(self, clock: Clock) -> None:
        self._refused: Expiring[bool] = Expiring(_REMEMBERED, clock)

    def remember(self, context: "RequestContext") -> None:
        """The provider refused it for the request's model."""
        key = _key(context)
        if self._refused.get(key) is None:
            logger.info(
                "Provider {} refuses stream_options for {}: the usage of its streams is unknown",
                context.route.provider.name,
                context.facts.model[:MAX_MODEL_NAME],
            )
        self._refused.put(key, True, _DAY_S)

    def knows(self, context: "RequestContext") -> bool:
        """Whether it would be refused for the request's model."""
        return self._refused.get(_key(context)) is not None


class UsageAsk:
    """That a request asks for usage on the gateway's behalf. `given` is the value of the client's
    own `stream_options`, None where there was none; `refusals` is None where it always asks."""

    def __init__(self, refusals: UsageRefusals | None, given: bytes | None) -> None:
        self._refusals = refusals
        self._given = given

    async def is_refused(self, response: UpstreamResponse) -> bool:
        """Whether a response refuses to be asked, as far as that can be told before the request is
        sent again: it may, where its coding can't be read. `response` keeps its body."""
        if self._refusals is None:
            return False
        if response.status not in (_BAD_REQUEST, _UNPROCESSABLE):
            self._refusals = None  # nor will later turns be refused
            return False
        if response.status == _UNPROCESSABLE:
            return True
        try:
            async with asyncio.timeout(_ERROR_S):
                body = await response.peek(_ERROR_BYTES)
        except TimeoutError:
            return False
        plain = _decoded(body, response.content_coding)
        return plain is None or any(name in plain for name in _NAMES)

    def remember(self, context: "RequestContext") -> None:
        """It was refused, and the request has been taken without it."""
        if self._refusals is not None:
            self._refusals.remember(context)

    def unasking(self, context: "RequestContext") -> Unasking:
        """What makes the bodies of the request what the client meant."""
        return Unasking.of(Fields(context.plain, context.members), self._given)


def ask_on_behalf(context: "RequestContext", refusals: UsageRefusals) -> None:
    """Ask for a stream's usage, which the record needs; `relay` withholds it from the client."""
    facts, mode = context.facts, context.route.provider.stream_options
    if not facts.stream or facts.include_usage or mode == "never":
        return
    if mode == "auto" and refusals.knows(context):
        return
    given = None
    if facts.has_options or context.members is not None:
        try:
            fields = Fields(context.plain, context.members)
            if (span := fields.spans.get("stream_options")) is not None:
                given = fields.source[span.start : span.end]
            context.change(ask_for_usage(fields))
        except UnsplittableError:
            return
    else:
        context.change_body(with_usage(context.plain))
    context.usage_ask = UsageAsk(refusals if mode == "auto" else None, given)


def _decoded(body: bytes, coding: str | None) -> bytes | None:
    """The beginning of a body without its coding; None where that isn't known."""
    if coding is None:
        return body
    try:
        decoder = StreamDecoder(coding, _ERROR_BYTES)
    except UnsupportedCodingError:
        return None
    return b"".join(decoder.feed(body))


def _key(context: "RequestContext") -> bytes:
    provider = context.route.provider
    words = (provider.name, provider.base_url, context.facts.model[:MAX_MODEL_NAME])
    return "\n".join(words).encode(errors="surrogatepass")
