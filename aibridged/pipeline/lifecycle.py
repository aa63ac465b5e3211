"""Health probes, admission control, and graceful shutdown (draining).

It takes nothing new, unless another process takes its place: then no client may notice.
"""

from aiohttp import web

from aibridged.errors import AT_CAPACITY, SHUTTING_DOWN, GatewayError
from aibridged.pipeline.components import Components
from aibridged.transport.refusal import SERVER
from aibridged.transport.request import GatewayRequest, Handler, Middleware

_READ = frozenset({"GET", "HEAD"})


def stage(components: Components) -> Middleware:
    in_flight, requests = components.in_flight, components.requests

    async def lifecycle(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        target = request.target
        if request.method in _READ and target in ("/healthz", "/readyz"):
            request.is_probe = True
            if target == "/readyz" and in_flight.draining:
                return _line("shutting down", 503)
            return _line("ok", 200)
        if in_flight.refusing:
            raise GatewayError(SHUTTING_DOWN, retry_after=1)
        if request.is_surplus:
            raise GatewayError(AT_CAPACITY, retry_after=1)
        requests.enter()
        try:
            return await handler(request)
        finally:
            requests.leave()

    return lifecycle


def _line(text: str, status: int) -> web.Response:
    return web.Response(text=f"{text}\n", status=status, headers={"Server": SERVER})
