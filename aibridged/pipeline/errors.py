"""Error handling stage: turns exceptions into error responses."""

import asyncio

from aiohttp import web
from loguru import logger

from aibridged.core.auth import is_from_helper
from aibridged.errors import (
    INTERNAL_ERROR,
    SHOULD_RETRY,
    TOKEN_EXPIRED,
    TOKEN_REVOKED,
    UNAUTHENTICATED,
    GatewayError,
)
from aibridged.identity.throttle import TokenRefusedError
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.pipeline.ending import answer
from aibridged.transport.abort import broken_off
from aibridged.transport.refusal import refusal

# Another token would do.
_TOKENS_FAULTS = (UNAUTHENTICATED, TOKEN_EXPIRED, TOKEN_REVOKED)


def stage(components: Components, handler: Handler) -> Handler:
    async def errors(context: RequestContext) -> web.StreamResponse:
        try:
            return await handler(context)
        except GatewayError as error:
            return _refuse(context, error)
        except asyncio.CancelledError:
            try:
                return answer(context, components.clock)
            except GatewayError as error:
                return _refuse(context, error)
        except ConnectionError:
            raise  # the client has disconnected
        except Exception:  # noqa: BLE001 - a bug must not become aiohttp's page
            logger.exception("A request failed inside the gateway")
            if context.request.writer.output_size > 0:
                raise broken_off(context.request, "the gateway failed") from None
            return _refuse(context, GatewayError(INTERNAL_ERROR))

    return errors


def _refuse(context: RequestContext, error: GatewayError) -> web.Response:
    context.refusal = error.kind
    if isinstance(error, TokenRefusedError):
        context.rejected = error.actor
    response = refusal(error, context.scope.request_id)
    if error.kind in _TOKENS_FAULTS and is_from_helper(context.request.headers):
        # The client asks its helper for another token only before a retry.
        del response.headers[SHOULD_RETRY]
    return response
