"""Where visitors of the web page's own listener end who ask for anything else."""

from collections.abc import Awaitable

from aiohttp import web

from aibridged.core.targets import BadTargetError, split_target
from aibridged.errors import INVALID_REQUEST, ROUTE_NOT_SUPPORTED, GatewayError
from aibridged.pipeline.components import Components
from aibridged.pipeline.context import Handler, RequestContext
from aibridged.transport.refusal import SERVER

READ = frozenset({"GET", "HEAD"})


def handler(components: Components) -> Handler:
    """The innermost handler of that listener: its root leads to the page."""
    page = components.web_page
    assert page is not None, "it has a listener of its own"

    def ask(context: RequestContext) -> Awaitable[web.StreamResponse]:
        try:
            path, _ = split_target(context.request.target)
        except BadTargetError as error:
            raise GatewayError(INVALID_REQUEST, str(error)) from None
        if path == "/" and context.request.method in READ:
            return at_once(to_page(page))
        raise GatewayError(ROUTE_NOT_SUPPORTED, f"Here is the web page alone, at {page}.")

    return ask


async def at_once(response: web.Response) -> web.Response:
    """What a stage returns that has its response already."""
    return response


def to_page(page: str) -> web.Response:
    """Sends a browser to the page."""
    headers = {"Location": page, "Server": SERVER, "Cache-Control": "no-store", "Vary": "Accept"}
    return web.Response(status=303, headers=headers)
