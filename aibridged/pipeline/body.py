"""Reads the request body, bounded in size and in time, and what the record needs of it."""

import asyncio

from aiohttp import web

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.errors import INVALID_REQUEST, REQUEST_TIMEOUT, REQUEST_TOO_LARGE, GatewayError
from aibridged.pipeline.parts import Parts
from aibridged.pipeline.request import GatewayRequest, Handler, Middleware
from aibridged.wire.coding import BodyTooLargeError, CodingError, decode_body
from aibridged.wire.facts import Api
from aibridged.wire.request import BadRequestError, read_request
from aibridged.wire.stream_usage import ask_for_usage


def stage(parts: Parts) -> Middleware:
    settings, clock = parts.settings, parts.clock

    def read(request: GatewayRequest, api: Api) -> None:
        plain = request.body
        try:
            if coding := request.headers.get("Content-Encoding"):
                plain = decode_body(plain, coding, settings.max_request_bytes)
            request.facts = facts = read_request(api, plain)
        except BodyTooLargeError:
            raise _too_large(settings) from None
        except (CodingError, BadRequestError) as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        if api is Api.CHAT_COMPLETIONS and facts.stream and not facts.include_usage:
            _ask_for_usage(request, plain)

    async def body(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        request.body = await _read(request, settings, clock) if request.body_exists else b""
        if (api := request.route.api) is not None:
            read(request, api)
        return await handler(request)

    return body


def _ask_for_usage(request: GatewayRequest, plain: bytes) -> None:
    """Without the usage a stream can't be recorded; `relay` withholds it from the client."""
    asked = ask_for_usage(plain)
    if asked is not plain:
        request.recoded = plain is not request.body
        request.body = asked
        request.asks_for_usage = True


def _too_large(settings: Settings) -> GatewayError:
    return GatewayError(
        REQUEST_TOO_LARGE,
        f"The request body is larger than {settings.max_request_bytes} bytes "
        "(--aibridge-max-request-bytes).",
    )


async def _read(request: GatewayRequest, settings: Settings, clock: Clock) -> bytes:
    if (request.content_length or 0) > settings.max_request_bytes:
        raise _too_large(settings)
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    content = request.content
    if content.is_eof():  # it has come with the head, as small ones do
        return _within(content.read_nowait(), 0, settings)
    began = clock.monotonic()
    chunks: list[bytes] = []
    size = 0
    while not content.at_eof():
        try:
            async with asyncio.timeout(settings.http_read_timeout):
                chunk = await content.readany()
        except TimeoutError:
            raise GatewayError(REQUEST_TIMEOUT) from None
        chunks.append(_within(chunk, size, settings))
        size += len(chunk)
    request.body_wait = clock.monotonic() - began
    return b"".join(chunks)


def _within(chunk: bytes, before: int, settings: Settings) -> bytes:
    if before + len(chunk) > settings.max_request_bytes:
        raise _too_large(settings)
    return chunk
