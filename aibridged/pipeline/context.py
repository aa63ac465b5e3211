"""Request context: what the stages find out about a request, for later stages."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from aiohttp import web

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.core.auth import Presented, UpstreamCredential, read_credentials
from aibridged.core.budgets import Cap
from aibridged.core.byte_budget import Hold
from aibridged.core.client_ip import client_ip, rate_limit_key
from aibridged.core.policies import Policy
from aibridged.core.prices import Cost
from aibridged.errors import ErrorKind, GatewayError
from aibridged.identity.active_requests import Listed, LiveRequest
from aibridged.identity.base import Actor
from aibridged.limits.redis_script import Code
from aibridged.observe.scope import Scope
from aibridged.pipeline.bridge import Bridge, Interception, Watch
from aibridged.pipeline.live import seen
from aibridged.pipeline.response_observer import ResponseObserver, Verdict
from aibridged.pipeline.stream_options import UsageAsk
from aibridged.pipeline.trace import RequestTrace
from aibridged.providers import Route
from aibridged.records.facts import Reservation
from aibridged.transport.abort import break_off
from aibridged.transport.request import GatewayRequest
from aibridged.transport.upstream_response import UpstreamResponse
from aibridged.wire.chat_completions.stream_usage import Unasking
from aibridged.wire.clients import identify
from aibridged.wire.facts import RequestFacts, ResponseFacts, WireApi
from aibridged.wire.model_lists import Page
from aibridged.wire.outline import Span
from aibridged.wire.reader import ResponseReader
from aibridged.wire.splice import Fields

WARNING = b"X-Aibridge-Warning"
"""The header of a warning: a word, a colon, and a sentence."""


class RequestContext(Listed):
    """A request, and what each stage has found out about it. What a stage sets, later ones read.

    `raw_query` is the query string as received. `body` is what goes upstream; `recoded` says that
    it has lost its content coding, `usage_ask` that the gateway asks for a stream's usage where the
    client didn't, and `unasking` undoes that in further requests. `plain` is the decoded body;
    of a large one `members` are the positions of its fields. `hold` is the body's share of the byte
    budget. `token_key` is the token's (see `core.auth`), where a stage before auth has made it.
    `policy` is the caller's, None where there are no policies, and `person_limits` what Redis has
    said of that person's limits, where it has been asked; `reservation` is what the request may
    cost, where a spend limit concerns it, and `on_recorded` is then told what was used before, for
    each of its checks, which `caps_used` has with the caps, or else `on_refused` makes an error of
    it; `model_page` is set where the response
    is a list of models that isn't shown whole.

    For the summary: `began`, `sent_at` and `answered_at` are monotonic, the latter when the head of
    the provider's response arrived, with `upstream_status`; `body_wait` is how many seconds the
    gateway waited for the client's body; `refusal` is the gateway's own error that it ended with,
    and `rejected` the user of a token that is no longer valid. `trace` is None where it isn't
    sampled. `is_cut_off` says that it was aborted because of its token, or that `ended_by` has it
    ended; with `is_ending`, its client is getting the end.

    `is_unnamed` says that its path names no provider. `watch` is told what the response has come
    to, with its cost in nano-dollars, and tells what goes on record with that. `requested_model` is
    the client's, where another one is asked in its place.

    `queries_records` says that it is for the HTTP API of the record. `reads_stored` says that the
    response is read, on a passthrough route, for what the provider stores; `fetched` is what it
    told of a response in the background, once, and `fetched_cost` what that has cost.
    """

    request: GatewayRequest
    scope: Scope
    began: float
    route: Route
    raw_query: str
    actor: Actor
    credential: UpstreamCredential
    body: bytes
    plain: bytes
    hold: Hold
    facts: RequestFacts
    token_key: bytes | None = None
    policy: Policy | None = None
    person_limits: Code | None = None
    reservation: Reservation | None = None
    on_recorded: "Callable[[RequestContext, tuple[int, ...]], None] | None" = None
    on_refused: "Callable[[RequestContext, tuple[int, ...]], GatewayError] | None" = None
    caps_used: tuple[tuple[Cap, ...], tuple[int, ...]] | None = None
    model_page: Page | None = None
    members: Mapping[str, Span] | None = None
    usage_ask: UsageAsk | None = None
    unasking: Unasking | None = None
    recoded: bool = False
    verdict: Verdict | None = None
    observer: ResponseObserver | None = None
    bridge: Bridge | None = None
    interception: Interception | None = None
    trace: RequestTrace | None = None
    reads_stored: bool = False
    fetched: ResponseFacts | None = None
    fetched_cost: Cost | None = None
    is_probe: bool = False
    is_unnamed: bool = False
    watch: Watch | None = None
    requested_model: str | None = None
    queries_records: bool = False
    is_cut_off: bool = False
    ended_by: Actor | None = None
    is_ending: bool = False
    refusal: ErrorKind | None = None
    rejected: Actor | None = None
    body_wait: float = 0.0
    sent_at: float | None = None
    answered_at: float | None = None
    upstream_status: int | None = None
    _presented: Presented | None = None
    _client: tuple[str, str | None] | None = None

    # Defaults are class attributes: a request pays only for what it sets.
    def __init__(self, request: GatewayRequest) -> None:
        self.request = request
        self._endings: list[Callable[[], None]] = []
        self.at_end = self._endings.append
        """Have something called at the end of the request, however that ends; the last one first.

        A stage with a `finally` of its own would cost every request a coroutine.
        """

    def add_header(self, name: bytes, value: str) -> None:
        """Add a header of the gateway's own, in ASCII, to the provider's in the response."""
        self.request.added_headers = (*self.request.added_headers, (name, value.encode("ascii")))

    def warn(self, warning: str) -> None:
        """Put a warning into a header of the response."""
        self.add_header(WARNING, warning)

    def end(self) -> None:
        """The request has ended."""
        endings = self._endings
        for ending in reversed(endings):
            ending()
        endings.clear()  # what they refer to may refer to this

    @property
    def asks_for_usage(self) -> bool:
        """Whether the gateway asks for the usage of a stream whose client didn't."""
        return self.usage_ask is not None

    @property
    def upstream_body(self) -> bytes:
        """The body of the next request to the provider."""
        return self.body if self.unasking is None else self.unasking(self.body)

    @property
    def upstream_target(self) -> str:
        """The route's path below the provider's base URL with the query, both as received."""
        path, query = self.route.path, self.raw_query
        return f"{path}?{query}" if query else path

    @property
    def presented(self) -> Presented:
        """The auth headers, parsed once.

        Raises:
            MalformedCredentialsError: see `read_credentials`.
        """
        presented = self._presented
        if presented is None:
            presented = self._presented = read_credentials(
                self.request.headers, session_first=self.queries_records
            )
        return presented

    @property
    def client(self) -> tuple[str, str | None]:
        """The client's name and its session's id, found once; see `identify`."""
        client = self._client
        if client is None:
            facts = self.facts
            client = self._client = identify(
                self.request.headers, facts.introduction, session_id=facts.session_id
            )
        return client

    @property
    def response_api(self) -> WireApi | None:
        """As what the response is read, None where it isn't."""
        if self.reads_stored:
            return WireApi.STORED_RESPONSES
        api = self.route.api
        if api is WireApi.RESPONSES and self.facts.background:
            return WireApi.STORED_RESPONSES
        return api

    def observe(
        self, response: UpstreamResponse, clock: Clock, reader: ResponseReader | None = None
    ) -> ResponseObserver | None:
        """What reads this response from now on, with its own reader or this one; or None."""
        api = self.response_api
        if api is None:
            return None
        interception = self.interception
        self.observer = ResponseObserver(
            api,
            response,
            clock,
            self.verdict,
            self.route.provider.failure_statuses,
            reader,
            on_id=interception.on_id if interception is not None else None,
        )
        return self.observer

    def secrets(self) -> list[bytes]:
        """The credentials that came with it or go on with it, each without its scheme."""
        presented = self.presented
        values = (presented.token, *presented.own.values(), self.credential.value)
        return [each.rpartition(" ")[2].encode() for each in values if each]

    def change(self, fields: Fields) -> None:
        """Replace the body that goes upstream, and its headers."""
        self.change_body(fields.source)
        self.members = fields.spans

    def change_body(self, plain: bytes) -> None:
        """Replace the body that goes upstream by a small one."""
        self.recoded = self.recoded or self.plain is not self.body
        self.body = self.plain = plain

    def let_body_go(self) -> None:
        """Free the body: it has been sent."""
        self.body = self.plain = b""
        self.members = None
        self.hold.release()

    def address(self, settings: Settings) -> bytes:
        """The caller's network as a key; trusted reverse proxies may name it."""
        return rate_limit_key(
            client_ip(
                self.request.remote,
                self.request.headers,
                settings.proxy_trusted_headers,
                settings.proxy_trusted_origins,
            )
        )

    def is_called(self, id: str) -> bool:
        return id in (self.scope.request_id, self.scope.interception_id)

    def seen(self, wall: datetime, monotonic: float) -> LiveRequest:
        return seen(self, wall, monotonic)

    def end_early(self, by: Actor) -> bool:
        if self.interception is not None and self.interception.has_ended:
            return False
        if self.ended_by is None:
            self.ended_by, self.is_cut_off = by, True
            if self.route.api is None:
                break_off(self.request)
            else:
                self.request.task.cancel()  # see `ending`
        return True

    def abort(self) -> None:
        """Abort the request, because its token is no longer valid."""
        self.is_cut_off = True
        break_off(self.request)


Handler = Callable[[RequestContext], Awaitable[web.StreamResponse]]
"""Responds, or raises a `GatewayError`: `forward`, or a stage, which may await the next handler."""
