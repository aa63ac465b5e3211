"""What is the same wherever an answer is relayed to a client."""

from collections.abc import Callable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from aibridged.core.headers import end_to_end


class BrokenOffError(ConnectionError):
    """Whoever answers broke off, or fell silent, in the middle of the answer."""


class RelayedResponse(web.StreamResponse):
    """A response with those of the answer's headers that pass, and no others.

    aiohttp would add its own Server, Date and Content-Type where the answer has none.
    """

    def __init__(self, upstream: aiohttp.ClientResponse, passes: Callable[[str], bool]) -> None:
        super().__init__(
            status=upstream.status,
            reason=upstream.reason or "",
            headers=CIMultiDict(end_to_end(upstream.headers, passes)),
        )

    async def _prepare_headers(self) -> None:
        headers = self.headers
        absent = [name for name in ("Server", "Date", "Content-Type") if name not in headers]
        await super()._prepare_headers()
        for name in absent:
            headers.popall(name, None)


def broken_off(request: web.BaseRequest, error: Exception) -> BrokenOffError:
    """Break the client's connection off with the answer: no client may take the half for a whole.

    Returns what to raise.
    """
    if request.transport is not None:
        request.transport.abort()
    return BrokenOffError(type(error).__name__)
