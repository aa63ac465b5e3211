"""Cross-origin protection stage, for `--aibridge-auth none`. See `core.origins`."""

from collections.abc import Awaitable

from aiohttp import web

from aibridged.core.origins import is_loopback_name, is_of_another_origin
from aibridged.errors import ORIGIN_REFUSED, GatewayError
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext

_ANOTHER_ORIGIN = (
    "With authentication disabled, cross-origin requests from web pages are refused: "
    "call the gateway from a program, or set --aibridge-auth to token."
)


def stage(components: Components, handler: Handler) -> Handler | None:
    if components.settings.auth != "none":
        return None

    def origin(context: RequestContext) -> Awaitable[web.StreamResponse]:
        if not context.request.is_handed_over:  # the AI Proxy has a rule of its own
            _check(context)
        return handler(context)

    return origin


def _check(context: RequestContext) -> None:
    hosts = context.request.headers.getall("Host", ())
    if not all(map(is_loopback_name, hosts)) and not _came_over_unix_socket(context):
        raise GatewayError(ORIGIN_REFUSED)
    if is_of_another_origin(context.request.headers):
        raise GatewayError(ORIGIN_REFUSED, _ANOTHER_ORIGIN)


def _came_over_unix_socket(context: RequestContext) -> bool:
    """Whether it came over a Unix socket, as no browser's does, and with an arbitrary Host."""
    transport = context.request.transport
    return transport is not None and not isinstance(transport.get_extra_info("sockname"), tuple)
