"""HTTP client of one MCP server, with bounds on time and size against slow or hostile servers.

Every failure becomes a response that the SDK reads as an error with a message. An exception would
end the SDK's session, and all its calls in flight.
"""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import httpx2

from aibridged.clock import Clock
from aibridged.config.proxy_url import ProxyUrl
from aibridged.mcp.json_rpc import JSON, changed, media_type
from aibridged.mcp.listing import Listing
from aibridged.mcp.results import lightened
from aibridged.observe.connection_failure import cause_of

_OURS = -32099  # the last code that JSON-RPC leaves to implementations
_SESSION = "mcp-session-id"
_VERSION = "mcp-protocol-version"
_SESSION_ENDED = "the server has ended the session"
# What servers say with 400 of a session that they don't know, where the protocol says 404.
_NO_SESSION = re.compile(rb"session|not initiali[sz]ed", re.IGNORECASE)
_MAX_COMPLAINT = 4096  # bytes of a response that are searched for it


class ServerTransport(httpx2.AsyncBaseTransport):
    """Sends requests to one server and checks its responses.

    A response may have `max_bytes` and take `seconds`, its body included. `max_total` is for
    all of them together until `opened` is called: nothing that a server lists is unbounded.

    Until then, `listing` takes the tools out of the responses; then results are `lightened`.

    `answered` says whether the last request got a response at all. A request within a session that
    the server has ended gets an error whose data is `ended`, which no server can know. Requests go
    through `proxy`, if there is one.

    No connection is kept between requests: thousands of bridges would keep as many open. Nor is the
    stream opened that a server may send messages on (a GET), which would be open forever.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        clock: Clock,
        *,
        seconds: float,
        max_bytes: int,
        max_total: int,
        proxy: ProxyUrl | None = None,
    ) -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._inner = httpx2.AsyncHTTPTransport(
            verify=tls,
            limits=limits,
            trust_env=False,
            proxy=None if proxy is None else _way(proxy, tls),
        )
        self._monotonic = clock.monotonic
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._left: int | None = max_total
        self.listing = Listing()
        self.ended = uuid4().hex
        self.answered = True

    def opened(self) -> None:
        """Note that the session is open: from now on only each response by itself is bounded."""
        self._left = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET" and "last-event-id" not in request.headers:
            return httpx2.Response(405, request=request)
        ends = self._monotonic() + self._seconds
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._inner.handle_async_request(request)
        except (httpx2.TransportError, TimeoutError) as error:
            self.answered = False
            return _error(request, 502, _no_answer(error))
        self.answered = True
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        bounded = httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Bounded(response.stream, self, ends),
            extensions=response.extensions,
            request=request,
        )
        if _SESSION in request.headers and await _ends_session(bounded):
            await response.aclose()
            return _error(request, 404, _SESSION_ENDED, self.ended)
        refusal = _refusal(response)
        if refusal is not None:
            await response.aclose()
            return _error(request, response.status_code, refusal)
        if response.status_code != 200:
            return bounded
        if self._left is None:
            return changed(bounded, lightened)
        self.listing.version = request.headers.get(_VERSION, self.listing.version)
        return changed(bounded, self.listing.take)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def allowance(self) -> int:
        """The bytes that the next response may have."""
        return self._max_bytes if self._left is None else min(self._left, self._max_bytes)

    def spend(self, count: int) -> None:
        """Count received bytes."""
        if self._left is not None:
            self._left -= count

    def seconds_until(self, moment: float) -> float:
        return max(0.0, moment - self._monotonic())


class _Bounded(httpx2.AsyncByteStream):
    """A response's body; raises StreamError, which the SDK reports, when it exceeds its bounds."""

    def __init__(
        self, stream: httpx2.AsyncByteStream, transport: ServerTransport, ends: float
    ) -> None:
        self._stream = stream
        self._transport = transport
        self._ends = ends

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = allowance = self._transport.allowance()
        chunks = aiter(self._stream)
        while True:
            try:
                async with asyncio.timeout(self._transport.seconds_until(self._ends)):
                    chunk = await anext(chunks, None)
            except (httpx2.TransportError, TimeoutError) as error:
                raise httpx2.StreamError(
                    f"its response was truncated: {_no_answer(error)}"
                ) from None
            if chunk is None:
                return
            left -= len(chunk)
            self._transport.spend(len(chunk))
            if left < 0:
                raise httpx2.StreamError(f"its response is larger than {allowance} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def _way(proxy: ProxyUrl, tls: ssl.SSLContext) -> httpx2.Proxy:
    own_tls = tls if proxy.scheme == "https" else None
    return httpx2.Proxy(proxy.address, headers=proxy.headers, ssl_context=own_tls)


async def _ends_session(response: httpx2.Response) -> bool:
    """Whether a response to a request within a session says that there is no such session.

    404 says that, whatever its body does; of older servers a 400 does that mentions the session.
    """
    if response.status_code != 400:
        return response.status_code == 404
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return False
    with suppress(httpx2.StreamError):
        return _NO_SESSION.search(await response.aread(), 0, _MAX_COMPLAINT) is not None
    return False


def _refusal(response: httpx2.Response) -> str | None:
    """What is wrong with a response, by its head. The SDK itself reads an error in JSON."""
    coding = response.headers.get("content-encoding", "identity").lower()
    if coding != "identity":
        return f"it responded in the content coding {coding[:20]!r}, which was not requested"
    status = response.status_code
    if status in (401, 403):
        return f"it responded with {status}: a token is missing or wrong"
    if status == 404:
        return "it responded with 404: there is no MCP server at this URL"
    if status >= 400 and media_type(response.headers) != JSON:
        return f"it responded with {status}"
    return None


def _no_answer(error: Exception) -> str:
    """Why there was no response. The client's own messages may quote headers."""
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return "it didn't respond in time"
    if isinstance(error, httpx2.ConnectError):
        return f"it can't be reached: {cause_of(error)}"
    if isinstance(error, httpx2.ProxyError):
        # What the proxy says begins with its status.
        return f"the upstream proxy responded with status {str(error)[:3]}"
    if isinstance(error, httpx2.ProtocolError):
        return "it closed the connection without a response, or sent one that is not HTTP"
    return str(cause_of(error))


def _error(
    request: httpx2.Request, status: int, sentence: str, data: str | None = None
) -> httpx2.Response:
    error = {"code": _OURS, "message": sentence, "data": data}
    message = {"jsonrpc": "2.0", "id": None, "error": error}
    return httpx2.Response(
        max(status, 400),
        headers={"content-type": JSON},
        content=json.dumps(message).encode(),
        request=request,
    )
