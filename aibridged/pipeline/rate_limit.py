"""Rate limit stage: requests per second and caller. See `core.rate_limit`."""

from collections.abc import Awaitable

from aiohttp import web

from aibridged.config.options import Settings
from aibridged.core.auth import MalformedCredentialsError, token_key
from aibridged.core.rate_limit import RETRY_AFTER_S
from aibridged.errors import RATE_LIMITED, GatewayError
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext


def stage(components: Components, handler: Handler) -> Handler | None:
    settings, limiter = components.settings, components.rate_limiter
    if limiter is None or components.shared is not None:
        return None

    def rate_limit(context: RequestContext) -> Awaitable[web.StreamResponse]:
        if not limiter.admit(caller(context, settings)):
            raise GatewayError(RATE_LIMITED, retry_after=RETRY_AFTER_S)
        return handler(context)

    return rate_limit


def caller(context: RequestContext, settings: Settings) -> bytes:
    """The key of who sends a request: of the token, which it doesn't reveal, or of the network."""
    try:
        token = context.presented.token
    except MalformedCredentialsError:
        token = None  # the auth stage refuses it; until then it counts against the address
    if token is not None:
        key = context.token_key = token_key(token)
        return key
    return context.address(settings)
