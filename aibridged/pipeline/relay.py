"""Writes a provider's answer to the client as it arrives."""

from collections.abc import Callable, Sequence

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from aibridged.core.headers import named_by_connection, response_header_passes
from aibridged.pipeline.request import GatewayRequest


class RelayedResponse(web.StreamResponse):
    """A response that carries the provider's headers and no others.

    aiohttp would add its own Server, Date and Content-Type where the provider sent none.
    """

    async def _prepare_headers(self) -> None:
        sent = frozenset(map(str.lower, self.headers))
        await super()._prepare_headers()
        for added in ("Server", "Date", "Content-Type"):
            if added.lower() not in sent:
                self.headers.popall(added, None)


async def relay(
    request: GatewayRequest,
    upstream: aiohttp.ClientResponse,
    readers: Sequence[Callable[[bytes], None]],
) -> web.StreamResponse:
    """Relay the answer to its end; each of `readers` sees a chunk after it has been written.

    A stalled client makes `write` wait, which stops reading from the provider. If the provider
    breaks off, so is the client's connection: no client may take the half for a whole.

    Raises:
        aiohttp.ClientError, TimeoutError: the provider broke off in the middle.
        ConnectionError: the client is gone.
    """
    response = RelayedResponse(
        status=upstream.status, reason=upstream.reason or "", headers=_end_to_end(upstream)
    )
    try:
        await response.prepare(request)
        write = response.write
        async for chunk in upstream.content.iter_any():
            await write(chunk)
            for read in readers:
                read(chunk)
    except (aiohttp.ClientError, TimeoutError):
        if request.transport is not None:
            request.transport.abort()
        raise
    await response.write_eof()
    return response


def _end_to_end(upstream: aiohttp.ClientResponse) -> CIMultiDict[str]:
    headers = upstream.headers
    own = named_by_connection(headers.getall("Connection", ()))
    return CIMultiDict(
        [
            (name, value)
            for name, value in headers.items()
            if response_header_passes(name) and name.lower() not in own
        ]
    )
