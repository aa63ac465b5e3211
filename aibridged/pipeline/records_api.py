"""Questions about the record, under the gateway's own prefixes: known callers only."""

from aiohttp import web

from aibridged.core.targets import PREFIXES, BadTargetError, split_target
from aibridged.errors import INVALID_REQUEST, GatewayError
from aibridged.pipeline.auth import authenticated
from aibridged.pipeline.parts import Parts
from aibridged.pipeline.request import GatewayRequest, Handler, Middleware


def stage(parts: Parts) -> Middleware:
    api = parts.api
    beginnings = tuple(f"{prefix}/{root}" for prefix in PREFIXES for root in parts.api_roots)

    async def records_api(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        if not request.target.startswith(beginnings):
            return await handler(request)
        try:
            path, query = split_target(request.target)
        except BadTargetError as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        if path.split("/", 2)[1] not in parts.api_roots:
            return await handler(request)
        request.actor = await authenticated(request, parts)
        return await api(request, request.actor, path, query)

    return records_api
