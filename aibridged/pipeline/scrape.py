"""What Prometheus is answered, on its own listener."""

import asyncio
from collections.abc import Callable, Sequence

from aiohttp import web

from aibridged.observe.exposition import render
from aibridged.observe.series import Reading
from aibridged.pipeline.errors import SERVER
from aibridged.pipeline.request import GatewayRequest, Handler

_PATHS = frozenset({"/metrics", "/"})  # `coder server` answers to both


def handler(read: Callable[[], Sequence[Reading]]) -> Handler:
    """The handler of the listener; `read` is called once a scrape."""
    one_at_a_time = asyncio.Lock()

    async def scrape(request: GatewayRequest) -> web.StreamResponse:
        if request.target.partition("?")[0] not in _PATHS:
            return _line("The metrics are at /metrics.", 404)
        if request.method not in ("GET", "HEAD"):
            return _line("Metrics are only read.", 405, Allow="GET, HEAD")
        headers = request.headers
        accepted = (", ".join(headers.getall(name, ())) for name in ("Accept", "Accept-Encoding"))
        async with one_at_a_time:
            # Copies are rendered, and away from the loop: of 10 000 series it takes 0.1 s.
            body, head = await asyncio.to_thread(render, read(), *accepted)
        return web.Response(body=body, headers={**head, "Server": SERVER})

    return scrape


def _line(text: str, status: int, **headers: str) -> web.Response:
    return web.Response(text=f"{text}\n", status=status, headers={**headers, "Server": SERVER})
