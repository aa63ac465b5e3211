"""The Prometheus metrics endpoint, on its own listener."""

import asyncio

from aiohttp import web

from aibridged.core.origins import is_loopback_name
from aibridged.daemon.group_metrics import GroupMetrics
from aibridged.daemon.workers.channel import ChannelError
from aibridged.observe.exposition import render
from aibridged.observe.metric import Names
from aibridged.transport.refusal import SERVER
from aibridged.transport.request import GatewayRequest, Handler

_LOCAL_ONLY = (
    "The metrics endpoint only accepts loopback host names: scrape localhost or "
    "127.0.0.1, or change --prometheus-address."
)
_PATHS = frozenset({"/metrics", "/"})  # as in `coder server`


def handler(metrics: GroupMetrics, names: Names, *, local_only: bool) -> Handler:
    """The handler of the listener; `metrics` are read once per scrape.

    `names` are those of Coder's metrics. With `local_only` the Host must be a loopback name, so
    that no web page reads the metrics by DNS rebinding.
    """
    one_at_a_time = asyncio.Lock()

    async def scrape(request: GatewayRequest) -> web.StreamResponse:
        if request.target.partition("?")[0] not in _PATHS:
            return _line("Metrics are at /metrics.", 404)
        if request.method not in ("GET", "HEAD"):
            return _line("The metrics endpoint is read-only.", 405, Allow="GET, HEAD")
        headers = request.headers
        if local_only and not all(map(is_loopback_name, headers.getall("Host", ()))):
            return _line(_LOCAL_ONLY, 403)
        accepted = (", ".join(headers.getall(name, ())) for name in ("Accept", "Accept-Encoding"))
        async with one_at_a_time:
            try:
                readings = await metrics.read()
            except ChannelError as error:
                return _line(f"The metrics of all workers can't be read: {error}", 503)
            # A copy is rendered, in a thread: for 10 000 series it takes 0.1 s.
            body, head = await asyncio.to_thread(
                render, readings, names, *accepted, with_process=metrics.is_whole
            )
        return web.Response(body=body, headers={**head, "Server": SERVER})

    return scrape


def _line(text: str, status: int, **headers: str) -> web.Response:
    return web.Response(text=f"{text}\n", status=status, headers={**headers, "Server": SERVER})
