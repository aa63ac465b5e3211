"""Request bodies: reading from a client, with 100-continue and a deadline, and sending upstream."""

import asyncio
from collections.abc import AsyncGenerator

import msgspec
from aiohttp import web

from aibridged.errors import (
    INVALID_REQUEST,
    REQUEST_TIMEOUT,
    REQUEST_TOO_LARGE,
    GatewayError,
)


class StreamedBody(msgspec.Struct, frozen=True):
    """A body that is sent as it arrives; `length` is None where it is chunked."""

    pieces: AsyncGenerator[bytes, None]
    length: int | None


async def arriving(request: web.BaseRequest, read_timeout: float) -> AsyncGenerator[bytes, None]:
    """The request's body as it arrives; sends 100 Continue if the client waits for it.

    Raises:
        GatewayError: nothing more came within `read_timeout` seconds, or what came isn't HTTP.
    """
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    content = request.content
    while not content.at_eof():
        try:
            async with asyncio.timeout(read_timeout):
                piece = await content.readany()
        except TimeoutError:
            raise GatewayError(REQUEST_TIMEOUT) from None
        except web.RequestPayloadError:
            raise GatewayError(INVALID_REQUEST, "The body is not well-formed HTTP.") from None
        yield piece
        # The next one may be at hand already, of thousands of chunks: others come between.
        await asyncio.sleep(0)


async def small_body(
    request: web.BaseRequest, most: int, seconds: float, *, name: str = "body"
) -> bytes:
    """The whole of a body that is for the gateway itself; `name` is what errors call it.

    Raises:
        GatewayError: it has more than `most` bytes, takes more than `seconds`, or isn't HTTP.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for piece in arriving(request, seconds):
                body += piece
                if len(body) > most:
                    raise GatewayError(
                        REQUEST_TOO_LARGE, f"The {name} is larger than {most} bytes."
                    )
    except TimeoutError:
        raise GatewayError(REQUEST_TIMEOUT) from None
    return bytes(body)
