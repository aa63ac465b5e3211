"""In-flight gauge of interceptions. `finish` counts them at their end."""

from aiohttp import web

from aibridged.pipeline.components import Components
from aibridged.transport.request import GatewayRequest, Handler, Middleware


def stage(components: Components) -> Middleware | None:
    metrics = components.metrics
    if metrics is None:
        return None

    async def measure(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        route = request.route
        if route.api is None:
            return await handler(request)
        provider = route.provider
        key = (provider.name, request.facts.model, provider.prefix + route.endpoint)
        metrics.interception_began(*key)
        try:
            return await handler(request)
        finally:
            metrics.interception_ended(*key)

    return measure
