"""In-flight gauge of interceptions. `finish` counts them at their end."""

from aiohttp import web

from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, Middleware, RequestContext


def stage(components: Components) -> Middleware:
    running = components.running

    async def measure(context: RequestContext, handler: Handler) -> web.StreamResponse:
        route = context.route
        if route.api is None:
            return await handler(context)
        provider = route.provider
        key = (provider.name, context.facts.model, provider.prefix + route.endpoint)
        running.began(key)
        try:
            return await handler(context)
        finally:
            running.ended(key)

    return measure
