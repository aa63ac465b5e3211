"""Concurrency limit stage. See `core.concurrency`."""

from aiohttp import web

from aibridged.errors import AT_CAPACITY, GatewayError
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, Middleware, RequestContext


def stage(components: Components) -> Middleware:
    slots = components.slots

    async def concurrency(context: RequestContext, handler: Handler) -> web.StreamResponse:
        if not slots.take():
            raise GatewayError(AT_CAPACITY, retry_after=1)
        try:
            # The response is written to its end inside, so the slot is held that long.
            return await handler(context)
        finally:
            slots.release()

    return concurrency
