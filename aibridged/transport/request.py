"""The request, as the stages see it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from aibridged.config.options import Settings
from aibridged.core.auth import Presented, UpstreamCredential, read_credentials
from aibridged.core.client_ip import client_ip, rate_limit_key
from aibridged.errors import ErrorKind
from aibridged.identity.base import Actor
from aibridged.observe.scope import Scope
from aibridged.providers import Route
from aibridged.transport.abort import break_off
from aibridged.wire.facts import RequestFacts
from aibridged.wire.injection.splice import Fields
from aibridged.wire.outline import Span

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_protocol import RequestHandler

    from aibridged.pipeline.body import BodyHold
    from aibridged.pipeline.bridge import Bridge, Interception
    from aibridged.pipeline.response_observer import ResponseObserver
    from aibridged.pipeline.trace import RequestTrace
    from aibridged.transport.server import Connection


class Verdict(Protocol):
    """Where `forward` says, once, how the provider took the request."""

    def success(self) -> None: ...
    def failure(self) -> None: ...


class GatewayRequest(web.BaseRequest):
    """A request with what each stage found out about it, for the stages after it.

    `raw_query` is the query string as it came. `body` is what goes upstream; `recoded` says that
    it has lost its content coding, `asks_for_usage` that the gateway asks for the usage of a stream
    whose client didn't. `plain` is the body without its coding; of a large one `members` are where
    its fields stand. `hold` is the memory that the body takes.

    For the account of it: `began`, `sent_at` and `answered_at` are monotonic, the latter when the
    head of the provider's answer came, with `upstream_status`; `body_wait` is for how many seconds
    the client's body was waited for; `refusal` is the error of the gateway's own that it ended
    with. `trace` is None where it isn't traced. `given_id` is its id where it has one already.
    `is_cut_off` says that it was ended because its token is good no more.
    """

    scope: Scope
    began: float
    route: Route
    raw_query: str
    actor: Actor
    credential: UpstreamCredential
    body: bytes
    plain: bytes
    members: Mapping[str, Span] | None = None
    hold: "BodyHold"
    facts: RequestFacts
    asks_for_usage: bool = False
    recoded: bool = False
    verdict: Verdict | None = None
    reading: "ResponseObserver | None" = None
    bridge: "Bridge | None" = None
    interception: "Interception | None" = None
    trace: "RequestTrace | None" = None
    is_probe: bool = False
    is_cut_off: bool = False
    given_id: str | None = None
    refusal: ErrorKind | None = None
    body_wait: float = 0.0
    sent_at: float | None = None
    answered_at: float | None = None
    upstream_status: int | None = None
    _presented: Presented | None = None
    _protocol: "Connection"

    @property
    def is_handed_over(self) -> bool:
        """Whether the AI Proxy hands it over, which was asked for a provider's host."""
        return self.given_id is not None

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open: if the client wants it to, and nobody is leaving."""
        return not (self._message.should_close or self._protocol.is_leaving)

    @property
    def is_surplus(self) -> bool:
        """Whether there is no room for it, only for a word about that."""
        return self._protocol.is_surplus

    @property
    def target(self) -> str:
        """The request target exactly as it came (aiohttp's `raw_path` may be rewritten)."""
        return self._message.path

    @property
    def upstream_target(self) -> str:
        """The route's path below the provider's base URL with the query, both as they came."""
        path, query = self.route.path, self.raw_query
        return f"{path}?{query}" if query else path

    @property
    def presented(self) -> Presented:
        """The auth headers, read once.

        Raises:
            MalformedCredentialsError: see `read_credentials`.
        """
        if self._presented is None:
            self._presented = read_credentials(self.headers)
        return self._presented

    def change(self, fields: Fields) -> None:
        """Let this go upstream in place of what came."""
        self.change_body(fields.source)
        self.members = fields.spans

    def change_body(self, plain: bytes) -> None:
        """Let this go upstream in place of what came, a small body."""
        self.recoded = self.recoded or self.plain is not self.body
        self.body = self.plain = plain

    def let_body_go(self) -> None:
        """The body has been sent: it takes no more memory."""
        self.body = self.plain = b""
        self.members = None
        self.hold.release()

    def address(self, settings: Settings) -> bytes:
        """The caller's network as a key, which trusted proxies may name."""
        return rate_limit_key(
            client_ip(
                self.remote,
                self.headers,
                settings.proxy_trusted_headers,
                settings.proxy_trusted_origins,
            )
        )

    def abort(self) -> None:
        """End it, because its token is good no more."""
        self.is_cut_off = True
        break_off(self)

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


class Middleware(Protocol):
    """A stage: it answers, raises a `GatewayError`, or awaits the handler behind it."""

    def __call__(
        self, request: GatewayRequest, handler: Handler
    ) -> Awaitable[web.StreamResponse]: ...
