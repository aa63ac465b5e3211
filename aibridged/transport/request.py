"""The client's request: what came over the connection, and the connection itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol, cast

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_protocol import RequestHandler


class _Connection(Protocol):
    """What a request asks of its connection (see `server`)."""

    @property
    def is_leaving(self) -> bool: ...
    @property
    def is_surplus(self) -> bool: ...


class GatewayRequest(web.BaseRequest):
    """A request, and the connection that it came over. `given_id` is its id where it has one."""

    given_id: str | None = None

    @property
    def _connection(self) -> _Connection:
        return cast(_Connection, self._protocol)

    @property
    def is_handed_over(self) -> bool:
        """Whether the AI Proxy hands it over, which was asked for a provider's host."""
        return self.given_id is not None

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open: if the client wants it to, and nobody is leaving."""
        # After CONNECT there is no saying whether its body follows or another request.
        return not (
            self._message.should_close or self._connection.is_leaving or self.method == "CONNECT"
        )

    @property
    def is_surplus(self) -> bool:
        """Whether there is no room for it, only for a word about that."""
        return self._connection.is_surplus

    @property
    def target(self) -> str:
        """The request target exactly as it came (aiohttp's `raw_path` may be rewritten)."""
        return self._message.path

    def readdressed(
        self, target: str, headers: CIMultiDict[str], request_id: str, remote: str | None
    ) -> "GatewayRequest":
        """The same request to another target, with other headers, an id and who it is from."""
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
