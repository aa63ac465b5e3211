"""Concurrency limit stage. See `core.concurrency`."""

from collections.abc import Awaitable

from aiohttp import web

from aibridged.errors import AT_CAPACITY, GatewayError
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext


def stage(components: Components, handler: Handler) -> Handler | None:
    slots = components.slots
    if components.shared is not None:
        return None

    def concurrency(context: RequestContext) -> Awaitable[web.StreamResponse]:
        if not slots.take():
            raise GatewayError(AT_CAPACITY, retry_after=1)
        context.at_end(slots.release)  # when the response has been written
        return handler(context)

    return concurrency
