"""Renders pages: templates that escape what they show, and headers that confine them."""

from collections.abc import AsyncIterator, Callable, Generator, Hashable, Mapping, Sequence
from typing import Any

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from aibridged.clock import Clock
from aibridged.sign_in.pages import HEADERS
from aibridged.transport.refusal import SERVER
from aibridged.transport.time_slices import TimeSlices
from aibridged.ui.assets import Asset, Assets
from aibridged.ui.formats import filters
from aibridged.ui.navigation import LinkGroup
from aibridged.ui.page import Download

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Browsers send the origin of a form only from pages with a referrer; without, they send `null`.
_HEADERS = {**HEADERS, "Referrer-Policy": "same-origin"}
_KEPT = "public, max-age=31536000, immutable"
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
_OF_PAGES = {**_HEADERS, "Content-Security-Policy": _POLICY}
# Of what isn't a page.
_BARE = {**_HEADERS, "Content-Security-Policy": _NOTHING}
del _BARE["Content-Type"]


class Renderer:
    """Renders pages below `root`, the path of the page as browsers have it."""

    def __init__(self, root: str, clock: Clock, slices: TimeSlices) -> None:
        self.root = root
        self._slices = slices
        self.assets = Assets()
        self._environment = Environment(
            loader=PackageLoader("aibridged.ui"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(filters(clock.wall))
        self._environment.globals.update(root=root, asset=self._asset)

    def html(
        self,
        template: str,
        values: Mapping[str, Any],
        *,
        status: int = 200,
        groups: Sequence[LinkGroup] = (),
    ) -> web.Response:
        """A small page, at once."""
        body = self._environment.get_template(template).render(groups=groups, **values)
        return _page(body, status)

    async def page(
        self,
        template: str,
        values: Mapping[str, Any],
        *,
        status: int,
        groups: Sequence[LinkGroup],
        visitor: Hashable,
    ) -> web.Response:
        """A page of any size: a large one is rendered in slices, the visitors' by turns."""
        steps = self._steps(template, {"groups": groups, **values})
        return _page(await self._slices.run(steps, ("page", visitor)), status)

    def _steps(self, template: str, values: Mapping[str, Any]) -> Generator[None, None, str]:
        pieces = []
        for piece in self._environment.get_template(template).generate(**values):
            pieces.append(piece)
            yield
        return "".join(pieces)

    def redirect(self, path: str) -> web.Response:
        """Send the browser to another page, by GET."""
        headers = {**_BARE, "Location": f"{self.root}{path}"}
        return web.Response(status=303, headers=headers)

    def asset(self, found: Asset) -> web.Response:
        """A static file."""
        headers = {
            **_BARE,
            "Content-Type": found.content_type,
            "Cache-Control": _KEPT,
        }
        return web.Response(body=found.content, headers=headers)

    def _asset(self, name: str) -> str:
        return f"{self.root}{self.assets.path(name)}"


def _page(body: str, status: int) -> web.Response:
    return web.Response(status=status, body=body.encode(), headers=_OF_PAGES)


async def send_download(request: web.BaseRequest, found: Download) -> web.StreamResponse:
    """A file that the browser saves, and never shows as a page."""
    name = "".join(
        char if (char.isascii() and char.isalnum()) or char in "-._" else "-" for char in found.name
    )
    headers = {
        **_HEADERS,
        "Content-Type": found.content_type,
        "Content-Disposition": f'attachment; filename="{name}"',
        "Content-Security-Policy": f"{_NOTHING}; sandbox",
    }
    if isinstance(found.content, bytes):
        return web.Response(body=found.content, headers=headers)
    return await send_pieces(request, found.content, headers)


async def send_events(
    request: web.BaseRequest,
    events: AsyncIterator[bytes],
    prepare: Callable[[web.StreamResponse], None],
) -> web.StreamResponse:
    """Server-sent events; `prepare` may set cookies."""
    headers = {**_BARE, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
    return await send_pieces(request, events, headers, prepare)


async def send_pieces(
    request: web.BaseRequest,
    pieces: AsyncIterator[bytes],
    headers: Mapping[str, str],
    prepare: Callable[[web.StreamResponse], None] = lambda response: None,
) -> web.StreamResponse:
    """What is sent as it is made; of a HEAD request's, the headers."""
    response: web.StreamResponse | None = None
    async for piece in pieces:
        if response is None:  # an error before the first piece is a page of its own
            response = web.StreamResponse(headers={**headers, "Server": SERVER})
            prepare(response)
            await response.prepare(request)
            if request.method == "HEAD":
                break
        await response.write(piece)
    if response is None:
        return web.Response(body=b"", headers=headers)
    await response.write_eof()
    return response
