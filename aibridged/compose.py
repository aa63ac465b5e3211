"""The composition root: the only place that constructs the parts."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

from loguru import logger

from aibridged.api import Api
from aibridged.api.handler import ROOTS
from aibridged.bridge_pool import BridgeKey, BridgePool
from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.core.breaker import BreakerKey, Breakers, BreakerSettings, State
from aibridged.core.concurrency import Slots
from aibridged.core.guessing import GuessLimiter
from aibridged.core.rate_limit import RateLimiter
from aibridged.identity import coder
from aibridged.identity.base import Authenticator, Gatekeeper
from aibridged.identity.cache import CachedAuthenticator
from aibridged.identity.none import NoneAuthenticator
from aibridged.identity.token_authenticator import TokenAuthenticator
from aibridged.identity.tokens import TokenStore
from aibridged.pipeline import Parts
from aibridged.pipeline.bridge import Bridge
from aibridged.pipeline.dump import Dumper
from aibridged.pipeline.in_flight import InFlight
from aibridged.pipeline.upstream import make_session
from aibridged.providers import make_providers
from aibridged.records.database import Engine, describe
from aibridged.records.opening import open_database
from aibridged.records.query import Query
from aibridged.records.recorder import Recorder
from aibridged.records.retention import keep_pruning
from aibridged.records.spool import Spool
from aibridged.records.store import Store
from aibridged.records.structured_log import log_record

_SPOOL = "spool.jsonl"


@dataclass(frozen=True, slots=True)
class Composition:
    """The parts, and what the start has to say of them.

    `tokens` is the store of users and tokens where this daemon has one; `records` says where
    records are kept.
    """

    parts: Parts
    tokens: TokenStore | None
    records: str


async def compose(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Composition:
    """Make everything that serves; `stack` closes it again, in the opposite order.

    Raises:
        DatabaseError, DatabaseAwayError, SpoolInUseError, OSError: the records can't be kept.
    """
    engine = await asyncio.to_thread(open_database, settings)
    recorder = await _make_recorder(settings, engine, clock, stack)
    tokens = TokenStore(engine, clock) if settings.auth == "token" else None
    sessions = {
        each.name: make_session(settings.upstream_connect_timeout) for each in settings.providers
    }
    for session in sessions.values():
        stack.push_async_callback(session.close)
    api = Api(Query(engine, clock))
    bridges = _make_bridges(settings, recorder, clock)
    stack.callback(bridges.close)
    parts = Parts(
        settings=settings,
        clock=clock,
        providers=make_providers(settings.providers),
        sessions=sessions,
        gatekeeper=_make_gatekeeper(settings, tokens, clock, stack),
        guesses=GuessLimiter(clock),
        in_flight=InFlight(),
        slots=Slots(settings.max_concurrency),
        rate_limiter=RateLimiter(settings.rate_limit, clock) if settings.rate_limit else None,
        breakers=_make_breakers(settings, clock) if settings.circuit_breaker_enabled else None,
        bridges=bridges,
        dumper=Dumper(settings.dump_dir, clock) if settings.dump_dir else None,
        api=api,
        api_roots=ROOTS,
    )
    stack.callback(api.close)
    return Composition(parts, tokens, describe(engine))


async def _make_recorder(
    settings: Settings, engine: Engine, clock: Clock, stack: AsyncExitStack
) -> Recorder:
    recorder = Recorder(
        Store(engine),
        Spool(settings.state_dir / _SPOOL),
        clock,
        on_record=log_record if settings.structured_logging else None,
    )
    await recorder.open()
    stack.push_async_callback(recorder.close)
    if settings.retention:
        pruning = asyncio.get_running_loop().create_task(
            keep_pruning(recorder, clock, timedelta(seconds=settings.retention))
        )
        stack.callback(pruning.cancel)
    return recorder


def _make_bridges(settings: Settings, recorder: Recorder, clock: Clock) -> BridgePool[Bridge]:
    def make(key: BridgeKey) -> Bridge:
        return Bridge(key, recorder, clock)

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


def _make_breakers(settings: Settings, clock: Clock) -> Breakers:
    return Breakers(
        BreakerSettings(
            failure_threshold=settings.circuit_breaker_failure_threshold,
            interval=settings.circuit_breaker_interval,
            timeout=settings.circuit_breaker_timeout,
            max_requests=settings.circuit_breaker_max_requests,
        ),
        clock,
        _log_circuit,
    )


def _log_circuit(key: BreakerKey, before: State, now: State) -> None:
    logger.bind(provider=key.provider, endpoint=key.endpoint, model=key.model).warning(
        "Circuit breaker: {} -> {}", before.value, now.value
    )
