"""Cross-origin protection stage, without authentication. See `core.origins`."""

from aiohttp import web

from aibridged.core.origins import is_loopback_name, is_of_another_origin
from aibridged.errors import ORIGIN_REFUSED, GatewayError
from aibridged.pipeline.components import Components
from aibridged.transport.request import GatewayRequest, Handler, Middleware

_ANOTHER_ORIGIN = (
    "With authentication disabled, cross-origin requests from web pages are refused: "
    "call the gateway from a program, or set --aibridge-auth to token."
)


def stage(components: Components) -> Middleware | None:
    if components.settings.auth != "none":
        return None

    async def origin(request: GatewayRequest, handler: Handler) -> web.StreamResponse:
        if not request.is_handed_over:  # the AI Proxy has a rule of its own
            _check(request)
        return await handler(request)

    return origin


def _check(request: GatewayRequest) -> None:
    hosts = request.headers.getall("Host", ())
    if not all(map(is_loopback_name, hosts)) and not _came_over_unix_socket(request):
        raise GatewayError(ORIGIN_REFUSED)
    if is_of_another_origin(request.headers):
        raise GatewayError(ORIGIN_REFUSED, _ANOTHER_ORIGIN)


def _came_over_unix_socket(request: GatewayRequest) -> bool:
    """No browser does, and what its clients say for a host is anything."""
    transport = request.transport
    return transport is not None and not isinstance(transport.get_extra_info("sockname"), tuple)
