"""The client's request, with the connection that it came over."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_protocol import RequestHandler


class _Connection(Protocol):
    """The part of a connection (see `server`) that a request uses."""

    @property
    def is_leaving(self) -> bool: ...
    @property
    def is_surplus(self) -> bool: ...


class Replacement(NamedTuple):
    """Headers of the gateway's in place of the provider's, whose names (in lower case) begin so.

    They go out with successful responses only; the provider's never do.
    """

    prefixes: tuple[bytes, ...]
    headers: Sequence[tuple[bytes, bytes]] = ()


class GatewayRequest(web.BaseRequest):
    """A request and its connection. `given_id` is its request id, where it came with one.

    `added_headers` are the gateway's own headers in the response to it, beside the provider's;
    `replacement` are those in the provider's place.
    """

    given_id: str | None = None
    added_headers: Sequence[tuple[bytes, bytes]] = ()
    replacement: Replacement | None = None

    @property
    def _connection(self) -> _Connection:
        return cast(_Connection, self._protocol)

    @property
    def is_handed_over(self) -> bool:
        """Whether the AI Proxy hands it over, as a request to a provider's host."""
        return self.given_id is not None

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open after this request."""
        # After CONNECT, a body can't be told from another request.
        return not (
            self._message.should_close or self._connection.is_leaving or self.method == "CONNECT"
        )

    @property
    def is_surplus(self) -> bool:
        """Whether it has no place, and can only be refused."""
        return self._connection.is_surplus

    @property
    def target(self) -> str:
        """The request target exactly as received (aiohttp's `raw_path` may be rewritten)."""
        return self._message.path

    def readdressed(
        self, target: str, headers: CIMultiDict[str], request_id: str, remote: str | None
    ) -> "GatewayRequest":
        """The same request with another target, headers, id and peer address."""
        message = self._message._replace(
            path=target,
            url=URL(target, encoded=True),
            headers=CIMultiDictProxy(headers),
            raw_headers=tuple(
                (name.encode(), value.encode(errors="surrogateescape"))
                for name, value in headers.items()
            ),
        )
        request = type(self)(
            message,
            self._payload,
            self._protocol,
            self._payload_writer,
            self._task,
            self._loop,
            remote=remote,
        )
        request.given_id = request_id
        return request

    def forget_task(self) -> None:
        """Break the reference cycle with its task, at the end."""
        self._task = None  # type: ignore[assignment]

    @classmethod
    def make(
        cls,
        message: "RawRequestMessage",
        payload: "StreamReader",
        protocol: "RequestHandler",
        writer: "AbstractStreamWriter",
        task: "asyncio.Task[None]",
    ) -> "GatewayRequest":
        """The request factory that `aiohttp.web.Server` takes."""
        return cls(message, payload, protocol, writer, task, asyncio.get_running_loop())


Handler = Callable[[GatewayRequest], Awaitable[web.StreamResponse]]
