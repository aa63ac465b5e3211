"""Tells the breaker how the provider took a request, as early as that is known."""

from collections.abc import Callable

import aiohttp

from aibridged.pipeline.request import GatewayRequest
from aibridged.wire.reader import ResponseReader
from aibridged.wire.response import open_reader

_FAILURES = frozenset({"overloaded_error", "rate_limit_error"})


def judge(
    request: GatewayRequest, upstream: aiohttp.ClientResponse
) -> Callable[[bytes], None] | None:
    """Judge by the response's head where that is enough.

    The 200 of an event stream isn't: its first event may be the refusal. Returned is what reads
    the chunks to find out; it costs nothing once it knows.
    """
    verdict, api = request.verdict, request.route.api
    if verdict is None or api is None:
        return None
    if upstream.status in request.route.provider.failure_statuses:
        verdict.failure()
        return None
    if upstream.status != 200 or upstream.content_type != "text/event-stream":
        verdict.success()
        return None
    reader: ResponseReader | None = open_reader(
        api, upstream.content_type, upstream.headers.get("Content-Encoding")
    )

    def read(chunk: bytes) -> None:
        nonlocal reader
        if reader is None:
            return
        reader.feed(chunk)
        if reader.verdict is None:
            return
        if reader.verdict in _FAILURES:
            verdict.failure()
        else:
            verdict.success()
        reader = None

    return read
