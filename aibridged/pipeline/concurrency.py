"""Concurrency limit stage. See `core.concurrency`."""

from aiohttp import web

from aibridged.errors import AT_CAPACITY, GatewayError
from aibridged.pipeline.components import Components
from aibridged.transport.request import GatewayRequest, Handler, Middleware


def stage(components: Components) -> Middleware:
    slots = components.slots

    async def concurrency(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        if not slots.take():
            raise GatewayError(AT_CAPACITY, retry_after=1)
        try:
            # The response is written to its end inside, so the slot is held as long as it lasts.
            return await handler(request)
        finally:
            slots.release()

    return concurrency
