"""Health probes, admission control, and graceful shutdown (draining).

While draining, a request on an open connection is served, and is its last one.
"""

from collections.abc import Awaitable

from aiohttp import web

from aibridged.errors import AT_CAPACITY, GatewayError
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.transport.refusal import SERVER

_READ = frozenset({"GET", "HEAD"})
_PROBES = frozenset({"/healthz", "/readyz"})


def stage(components: Components, handler: Handler) -> Handler:
    in_flight, requests = components.in_flight, components.requests
    recorder = components.recorder_stats

    def lifecycle(context: RequestContext) -> Awaitable[web.StreamResponse]:
        request = context.request
        target = request.target
        if target in _PROBES and request.method in _READ:
            context.is_probe = True
            return health(target)
        if request.is_surplus:
            raise GatewayError(AT_CAPACITY, retry_after=1)
        requests.enter()
        context.at_end(requests.leave)
        return handler(context)

    async def health(target: str) -> web.Response:
        if target == "/readyz" and in_flight.draining:
            return _line("shutting down", 503)
        if target == "/readyz" and recorder.refuses:
            return _line("requests can't be recorded", 503)
        return _line("ok", 200)

    return lifecycle


def _line(text: str, status: int) -> web.Response:
    return web.Response(text=f"{text}\n", status=status, headers={"Server": SERVER})
