"""The upstream proxy, which an organisation may route all outgoing traffic through."""

import asyncio
import ssl

from aiohttp.http import RawResponseMessage

from aibridged.config.proxy_url import ProxyUrl
from aibridged.core.egress import Destination
from aibridged.proxy.handoff import Parked
from aibridged.transport.head_reader import ResponseHeadReader


class UpstreamProxyError(Exception):
    """The upstream proxy doesn't connect; the message doesn't quote its response."""


class UpstreamProxy:
    """Opens connections through an HTTP proxy; `context` is for TLS to the proxy itself."""

    def __init__(self, url: ProxyUrl, context: ssl.SSLContext | None) -> None:
        self._url = url
        self._context = context

    async def connect(self, destination: Destination) -> tuple[asyncio.Transport, Parked]:
        """A connection to the destination through the proxy.

        Raises:
            UpstreamProxyError: the proxy's response isn't a success.
            OSError: the proxy can't be reached.
        """
        loop = asyncio.get_running_loop()
        transport, answer = await loop.create_connection(
            _Answer,
            self._url.host,
            self._url.port,
            ssl=self._context,
            server_hostname=self._url.host if self._context is not None else None,
        )
        try:
            transport.write(self._request(destination))
            status = await answer.status
            if not 200 <= status < 300:
                raise UpstreamProxyError(f"The upstream proxy responded with status {status}.")
        except BaseException:
            transport.abort()
            raise
        parked = Parked()
        transport.set_protocol(parked)
        parked.connection_made(transport)
        return transport, parked

    def _request(self, destination: Destination) -> bytes:
        lines = [f"CONNECT {destination} HTTP/1.1", f"Host: {destination}"]
        if self._url.authorization is not None:
            lines.append(f"Proxy-Authorization: {self._url.authorization.reveal()}")
        return "\r\n".join([*lines, "", ""]).encode()


class _Answer(ResponseHeadReader):
    """Reads the head of the proxy's response to CONNECT; `status` is a future."""

    def __init__(self) -> None:
        super().__init__()
        self.status: asyncio.Future[int] = self.loop.create_future()

    def head_came(self, message: RawResponseMessage, *, alone: bool) -> None:
        assert self.transport is not None
        self.transport.pause_reading()
        self.status.set_result(message.code)

    def no_head_came(self, *, too_large: bool) -> None:
        self.status.set_exception(UpstreamProxyError("The upstream proxy's response is not HTTP."))

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if not self.status.done():
            self.status.set_exception(
                UpstreamProxyError("The upstream proxy closed the connection.")
            )
