"""The composition root: the only place that constructs the parts.

Some last as long as the daemon does (`Lasting`); the others are what a configuration decides, and
a reload makes them anew (`Composition.reconfigure`).
"""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial

from aibridged.api.routes import ROOTS
from aibridged.clients import limit_idle
from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.core.breaker import BreakerKey, Breakers, BreakerSettings, OnChange, State
from aibridged.core.rate_limit import RateLimiter
from aibridged.identity.cache import CachedAuthenticator
from aibridged.lasting import Lasting, body_bytes, make_lasting
from aibridged.observe.events import circuit_changed
from aibridged.pipeline import Parts
from aibridged.pipeline.chunk_time import timed
from aibridged.pipeline.dump import Dumper
from aibridged.pipeline.readout import Readout
from aibridged.pipeline.upstream import Upstream
from aibridged.pipeline.upstreams import Upstreams
from aibridged.providers import make_providers
from aibridged.records.retention import keep_pruning
from aibridged.tasks import Tasks

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
        self._upstreams = Upstreams(lasting.in_flight, self._make_upstream)
        limit_idle(lasting.room, settings)
        self._tasks = Tasks()
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
        limit_idle(lasting.room, settings)
        lasting.body_budget.total = body_bytes(settings)
        lasting.body_budget.largest = settings.max_request_bytes
        lasting.gate.admitted.grace = settings.revocation_grace
        lasting.keeping.most = settings.max_stored_text
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
        await self._tasks.cancel()
        await self._upstreams.close()

    def _configured(self, settings: Settings, before: Parts | None) -> Parts:
        lasting = self.lasting
        return Parts(
            settings=settings,
            clock=lasting.clock,
            providers=make_providers(settings.providers),
            upstreams=self._upstreams.for_providers(settings),
            gate=lasting.gate,
            in_flight=lasting.in_flight,
            requests=lasting.in_flight.next_generation(),
            slots=lasting.slots,
            room=lasting.room,
            shortages=lasting.shortages,
            body_budget=lasting.body_budget,
            slices=lasting.slices,
            rate_limiter=_rate_limiter(settings, lasting.clock, before),
            breakers=_breakers(settings, lasting.clock, before, self._circuit_changed),
            bridges=lasting.bridges,
            continuations=lasting.continuations,
            turns=lasting.turns,
            dumper=Dumper(settings.dump_dir, lasting.clock) if settings.dump_dir else None,
            traces=lasting.traces,
            metrics=lasting.metrics,
            on_finished=lasting.on_finished,
            reloads=lasting.reloads,
            ca_certificate=lasting.authority.certificate_pem if lasting.authority else None,
            api=lasting.api,
            api_roots=ROOTS,
        )

    def _make_upstream(self, provider: str, base_url: str, connect_timeout: float) -> Upstream:
        if (metrics := self.lasting.metrics) is None:
            return Upstream(base_url, connect_timeout, self.lasting.pools)
        observe = partial(metrics.chunk_relayed, provider)
        connection = timed(self.lasting.clock, observe)
        return Upstream(base_url, connect_timeout, self.lasting.pools, connection)

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
            self._pruning = self._tasks.start(
                keep_pruning(
                    self.lasting.recorder, self.lasting.clock, timedelta(seconds=retention)
                ),
                "retention",
            )


async def compose(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Composition:
    """Make everything that serves; `stack` closes it again, in the opposite order.

    Raises: what `make_lasting` does.
    """
    composition = Composition(await make_lasting(settings, clock, stack), settings)
    stack.push_async_callback(composition.close)
    return composition


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
