"""Resources that live as long as the daemon, across reloads."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from aibridged.api import Api, SpendLimitApi
from aibridged.api.query_runner import A_SECOND
from aibridged.api.session_routes import ROUTES as SESSION_ROUTES
from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.config.reloading import ReloadStats
from aibridged.core.byte_budget import ByteBudget
from aibridged.core.concurrency import Slots
from aibridged.core.connection_limiter import ConnectionLimiter
from aibridged.core.estimates import Estimates
from aibridged.core.limiters import Limiters
from aibridged.core.policies import PersonLimits
from aibridged.core.runaway import Sessions
from aibridged.core.soft_budget import MAX_CALLERS, UsedShares
from aibridged.daemon.ai_proxy import load_ca
from aibridged.daemon.budget_alerts import BudgetAlerts
from aibridged.daemon.gatekeeper import make_gatekeeper
from aibridged.daemon.group_jobs import GroupJobs
from aibridged.daemon.live import serve_live
from aibridged.daemon.mcp_credentials import mcp_credentials
from aibridged.daemon.memory import body_bytes
from aibridged.daemon.recording import make_recorder
from aibridged.daemon.replicas import Replicas, follow_limits, make_replicas
from aibridged.daemon.sign_in import make_sign_in
from aibridged.daemon.web_page import make_ui
from aibridged.daemon.workers.siblings import Siblings
from aibridged.identity.base import Gatekeeper
from aibridged.identity.credential_key import CredentialKey
from aibridged.identity.limits_in_force import LimitsInForce
from aibridged.identity.looks import Looks
from aibridged.identity.spend_limits import SpendLimitStore, read_limits
from aibridged.identity.throttle import Throttle
from aibridged.identity.tokens import TokenStore
from aibridged.mcp.factory import McpTools
from aibridged.observe.descriptors import Shortages
from aibridged.observe.events import request_finished
from aibridged.observe.loop_lag import LoopLag
from aibridged.observe.metrics import Metrics
from aibridged.observe.provider_health import ProviderHealth
from aibridged.observe.request_summary import RequestSummary
from aibridged.observe.running import Running
from aibridged.pipeline.bridge import Bridge
from aibridged.pipeline.bridge_pool import BridgeKey, BridgePool, keep_expiring
from aibridged.pipeline.components import LocalRoute
from aibridged.pipeline.stream_options import UsageRefusals
from aibridged.pipeline.tool_loop.continuations import Continuations
from aibridged.pipeline.trace import Traces
from aibridged.prices.pricing import Pricing
from aibridged.records import spend
from aibridged.records.database import Engine, Place, describe, place_of
from aibridged.records.fingerprint_writer import FingerprintWriter
from aibridged.records.fingerprints import KEY_FILE as FINGERPRINT_KEY_FILE
from aibridged.records.open_database import open_database
from aibridged.records.query import Query
from aibridged.records.recording import Recording
from aibridged.records.refusals import RefusalCounts
from aibridged.records.spending import Spending
from aibridged.records.stored_objects import StoredObjects
from aibridged.records.truncation import Truncator
from aibridged.records.viewer import NO_TEXTS
from aibridged.tasks import Tasks
from aibridged.telemetry.relay import TelemetryRelay
from aibridged.transport.idle_pools import Pools
from aibridged.transport.in_flight import InFlight
from aibridged.transport.time_slices import TimeSlices, Turns

if TYPE_CHECKING:
    from aibridged.proxy.authority import Authority


_LIMITS_CHANGED = "spend limits changed"
# How long the database may take for the last counts of refusals.
_COUNTS_S = 5.0
# And for the last fingerprints, with what is left to be made of them.
_FINGERPRINTS_S = 5.0


class Resources(msgspec.Struct, frozen=True):
    """Everything that lives as long as the daemon, whatever its configuration.

    `tokens` is the store of users and tokens, if this daemon has one; `records` describes where
    records are kept, `place` names it without its version; `truncator` bounds their texts.
    `sign_in` are the routes of signing in, and `ui` those of the web page: none where it is off.
    `policy_groups` are the groups that the current policies are for. `group_jobs` are none where
    another process does them.
    """

    clock: Clock
    siblings: Siblings
    engine: Engine
    recorder: Recording
    records: str
    place: Place
    truncator: Truncator
    pricing: Pricing
    limits: LimitsInForce
    estimates: Estimates
    spending: Spending
    tokens: TokenStore | None
    group_jobs: GroupJobs | None
    gatekeeper: Gatekeeper
    gate: Throttle
    in_flight: InFlight
    running: Running
    limiters: Limiters
    slots: Slots
    replicas: Replicas | None
    person_limits: PersonLimits
    sessions: Sessions
    used_shares: UsedShares
    connection_limiter: ConnectionLimiter
    shortages: Shortages
    pools: Pools
    body_budget: ByteBudget
    turns: Turns
    slices: TimeSlices
    bridges: BridgePool[Bridge]
    continuations: Continuations
    usage_refusals: UsageRefusals
    stored_objects: StoredObjects
    mcp: McpTools
    api: Api
    spend_limit_api: SpendLimitApi
    reloads: ReloadStats
    telemetry: TelemetryRelay
    budget_alerts: BudgetAlerts
    fingerprints: FingerprintWriter
    traces: Traces | None
    metrics: Metrics | None
    provider_health: ProviderHealth
    on_finished: tuple[Callable[[RequestSummary], None], ...]
    authority: "Authority | None"
    sign_in: Mapping[str, LocalRoute]
    ui: Mapping[str, LocalRoute]
    policy_groups: set[str]


async def make_resources(
    settings: Settings,
    clock: Clock,
    stack: AsyncExitStack,
    siblings: Siblings,
    limiters: Limiters,
    *,
    with_page: bool,
) -> Resources:
    """Make the resources, with the web page or without; `stack` closes them, in reverse order.

    Raises:
        DatabaseError, DatabaseAwayError, SpoolError, OSError: the records can't be kept.
        TracingError: traces can't be exported.
        AiProxyError: the AI Proxy is enabled, and has no CA.
        CredentialKeyError, StoreUnavailableError: the identity provider's grants can't be kept, or
            the spend limits can't be read.
    """
    authority = load_ca(settings, clock) if settings.proxy_enabled else None
    policy_groups: set[str] = set()
    # First, so that it is closed last: the last records have spans, too.
    traces = _make_traces(settings, clock, stack)
    engine = await asyncio.to_thread(open_database, settings)
    truncator = Truncator(settings.max_stored_text)
    stack.callback(truncator.close)
    recorder, group_jobs = await make_recorder(
        settings, engine, clock, truncator, stack, traces, siblings
    )
    fingerprints = _make_fingerprints(settings, engine, clock, stack)
    refusals = RefusalCounts(engine, clock)
    stack.push_async_callback(asyncio.to_thread, refusals.finish, _COUNTS_S)
    tokens = TokenStore(engine, clock) if settings.auth == "token" else None
    running = Running()
    metrics = _make_metrics(settings, clock, running, stack)
    limits = await _make_limits(engine, clock, stack)
    on_limits_changed = _telling_siblings(limits, siblings)
    slots, person_limits = limiters.slots(settings.max_concurrency), limiters.person_limits()
    replicas = make_replicas(settings, slots, person_limits, limiters, stack)
    limiters = limiters if replicas is None else replicas.limiters
    pricing = Pricing(settings.state_dir)
    stack.push_async_callback(pricing.close)
    query = Query(engine, clock, NO_TEXTS, price=pricing.price)
    api = Api(
        query,
        clock,
        Looks(engine, clock),
        SESSION_ROUTES,
        limiters.rate_limiter(A_SECOND, "query"),
    )
    spend_limit_api = SpendLimitApi(
        query,
        clock,
        partial(SpendLimitStore, engine, clock, spend),
        follow_limits(replicas, limits, on_limits_changed),
        limiters.rate_limiter(A_SECOND, "spend limits"),
    )
    mcp = McpTools(settings, clock, mcp_credentials(settings, engine, clock))
    stack.push_async_callback(mcp.close)
    telemetry = TelemetryRelay(clock)
    stack.push_async_callback(telemetry.close)
    budget_alerts = BudgetAlerts(engine, clock)
    stack.push_async_callback(budget_alerts.close)
    stored_objects = StoredObjects(engine, recorder.record)
    bridges = _make_bridges(settings, recorder, truncator, clock, stored_objects, mcp, pricing)
    stack.callback(bridges.close)
    tasks = Tasks()
    tasks.start(keep_expiring(bridges), "expiry of bridges")
    stack.push_async_callback(tasks.cancel)
    gatekeeper, gate = make_gatekeeper(settings, engine, clock, stack, siblings, replicas)
    stack.callback(api.close)
    stack.callback(spend_limit_api.close)
    now = clock.wall().timestamp()
    connection_limiter, shortages = ConnectionLimiter(clock), Shortages(clock)
    connection_limiter.on_full = shortages.no_place
    turns, provider_health = Turns(clock), ProviderHealth(clock)
    slices, in_flight = TimeSlices(turns, clock), InFlight()
    serve_live(api, engine, clock, gate.active_requests, slices, in_flight, siblings, stack)
    sign_in = await make_sign_in(
        settings, engine, clock, gatekeeper, policy_groups, metrics, limiters, stack, replicas
    )
    return Resources(
        clock=clock,
        siblings=siblings,
        engine=engine,
        recorder=recorder,
        records=describe(engine),
        place=place_of(engine.url),
        truncator=truncator,
        pricing=pricing,
        limits=limits,
        estimates=Estimates(),
        spending=Spending(engine),
        tokens=tokens,
        group_jobs=group_jobs,
        gatekeeper=gatekeeper,
        gate=gate,
        in_flight=in_flight,
        running=running,
        limiters=limiters,
        slots=slots,
        replicas=replicas,
        person_limits=person_limits,
        sessions=limiters.sessions(),
        used_shares=UsedShares(limiters.kept(MAX_CALLERS, "used shares")),
        connection_limiter=connection_limiter,
        shortages=shortages,
        pools=Pools(connection_limiter, shortages),
        body_budget=ByteBudget(body_bytes(settings, limiters.workers), settings.max_request_bytes),
        turns=turns,
        slices=slices,
        bridges=bridges,
        continuations=Continuations(stored_objects),
        usage_refusals=UsageRefusals(clock),
        stored_objects=stored_objects,
        mcp=mcp,
        api=api,
        spend_limit_api=spend_limit_api,
        reloads=ReloadStats(last_attempt=now, last_success=now),
        telemetry=telemetry,
        budget_alerts=budget_alerts,
        fingerprints=fingerprints,
        traces=traces,
        metrics=metrics,
        authority=authority,
        sign_in=sign_in.routes,
        ui=make_ui(
            settings,
            api,
            spend_limit_api,
            gate,
            sign_in.page,
            clock,
            slices,
            limiters,
            is_on=with_page,
        ),
        policy_groups=policy_groups,
        provider_health=provider_health,
        on_finished=(
            request_finished,
            provider_health.note,
            refusals.note,
            *([metrics.finished] if metrics is not None else []),
        ),
    )


def _make_fingerprints(
    settings: Settings, engine: Engine, clock: Clock, stack: AsyncExitStack
) -> FingerprintWriter:
    key = CredentialKey(settings.state_dir / FINGERPRINT_KEY_FILE)

    def read_key() -> bytes:
        key.make()
        return key.read()

    writer = FingerprintWriter(engine, clock, read_key)
    stack.push_async_callback(asyncio.to_thread, writer.finish, _FINGERPRINTS_S)
    return writer


def _telling_siblings(limits: LimitsInForce, siblings: Siblings) -> Callable[[], None]:
    """To be called by a thread that has changed limits: they are read here, and soon there, too."""

    async def told(_: object) -> None:
        limits.read_soon()

    def changed() -> None:
        limits.read()
        loop.call_soon_threadsafe(siblings.tell, _LIMITS_CHANGED)

    loop = asyncio.get_running_loop()
    siblings.on(_LIMITS_CHANGED, told)
    return changed


async def _make_limits(engine: Engine, clock: Clock, stack: AsyncExitStack) -> LimitsInForce:
    limits = LimitsInForce(partial(read_limits, engine), clock)
    await asyncio.to_thread(limits.start)
    stack.callback(limits.close)
    return limits


def _make_traces(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Traces | None:
    if not settings.trace:
        return None
    # It needs an extra, and takes a while to import.
    from aibridged.observe.tracing import open_tracing

    tracing = open_tracing(clock)
    stack.push_async_callback(tracing.close)
    return Traces(tracing, clock)


def _make_metrics(
    settings: Settings, clock: Clock, running: Running, stack: AsyncExitStack
) -> Metrics | None:
    if not settings.prometheus_enable:
        return None
    metrics = Metrics(running, initiators=settings.prometheus_initiator_labels)
    stack.callback(LoopLag(clock, metrics.loop_lagged).stop)
    return metrics


def _make_bridges(
    settings: Settings,
    recorder: Recording,
    truncator: Truncator,
    clock: Clock,
    stored_objects: StoredObjects,
    mcp: McpTools,
    pricing: Pricing,
) -> BridgePool[Bridge]:
    def make(key: BridgeKey) -> Bridge:
        tools = mcp.of(key.initiator_id, key.mcp_servers)
        return Bridge(key, recorder, truncator, clock, stored_objects, pricing, tools)

    return BridgePool(
        make, Bridge.close, clock, ttl=settings.pool_ttl, max_items=settings.pool_max_items
    )
