"""Turns what the stages raise into answers."""

from aiohttp import web
from loguru import logger

from aibridged.errors import INTERNAL_ERROR, GatewayError
from aibridged.pipeline.parts import Parts
from aibridged.pipeline.request import GatewayRequest, Handler, Middleware

SERVER = "aibridged"


def answer(error: GatewayError) -> web.Response:
    """The response that says why the gateway refused."""
    return web.Response(
        status=error.kind.status,
        body=error.body(),
        headers={**error.headers(), "Server": SERVER},
    )


def stage(parts: Parts) -> Middleware:
    async def errors(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except GatewayError as error:
            return answer(error)
        except ConnectionError:
            raise  # the client is gone: nobody is left to answer
        except Exception:  # noqa: BLE001 - a bug must not become aiohttp's page
            logger.exception("A request failed inside the gateway")
            return answer(GatewayError(INTERNAL_ERROR))

    return errors
