"""Changes to a server's messages, in JSON or in a stream of events, on their way to the SDK."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import httpx2
import msgspec
from httpx2 import EventSource, ServerSentEvent

JSON = "application/json"
_SMALL = 8192  # bytes of a message that is changed at once: a thread would cost more

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def media_type(headers: Mapping[str, str]) -> str:
    """What a response's body is, without parameters."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def changed(response: httpx2.Response, change: Callable[[bytes], bytes]) -> httpx2.Response:
    """The response with each of its messages as `change` makes it, in a thread for longer ones."""
    kind = media_type(response.headers)
    if kind == JSON:
        content = _body(response, change)
    elif kind == "text/event-stream":
        content = _events(response, change)
    else:
        return response
    return httpx2.Response(
        response.status_code,
        headers=response.headers,
        stream=_Changed(response, content),
        extensions=response.extensions,
        request=response.request,
    )


async def _body(
    response: httpx2.Response, change: Callable[[bytes], bytes]
) -> AsyncIterator[bytes]:
    yield await _made(await response.aread(), change)


async def _events(
    response: httpx2.Response, change: Callable[[bytes], bytes]
) -> AsyncIterator[bytes]:
    # The stream itself is bounded.
    async for event in EventSource(response, max_event_size=None):
        data = event.data
        if data:
            data = (await _made(data.encode(), change)).decode()
        yield _encoded(event, data)


async def _made(message: bytes, change: Callable[[bytes], bytes]) -> bytes:
    if len(message) <= _SMALL:
        return change(message)
    return await asyncio.to_thread(change, message)


class _Changed(httpx2.AsyncByteStream):
    def __init__(self, response: httpx2.Response, content: AsyncIterator[bytes]) -> None:
        self._response = response
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._content

    async def aclose(self) -> None:
        await self._response.aclose()


def _encoded(event: ServerSentEvent, data: str) -> bytes:
    lines = [f"event: {event.event}", *(f"data: {line}" for line in data.split("\n"))]
    if event.id:
        lines.append(f"id: {event.id}")
    if event.retry is not None:
        lines.append(f"retry: {event.retry}")
    return ("\n".join(lines) + "\n\n").encode()


def fields_of(source: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """The fields of an object; none of anything else. Raises ValueError, RecursionError."""
    try:
        return _decode_fields(source)
    except msgspec.ValidationError:
        return {}
    except msgspec.DecodeError:
        found = json.loads(bytes(source))  # NaN, for one, and half an emoji
    return {name: _raw(each) for name, each in found.items()} if isinstance(found, dict) else {}


def items_of(source: msgspec.Raw, most: int) -> list[bytes] | None:
    """The first elements of a list; None for anything else. Raises ValueError, RecursionError."""
    try:
        return [bytes(each) for each in _decode_list(source)[:most]]
    except msgspec.ValidationError:
        return None
    except msgspec.DecodeError:
        found = json.loads(bytes(source))
    return [bytes(_raw(each)) for each in found[:most]] if isinstance(found, list) else None


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(value).encode())
