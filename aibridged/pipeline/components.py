"""The components that the stages use, constructed by `compose` only."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
from aiohttp import web

from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.config.reloading import ReloadStats
from aibridged.core.breaker import Breakers
from aibridged.core.budgets import Standing
from aibridged.core.byte_budget import ByteBudget
from aibridged.core.concurrency import Slots
from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.core.estimates import Estimates
from aibridged.core.policies import PersonLimits, Policies
from aibridged.core.rate_limit import RateLimiter
from aibridged.core.runaway import Sessions
from aibridged.core.soft_budget import UsedShares
from aibridged.identity.base import Actor
from aibridged.identity.limits_in_force import LimitsInForce
from aibridged.identity.throttle import Throttle
from aibridged.limits.redis_limits import RedisLimits
from aibridged.observe.descriptors import Shortages
from aibridged.observe.metrics import Metrics
from aibridged.observe.request_summary import RequestSummary
from aibridged.observe.running import Running
from aibridged.pipeline.bridge import Bridge
from aibridged.pipeline.bridge_pool import BridgePool
from aibridged.pipeline.dump import Dumper
from aibridged.pipeline.provider_key import KeyRefusals
from aibridged.pipeline.stream_options import UsageRefusals
from aibridged.pipeline.tool_loop.continuations import Continuations
from aibridged.pipeline.trace import Traces
from aibridged.prices.pricing import Pricing
from aibridged.providers import Provider
from aibridged.records.fingerprint_writer import FingerprintWriter
from aibridged.records.spending import Spending
from aibridged.records.stats import RecorderStats
from aibridged.records.stored_objects import StoredObjects
from aibridged.transport.in_flight import InFlight, Requests
from aibridged.transport.time_slices import TimeSlices, Turns
from aibridged.transport.upstream import Upstream

Again = Callable[[], Awaitable[Actor]]
"""Authenticates a caller another time; raises GatewayError."""

ApiHandler = Callable[[web.BaseRequest, Actor, str, str, Again], Awaitable[web.StreamResponse]]
"""Serves the HTTP API to a caller, given the path below the prefix and the query string."""

LocalHandler = Callable[[web.BaseRequest, Actor | None, str, bytes], Awaitable[web.StreamResponse]]
"""Serves a local route, given the caller (None on public ones), the query string, and the key of
the caller's network."""


NoteStanding = Callable[[Standing, bool], None]
"""Notes how a cap stands, and whether it has refused a request. It takes no time."""


class LocalRoute(msgspec.Struct, frozen=True):
    """A path that the gateway serves itself; a public one without a gateway token.

    Where it `says_request_id`, its answers have the request's id as Anthropic's have.
    """

    methods: frozenset[str]
    serve: LocalHandler
    is_public: bool = False
    says_request_id: bool = False


class Components(msgspec.Struct, frozen=True):
    """The components of one configuration: a reload makes new ones, which share what is unchanged.

    `upstreams` has the connection pool of each provider, by name; what is None is disabled.
    `requests` are those that began with these components, `in_flight` are all. `ca_certificate` is
    the AI Proxy's CA as PEM. `api_roots` are the first path segments that `api` serves below the
    gateway's own prefixes, and `local_routes` what the gateway serves otherwise, by exact path, or
    by all that begins with a path that ends in a slash. `web_page` is the path of the web page as
    browsers have it, where it is served here.
    `shared` are the limits that replicas share by Redis, in which `slots`, `rate_limiter` and
    `person_limits` are what this one has without it.
    `on_finished` are called at the end of every request. `note_standing` feeds the budget alerts.
    """

    settings: Settings
    clock: Clock
    providers: Mapping[str, Provider]
    upstreams: Mapping[str, Upstream]
    gate: Throttle
    recorder_stats: RecorderStats
    pricing: Pricing
    in_flight: InFlight
    running: Running
    requests: Requests
    slots: Slots
    shared: RedisLimits | None
    connection_limiter: ConnectionLimiter
    shortages: Shortages
    body_budget: ByteBudget
    slices: TimeSlices
    rate_limiter: RateLimiter | None
    policies: Policies | None
    person_limits: PersonLimits
    sessions: Sessions
    used_shares: UsedShares
    breakers: Breakers | None
    limits: LimitsInForce
    estimates: Estimates
    spending: Spending
    bridges: BridgePool[Bridge]
    continuations: Continuations
    usage_refusals: UsageRefusals
    key_refusals: KeyRefusals
    stored_objects: StoredObjects
    turns: Turns
    dumper: Dumper | None
    fingerprints: FingerprintWriter | None
    traces: Traces | None
    metrics: Metrics | None
    on_finished: Sequence[Callable[[RequestSummary], None]]
    note_standing: NoteStanding
    reloads: ReloadStats
    ca_certificate: bytes | None
    api: ApiHandler
    api_roots: frozenset[str]
    local_routes: Mapping[str, LocalRoute]
    web_page: str | None
