"""A refusal (`GatewayError`) as an HTTP response."""

from aiohttp import web

from aibridged.errors import GatewayError

SERVER = "aibridged"


def refusal(error: GatewayError, request_id: str | None = None) -> web.Response:
    """The error response of a refusal, with the request id that is in the log."""
    headers = {**error.headers(), "Server": SERVER}
    if request_id is not None:
        headers["X-Aibridge-Request-Id"] = request_id
    return web.Response(status=error.kind.status, body=error.body(), headers=headers)
