"""Rate limit stage: requests per second and caller. See `core.rate_limit`."""

from hashlib import blake2b

from aiohttp import web

from aibridged.core.auth import MalformedCredentialsError
from aibridged.core.rate_limit import RETRY_AFTER_S
from aibridged.errors import RATE_LIMITED, GatewayError
from aibridged.pipeline.components import Components
from aibridged.transport.request import GatewayRequest, Handler, Middleware

_KEY_BYTES = 16


def stage(components: Components) -> Middleware:
    settings, limiter = components.settings, components.rate_limiter

    def caller(request: GatewayRequest) -> bytes:
        try:
            token = request.presented.token
        except MalformedCredentialsError:
            token = None  # the auth stage refuses it; until then it counts against the address
        if token is not None:
            return blake2b(token.encode(), digest_size=_KEY_BYTES).digest()
        return request.address(settings)

    async def rate_limit(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        if limiter is not None and not limiter.admit(caller(request)):
            raise GatewayError(RATE_LIMITED, retry_after=RETRY_AFTER_S)
        return await handler(request)

    return rate_limit
