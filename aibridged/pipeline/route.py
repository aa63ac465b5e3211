"""Routing stage: from the raw request target to the provider and route."""

from aiohttp import web
from aiohttp.http import HttpVersion10, HttpVersion11

from aibridged.core.targets import BadTargetError, split_target
from aibridged.errors import (
    INVALID_REQUEST,
    ROUTE_NOT_SUPPORTED,
    UPGRADE_NOT_SUPPORTED,
    GatewayError,
)
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, Middleware, RequestContext
from aibridged.transport.refusal import SERVER

_VERSIONS = frozenset({HttpVersion10, HttpVersion11})
_READ = frozenset({"GET", "HEAD"})


def stage(components: Components) -> Middleware:
    providers = components.providers

    async def route(context: RequestContext, handler: Handler) -> web.StreamResponse:
        if context.request.version not in _VERSIONS:
            raise GatewayError(INVALID_REQUEST, "The gateway only supports HTTP/1.1.")
        try:
            path, context.raw_query = split_target(context.request.target)
        except BadTargetError as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        _, name, *below = path.split("/", 2)
        provider = providers.get(name)
        if provider is None:
            raise GatewayError(ROUTE_NOT_SUPPORTED)
        rest = f"/{below[0]}" if below else "/"
        if rest == "/" and context.request.method in _READ:
            return _hello(provider.name)
        if context.request.headers.get("Upgrade", "").lower() == "websocket":
            raise GatewayError(UPGRADE_NOT_SUPPORTED)
        found = provider.route(context.request.method, rest)
        if found is None:
            raise GatewayError(ROUTE_NOT_SUPPORTED)
        context.route = found
        return await handler(context)

    return route


def _hello(name: str) -> web.Response:
    """The response to Claude Code's probe of the base URL."""
    return web.Response(text=f"aibridged: provider {name}\n", headers={"Server": SERVER})
