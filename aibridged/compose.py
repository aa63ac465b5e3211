"""The composition root: the only place that constructs the parts.

Some last as long as the daemon does (`Lasting`); the others are what a configuration decides, and
a reload makes them anew (`Composition.reconfigure`).
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from contextvars import Context
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import aiohttp

from aibridged.ai_proxy import load_ca
from aibridged.api import Api
from aibridged.api.handler import ROOTS
from aibridged.bridge_pool import BridgeKey, BridgePool
from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.config.reloading import ReloadStats
from aibridged.config.secret import Secret
from aibridged.core.breaker import BreakerKey, Breakers, BreakerSettings, OnChange, State
from aibridged.core.concurrency import Slots
from aibridged.core.guessing import GuessLimiter
from aibridged.core.rate_limit import RateLimiter
from aibridged.identity import coder
from aibridged.identity.base import Authenticator, Gatekeeper
from aibridged.identity.cache import CachedAuthenticator
from aibridged.identity.credential_key import KEY_FILE, CredentialKey, CredentialKeyError
from aibridged.identity.gate import Gate
from aibridged.identity.mcp_credentials import McpCredentialStore
from aibridged.identity.none import NoneAuthenticator
from aibridged.identity.tables import StoreUnavailableError
from aibridged.identity.token_authenticator import TokenAuthenticator
from aibridged.identity.tokens import TokenStore
from aibridged.mcp.credentials import Credentials, CredentialsError, no_credentials
from aibridged.mcp.offering import McpTools
from aibridged.observe.events import circuit_changed, request_finished
from aibridged.observe.finished import Finished
from aibridged.observe.loop_lag import LoopLag
from aibridged.observe.metrics import Metrics
from aibridged.pipeline import Parts
from aibridged.pipeline.bridge import Bridge
from aibridged.pipeline.chunk_time import time_chunks
from aibridged.pipeline.dump import Dumper
from aibridged.pipeline.in_flight import InFlight
from aibridged.pipeline.readout import Readout
from aibridged.pipeline.sessions import Sessions
from aibridged.pipeline.trace import Traces
from aibridged.pipeline.upstream import make_session
from aibridged.providers import make_providers
from aibridged.records.database import Engine, describe
from aibridged.records.facts import Record
from aibridged.records.opening import open_database
from aibridged.records.query import Query
from aibridged.records.recorder import Recorder
from aibridged.records.retention import keep_pruning
from aibridged.records.spool import Spool
from aibridged.records.store import Store
from aibridged.records.structured_log import log_record

if TYPE_CHECKING:
    from aibridged.proxy.authority import Authority

_SPOOL = "spool.jsonl"
_BRIDGE_SETTINGS = (
    "pool_ttl",
    "pool_max_items",
    "mcp_servers",
    "mcp_init_timeout",
    "mcp_max_tools",
    "mcp_call_timeout",
    "mcp_result_bytes",
)
_BREAKER_SETTINGS = (
    "circuit_breaker_enabled",
    "circuit_breaker_failure_threshold",
    "circuit_breaker_interval",
    "circuit_breaker_timeout",
    "circuit_breaker_max_requests",
)


@dataclass(frozen=True, slots=True)
class Lasting:
    """What lives as long as the daemon, whatever its configuration becomes.

    `tokens` is the store of users and tokens where this daemon has one; `records` says where
    records are kept.
    """

    clock: Clock
    recorder: Recorder
    records: str
    tokens: TokenStore | None
    gatekeeper: Gatekeeper
    gate: Gate
    in_flight: InFlight
    slots: Slots
    bridges: BridgePool[Bridge]
    mcp: McpTools
    api: Api
    reloads: ReloadStats
    traces: Traces | None
    metrics: Metrics | None
    on_finished: tuple[Callable[[Finished], None], ...]
    authority: "Authority | None"


class Composition:
    """Everything that serves. `parts` are those of the configuration in force.

    `readout` reads the metrics, if they are on.
    """

    def __init__(self, lasting: Lasting, settings: Settings) -> None:
        self.lasting = lasting
        self.readout = (
            Readout(lasting.metrics, lasting.recorder, lasting.gatekeeper, lasting.mcp)
            if lasting.metrics is not None
            else None
        )
        self._sessions = Sessions(lasting.in_flight, self._make_session)
        self._pruning: asyncio.Task[None] | None = None
        self.parts = self._configured(settings, None)
        self._prune()

    def reconfigure(self, settings: Settings) -> Parts:
        """Make `parts` anew; what these settings leave as it was is kept, with its state.

        Requests that run keep the parts they began with. Whoever serves must use the new ones
        before anything is awaited.
        """
        before, lasting = self.parts, self.lasting
        self.parts = self._configured(settings, before)
        lasting.slots.limit = settings.max_concurrency
        if not _same(before, settings, *_BRIDGE_SETTINGS):
            lasting.mcp.configure(settings)
            lasting.bridges.renew(ttl=settings.pool_ttl, max_items=settings.pool_max_items)
        if not _same(before, settings, "auth_cache_ttl", "auth_cache_bad_ttl") and isinstance(
            lasting.gatekeeper, CachedAuthenticator
        ):
            lasting.gatekeeper.remember_for(
                good_ttl=settings.auth_cache_ttl, bad_ttl=settings.auth_cache_bad_ttl
            )
        if not _same(before, settings, "retention"):
            self._prune()
        return self.parts

    async def close(self) -> None:
        """Stop what runs by itself, and close the connections to the providers."""
        if self._pruning is not None:
            self._pruning.cancel()
        await self._sessions.close()

    def _configured(self, settings: Settings, before: Parts | None) -> Parts:
        lasting = self.lasting
        return Parts(
            settings=settings,
            clock=lasting.clock,
            providers=make_providers(settings.providers),
            sessions=self._sessions.for_providers(settings),
            gate=lasting.gate,
            in_flight=lasting.in_flight,
            requests=lasting.in_flight.next_generation(),
            slots=lasting.slots,
            rate_limiter=_rate_limiter(settings, lasting.clock, before),
            breakers=_breakers(settings, lasting.clock, before, self._circuit_changed),
            bridges=lasting.bridges,
            dumper=Dumper(settings.dump_dir, lasting.clock) if settings.dump_dir else None,
            traces=lasting.traces,
            metrics=lasting.metrics,
            on_finished=lasting.on_finished,
            reloads=lasting.reloads,
            ca_certificate=lasting.authority.certificate_pem if lasting.authority else None,
            api=lasting.api,
            api_roots=ROOTS,
        )

    def _make_session(self, provider: str, connect_timeout: float) -> aiohttp.ClientSession:
        session = make_session(connect_timeout)
        if (metrics := self.lasting.metrics) is not None:
            time_chunks(session, self.lasting.clock, partial(metrics.chunk_relayed, provider))
        return session

    def _circuit_changed(self, key: BreakerKey, before: State, now: State) -> None:
        _log_circuit(key, before, now)
        provider = self.parts.providers.get(key.provider)
        if self.lasting.metrics is not None and now is State.OPEN and provider is not None:
            route = provider.prefix + key.endpoint
            self.lasting.metrics.circuit_opened(key.provider, route, key.model)

    def _prune(self) -> None:
        if self._pruning is not None:
            self._pruning.cancel()
        self._pruning = None
        if retention := self.parts.settings.retention:
            self._pruning = asyncio.get_running_loop().create_task(
                keep_pruning(
                    self.lasting.recorder, self.lasting.clock, timedelta(seconds=retention)
                )
            )


async def compose(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Composition:
    """Make everything that serves; `stack` closes it again, in the opposite order.

    Raises:
        DatabaseError, DatabaseAwayError, SpoolInUseError, OSError: the records can't be kept.
        TracingError: traces can't be sent.
        AiProxyError: the AI Proxy is wanted, and has no CA.
    """
    authority = load_ca(settings, clock) if settings.proxy_enabled else None
    # First, so that it is closed last: the last records have their spans, too.
    traces = _make_traces(settings, clock, stack)
    engine = await asyncio.to_thread(open_database, settings)
    recorder = await _make_recorder(settings, engine, clock, stack, traces)
    tokens = TokenStore(engine, clock) if settings.auth == "token" else None
    metrics = _make_metrics(settings, clock, stack)
    api = Api(Query(engine, clock))
    mcp = McpTools(settings, clock, _mcp_credentials(settings, engine, clock))
    stack.push_async_callback(mcp.close)
    bridges = _make_bridges(settings, recorder, clock, mcp)
    stack.callback(bridges.close)
    gatekeeper = _make_gatekeeper(settings, tokens, clock, stack)
    now = clock.wall().timestamp()
    lasting = Lasting(
        clock=clock,
        recorder=recorder,
        records=describe(engine),
        tokens=tokens,
        gatekeeper=gatekeeper,
        gate=Gate(gatekeeper, GuessLimiter(clock), clock),
        in_flight=InFlight(),
        slots=Slots(settings.max_concurrency),
        bridges=bridges,
        mcp=mcp,
        api=api,
        reloads=ReloadStats(last_attempt=now, last_success=now),
        traces=traces,
        metrics=metrics,
        authority=authority,
        on_finished=(request_finished, *([metrics.finished] if metrics is not None else [])),
    )
    composition = Composition(lasting, settings)
    stack.push_async_callback(composition.close)
    stack.callback(api.close)
    return composition


def _make_traces(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Traces | None:
    if not settings.trace:
        return None
    # What it needs comes with an extra, and takes its time to load.
    from aibridged.observe.tracing import open_tracing

    tracing = open_tracing(clock)
    stack.push_async_callback(tracing.close)
    return Traces(tracing, clock)


def _make_metrics(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Metrics | None:
    if not settings.prometheus_enable:
        return None
    metrics = Metrics(initiators=settings.prometheus_initiator_labels)
    stack.callback(LoopLag(clock, metrics.loop_lagged).stop)
    return metrics


async def _make_recorder(
    settings: Settings,
    engine: Engine,
    clock: Clock,
    stack: AsyncExitStack,
    traces: Traces | None,
) -> Recorder:
    listeners: list[Callable[[Record], None]] = []
    if settings.structured_logging:
        listeners.append(_log_record)
    if traces is not None:
        listeners.append(traces.committed)

    def on_record(record: Record) -> None:
        for listener in listeners:
            listener(record)

    recorder = Recorder(
        Store(engine),
        Spool(settings.state_dir / _SPOOL),
        clock,
        on_record=on_record if listeners else None,
    )
    await recorder.open()
    stack.push_async_callback(recorder.close)
    return recorder


def _log_record(record: Record) -> None:
    # Records of several requests are committed together, maybe on behalf of one of them.
    Context().run(log_record, record)


def _mcp_credentials(settings: Settings, engine: Engine, clock: Clock) -> Credentials:
    """Looks up the users' own tokens for MCP servers; only this daemon's users have some."""
    if settings.auth != "token":
        return no_credentials
    store = McpCredentialStore(engine, CredentialKey(settings.state_dir / KEY_FILE), clock)

    async def look_up(initiator_id: str) -> Mapping[str, Secret]:
        try:
            return await asyncio.to_thread(store.tokens_of, initiator_id)
        except (StoreUnavailableError, CredentialKeyError) as error:
            raise CredentialsError(str(error)) from None

    return look_up


def _make_bridges(
    settings: Settings, recorder: Recorder, clock: Clock, mcp: McpTools
) -> BridgePool[Bridge]:
    def make(key: BridgeKey) -> Bridge:
        return Bridge(key, recorder, clock, mcp.of(key.initiator_id))

    return BridgePool(
        make, Bridge.close, clock, ttl=settings.pool_ttl, max_items=settings.pool_max_items
    )


def _make_gatekeeper(
    settings: Settings, tokens: TokenStore | None, clock: Clock, stack: AsyncExitStack
) -> Gatekeeper:
    authenticator: Authenticator
    if tokens is not None:
        authenticator = TokenAuthenticator(tokens, clock)
        stack.push_async_callback(authenticator.close)
    elif settings.coder_url is not None:
        session = coder.make_session()
        stack.push_async_callback(session.close)
        authenticator = coder.CoderAuthenticator(settings.coder_url, session)
    else:
        return NoneAuthenticator()
    return CachedAuthenticator(
        authenticator,
        clock,
        good_ttl=settings.auth_cache_ttl,
        bad_ttl=settings.auth_cache_bad_ttl,
    )


def _rate_limiter(settings: Settings, clock: Clock, before: Parts | None) -> RateLimiter | None:
    if before is not None and _same(before, settings, "rate_limit"):
        return before.rate_limiter
    return RateLimiter(settings.rate_limit, clock) if settings.rate_limit else None


def _breakers(
    settings: Settings, clock: Clock, before: Parts | None, on_change: OnChange
) -> Breakers | None:
    if before is not None and _same(before, settings, *_BREAKER_SETTINGS):
        return before.breakers
    if not settings.circuit_breaker_enabled:
        return None
    return Breakers(
        BreakerSettings(
            failure_threshold=settings.circuit_breaker_failure_threshold,
            interval=settings.circuit_breaker_interval,
            timeout=settings.circuit_breaker_timeout,
            max_requests=settings.circuit_breaker_max_requests,
        ),
        clock,
        on_change,
    )


def _same(before: Parts, settings: Settings, *names: str) -> bool:
    """Whether the settings of these names are as they were."""
    return all(getattr(before.settings, name) == getattr(settings, name) for name in names)


def _log_circuit(key: BreakerKey, before: State, now: State) -> None:
    circuit_changed(
        provider=key.provider,
        endpoint=key.endpoint,
        model=key.model,
        before=before.value,
        now=now.value,
    )
