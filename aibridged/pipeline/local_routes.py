"""Local routes: what the gateway serves itself, below its own prefixes.

Queries of the record need authentication. The certificate of the AI Proxy's CA is public: it can
only be trusted.
"""

from aiohttp import web

from aibridged.core.targets import (
    CERTIFICATE_PATH,
    CERTIFICATE_TYPE,
    PREFIXES,
    BadTargetError,
    split_target,
)
from aibridged.errors import INVALID_REQUEST, GatewayError
from aibridged.pipeline.auth import authenticated
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, Middleware, RequestContext

_PROXY = CERTIFICATE_PATH.split("/")[1]
_READ = frozenset({"GET", "HEAD"})


def stage(components: Components) -> Middleware:
    api, certificate = components.api, components.ca_certificate
    roots = components.api_roots if certificate is None else {*components.api_roots, _PROXY}
    beginnings = tuple(f"{prefix}/{root}" for prefix in PREFIXES for root in roots)

    async def records_api(context: RequestContext, handler: Handler) -> web.StreamResponse:
        if not context.request.target.startswith(beginnings):
            return await handler(context)
        try:
            path, query = split_target(context.request.target)
        except BadTargetError as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        if path == CERTIFICATE_PATH and certificate is not None and context.request.method in _READ:
            return web.Response(body=certificate, headers={"Content-Type": CERTIFICATE_TYPE})
        if path.split("/", 2)[1] not in components.api_roots:
            return await handler(context)
        context.queries_records = True
        context.actor = await authenticated(context, components)
        return await api(context.request, context.actor, path, query)

    return records_api
