"""The upstream proxy, through which an organisation may route all outgoing traffic.

What is asked over TLS goes through a tunnel (CONNECT), and plain HTTP by a request to the proxy
that names the whole URL: many proxies allow no tunnel to other ports than 443.
"""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import aiohttp
from aiohttp.http import RawResponseMessage

from aibridged.config.proxy_url import ProxyUrl
from aibridged.core.egress import BadDestinationError, Destination, host_destination
from aibridged.observe.connection_failure import Cause, cause_of
from aibridged.observe.descriptors import is_shortage
from aibridged.transport.handoff import Parked
from aibridged.transport.head_reader import ResponseHeadReader
from aibridged.transport.idle_pools import MakeConnection

P = TypeVar("P", bound=asyncio.BaseProtocol)


class NotConnectedError(aiohttp.ClientConnectionError):
    """There is no connection, so nothing was sent; `cause` says why, and quotes nothing."""

    def __init__(self, words: str, mend: str = "") -> None:
        super().__init__(words)
        self.cause = Cause(words, mend)


class UpstreamProxyError(NotConnectedError):
    """The upstream proxy doesn't connect; the message says so, and quotes nothing of its."""


def client_tls(more: Path | None = None) -> ssl.SSLContext:
    """What servers are verified with: the system's trust (or SSL_CERT_FILE), and the file `more`.

    Raises:
        OSError, ssl.SSLError: `more` can't be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if more is not None:
        context.load_verify_locations(more)
    return context


async def start_tls(
    transport: asyncio.Transport,
    make: MakeConnection,
    context: ssl.SSLContext,
    host: str,
    timeout: float,  # noqa: ASYNC109 - the handshake has one of its own
) -> asyncio.Protocol:
    """Speak TLS over a connection from now on; `make` makes what reads it.

    A connection over which that fails, or isn't waited for, is aborted.

    Raises:
        NotConnectedError: the other end doesn't, or has no certificate for `host`.
    """
    protocol = make()
    try:
        tls = await asyncio.get_running_loop().start_tls(
            transport, protocol, context, server_hostname=host, ssl_handshake_timeout=timeout
        )
    except BaseException as error:
        transport.abort()
        if not isinstance(error, OSError):  # of which ssl.SSLError is one
            raise
        raise NotConnectedError(*cause_of(error)) from None
    assert tls is not None
    protocol.connection_made(tls)
    return protocol


class UpstreamProxy:
    """Asks an HTTP proxy for connections, each within `timeout` seconds.

    `own_tls` is for the proxy's own TLS, where it has some, and `tls` for that of what is behind.
    """

    def __init__(
        self, url: ProxyUrl, own_tls: ssl.SSLContext, tls: ssl.SSLContext, timeout: float
    ) -> None:
        self._url = url
        self._own_tls = own_tls if url.scheme == "https" else None
        self._tls = tls
        self._timeout = timeout

    def __str__(self) -> str:
        return self._url.address

    @property
    def headers(self) -> str:
        """What it gets beside a request or a CONNECT, as lines of a head."""
        return "".join(f"{name}: {value}\r\n" for name, value in self._url.headers.items())

    async def dial_tls(self, host: str, port: int, make: MakeConnection) -> asyncio.Protocol:
        """A connection with TLS through a tunnel (see `idle_pools.Dial`)."""
        try:
            async with asyncio.timeout(self._timeout):
                transport, _ = await self.connect(host_destination(host, port))
        except BadDestinationError as error:
            raise NotConnectedError(str(error)) from None
        except OSError as error:
            raise self._unreachable(error) from None
        return await start_tls(transport, make, self._tls, host.strip("[]"), self._timeout)

    async def dial_proxy(self, host: str, port: int, make: MakeConnection) -> asyncio.Protocol:
        """A connection to the proxy itself, whatever is to be asked over it."""
        try:
            async with asyncio.timeout(self._timeout):
                _, protocol = await self._connected(make)
                return protocol
        except OSError as error:
            raise self._unreachable(error) from None

    async def connect(self, destination: Destination) -> tuple[asyncio.Transport, Parked]:
        """A tunnel to the destination through the proxy.

        Raises:
            UpstreamProxyError: the proxy answers with anything but success.
            OSError: the proxy can't be reached.
        """
        transport, answer = await self._connected(_Answer)
        try:
            transport.write(self._request(destination))
            status = await answer.status
            if not 200 <= status < 300:
                raise UpstreamProxyError(f"the upstream proxy responded with status {status}")
        except BaseException:
            transport.abort()
            raise
        parked = Parked()
        transport.set_protocol(parked)
        parked.connection_made(transport)
        if answer.early:
            parked.data_received(answer.early)
        return transport, parked

    async def _connected(self, make: Callable[[], P]) -> tuple[asyncio.Transport, P]:
        return await asyncio.get_running_loop().create_connection(
            make,
            self._url.host,
            self._url.port,
            ssl=self._own_tls,
            server_hostname=self._url.host if self._own_tls is not None else None,
        )

    def _unreachable(self, error: OSError) -> Exception:
        if isinstance(error, TimeoutError):
            return aiohttp.ConnectionTimeoutError()
        if is_shortage(error):
            return error
        cause = cause_of(error)
        return UpstreamProxyError(f"the upstream proxy can't be reached: {cause.words}", cause.mend)

    def _request(self, destination: Destination) -> bytes:
        head = f"CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n{self.headers}\r\n"
        return head.encode()


class UpstreamProxies:
    """Makes upstream proxies. `tls` verifies all servers and proxies; it is made with the first
    proxy where there is none."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls

    def of(self, url: ProxyUrl | None, timeout: float) -> UpstreamProxy | None:
        """The proxy at this URL, which connects within `timeout` seconds."""
        if url is None:
            return None
        tls = self._tls = self._tls or client_tls()
        return UpstreamProxy(url, tls, tls, timeout)


class _Answer(ResponseHeadReader):
    """Reads the head of the proxy's answer to CONNECT, which has no body; `status` is a future."""

    def __init__(self) -> None:
        super().__init__()
        self.status: asyncio.Future[int] = self.loop.create_future()

    def head_came(self, message: RawResponseMessage, *, alone: bool) -> None:
        assert self.transport is not None
        self.transport.pause_reading()
        self.status.set_result(message.code)

    def no_head_came(self, *, too_large: bool) -> None:
        self.status.set_exception(UpstreamProxyError("the upstream proxy's response is not HTTP"))

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if not self.status.done():
            self.status.set_exception(
                UpstreamProxyError("the upstream proxy closed the connection")
            )
