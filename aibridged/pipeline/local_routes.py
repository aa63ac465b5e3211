"""Local routes: what the gateway serves itself.

Queries of the record, below the gateway's own prefixes, need authentication. The certificate of the
AI Proxy's CA is public: it can only be trusted. All other local routes are exact paths, or all
paths below one that ends in a slash: `components.local_routes` lists them. No provider has these
names, and of the paths without a provider's name they come before the provider's own.
"""

from collections.abc import Awaitable

from aiohttp import web

from aibridged.core.targets import (
    CERTIFICATE_PATH,
    CERTIFICATE_TYPE,
    PREFIXES,
    BadTargetError,
    split_target,
)
from aibridged.errors import INVALID_REQUEST, METHOD_NOT_ALLOWED, REQUEST_ID, GatewayError
from aibridged.identity.base import Actor
from aibridged.pipeline.auth import authenticated
from aibridged.pipeline.components import Components, LocalRoute
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.transport.refusal import SERVER

_PROXY = CERTIFICATE_PATH.split("/")[1]
_READ = frozenset({"GET", "HEAD"})


def stage(components: Components, handler: Handler) -> Handler:
    api, certificate = components.api, components.ca_certificate
    roots = components.api_roots if certificate is None else {*components.api_roots, _PROXY}
    exact = components.local_routes
    trees = tuple(path for path in exact if path.endswith("/"))
    beginnings = (*(f"{prefix}/{root}" for prefix in PREFIXES for root in roots), *exact)

    def local_routes(context: RequestContext) -> Awaitable[web.StreamResponse]:
        if not context.request.target.startswith(beginnings):
            return handler(context)
        return served(context)

    async def served(context: RequestContext) -> web.StreamResponse:
        try:
            path, query = split_target(context.request.target)
        except BadTargetError as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        response = await answered(context, path, query)
        if not response.prepared:
            # Rather than the libraries with their versions.
            response.headers.setdefault("Server", SERVER)
        return response

    async def answered(context: RequestContext, path: str, query: str) -> web.StreamResponse:
        if (found := exact.get(path) or below(path)) is not None:
            return await _local(context, components, found, query)
        if path == CERTIFICATE_PATH and certificate is not None and context.request.method in _READ:
            return web.Response(body=certificate, headers={"Content-Type": CERTIFICATE_TYPE})
        if path.split("/", 2)[1] not in components.api_roots:
            return await handler(context)
        context.queries_records = True
        context.actor = await authenticated(context, components)

        def again() -> Awaitable[Actor]:
            return authenticated(context, components)

        return await api(context.request, context.actor, path, query, again)

    def below(path: str) -> LocalRoute | None:
        return next((exact[tree] for tree in trees if path.startswith(tree)), None)

    return local_routes


async def _local(
    context: RequestContext, components: Components, route: LocalRoute, query: str
) -> web.StreamResponse:
    if not route.says_request_id:
        return await _answered(context, components, route, query)
    try:
        response = await _answered(context, components, route, query)
    except GatewayError as error:
        error.request_id = context.scope.request_id
        raise
    response.headers[REQUEST_ID] = context.scope.request_id
    return response


async def _answered(
    context: RequestContext, components: Components, route: LocalRoute, query: str
) -> web.StreamResponse:
    request = context.request
    if request.method not in route.methods:
        allowed = ", ".join(sorted(route.methods))
        raise GatewayError(METHOD_NOT_ALLOWED, f"Use {allowed} for this path.", allow=allowed)
    actor = None
    if not route.is_public:
        actor = context.actor = await authenticated(context, components)
    return await route.serve(request, actor, query, context.address(components.settings))
