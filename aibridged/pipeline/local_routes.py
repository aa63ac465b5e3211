"""Local routes: what the gateway serves itself, under its own prefixes.

Questions about the record are for known callers only. The certificate of the AI Proxy's CA is for
everybody: whoever has it can do nothing with it but trust it.
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
from aibridged.transport.request import GatewayRequest, Handler, Middleware

_PROXY = CERTIFICATE_PATH.split("/")[1]
_READ = frozenset({"GET", "HEAD"})


def stage(components: Components) -> Middleware:
    api, certificate = components.api, components.ca_certificate
    roots = components.api_roots if certificate is None else {*components.api_roots, _PROXY}
    beginnings = tuple(f"{prefix}/{root}" for prefix in PREFIXES for root in roots)

    async def records_api(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        if not request.target.startswith(beginnings):
            return await handler(request)
        try:
            path, query = split_target(request.target)
        except BadTargetError as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        if path == CERTIFICATE_PATH and certificate is not None and request.method in _READ:
            return web.Response(body=certificate, headers={"Content-Type": CERTIFICATE_TYPE})
        if path.split("/", 2)[1] not in components.api_roots:
            return await handler(request)
        request.actor = await authenticated(request, components)
        return await api(request, request.actor, path, query)

    return records_api
