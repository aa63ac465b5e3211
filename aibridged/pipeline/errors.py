"""Turns what the stages raise into answers."""

from aiohttp import web
from loguru import logger

from aibridged.core.auth import is_from_helper
from aibridged.errors import INTERNAL_ERROR, SHOULD_RETRY, UNAUTHENTICATED, GatewayError
from aibridged.pipeline.parts import Parts
from aibridged.pipeline.request import GatewayRequest, Handler, Middleware
from aibridged.relayed import broken_off

SERVER = "aibridged"


def answer(error: GatewayError, request_id: str | None = None) -> web.Response:
    """The response that says why the gateway refused, and by which id the log tells of it."""
    headers = {**error.headers(), "Server": SERVER}
    if request_id is not None:
        headers["X-Aibridge-Request-Id"] = request_id
    return web.Response(status=error.kind.status, body=error.body(), headers=headers)


def stage(parts: Parts) -> Middleware:
    async def errors(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except GatewayError as error:
            return _refuse(request, error)
        except ConnectionError:
            raise  # the client is gone: nobody is left to answer
        except Exception as error:  # noqa: BLE001 - a bug must not become aiohttp's page
            logger.exception("A request failed inside the gateway")
            if request.writer.output_size > 0:
                raise broken_off(request, type(error).__name__) from None
            return _refuse(request, GatewayError(INTERNAL_ERROR))

    return errors


def _refuse(request: GatewayRequest, error: GatewayError) -> web.Response:
    request.refusal = error.kind
    response = answer(error, request.scope.request_id)
    if error.kind is UNAUTHENTICATED and is_from_helper(request.headers):
        # The client asks its helper for another token only before a retry.
        del response.headers[SHOULD_RETRY]
    return response
