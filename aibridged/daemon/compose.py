"""The composition root: the only place that constructs the components.

Some live as long as the daemon (`Resources`); the others depend on the configuration, and a reload
makes new ones (`Composition.reconfigure`).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from aibridged.api import problems, spend_limits
from aibridged.api.people import A_SECOND, Forgetful, People
from aibridged.api.people_routes import people_routes
from aibridged.api.problems import Problems
from aibridged.api.routes import Route
from aibridged.clock import Clock
from aibridged.config.options import Settings
from aibridged.core.breaker import BreakerKey, Breakers, OnChange
from aibridged.core.byte_budget import ByteBudget
from aibridged.core.circuit import BreakerSettings, State
from aibridged.core.limiters import Limiters, LocalLimiters
from aibridged.core.policies import Policies, named_groups
from aibridged.core.rate_limit import RateLimiter
from aibridged.daemon.client_limits import limit_idle
from aibridged.daemon.memory import body_bytes
from aibridged.daemon.merged import Merged, problems_of_all
from aibridged.daemon.problems import find_problems
from aibridged.daemon.replicas import own_rate, telling
from aibridged.daemon.resources import Resources, make_resources
from aibridged.daemon.web_page import has_own_listener, root
from aibridged.daemon.workers.siblings import Siblings
from aibridged.identity.cache import CachedAuthenticator
from aibridged.observe.events import circuit_changed
from aibridged.pipeline import Components, standing, telemetry, whoami
from aibridged.pipeline.components import LocalRoute
from aibridged.pipeline.dump import Dumper
from aibridged.pipeline.dump_writer import DumpWriter
from aibridged.pipeline.managed_settings import SETTINGS_PATH, managed_settings
from aibridged.pipeline.provider_key import KeyRefusals
from aibridged.providers import make_providers
from aibridged.tasks import Tasks
from aibridged.transport.chunk_time import timed
from aibridged.transport.upstream import Upstream
from aibridged.transport.upstream_connection import UpstreamConnection
from aibridged.transport.upstream_pool import Key, Upstreams
from aibridged.transport.upstream_proxy import UpstreamProxies

if TYPE_CHECKING:
    from aibridged.daemon.group_metrics import GroupMetrics

Services = Callable[["Composition"], Iterable[Route]]
"""Makes routes of the API that need the whole composition."""

# How long the disk may take for the last dumps.
_DUMPS_S = 5.0


class Composition:
    """All components. `components` are those of the current configuration.

    `group_metrics` reads the metrics, if they are enabled.
    """

    def __init__(self, resources: Resources, settings: Settings, services: Services) -> None:
        self.resources = resources
        self.group_metrics = self._group_metrics(resources)
        self._proxies = UpstreamProxies()
        self._key_refusals = KeyRefusals(resources.clock)
        self._upstreams = Upstreams(resources.in_flight, self._make_upstream)
        limit_idle(resources.connection_limiter, settings)
        self._tasks = Tasks()
        self._dump_writer = DumpWriter()
        resources.telemetry.configure(settings.telemetry)
        resources.budget_alerts.configure(settings)
        resources.budget_alerts.start()
        resources.api.prompt_access = settings.prompt_access
        self._spend_limits = LocalRoute(
            spend_limits.METHODS, resources.spend_limit_api, says_request_id=True
        )
        self._telemetry_budget = ByteBudget(
            telemetry.MAX_IN_FLIGHT_BYTES, telemetry.MAX_BATCH_BYTES
        )
        gatekeeper = resources.gatekeeper
        cache: Forgetful | None = None
        if isinstance(gatekeeper, CachedAuthenticator):
            cache = telling(resources.replicas, gatekeeper)
        self._people = People(
            resources.engine,
            resources.clock,
            lambda: self.components,
            cache,
            resources.limiters.rate_limiter(A_SECOND, "people"),
        )
        resources.api.serve(people_routes(self._people))
        resources.api.serve(services(self))
        self.components = self._configured(settings, None)
        resources.api.serve(problems.routes(self._problems(resources)))
        resources.pricing.configure(settings)
        self._configure_group_jobs(settings)

    def _problems(self, resources: Resources) -> Merged[Problems]:
        async def own() -> Problems:
            return await find_problems(self.components, resources)

        return Merged(resources.siblings, "problems", own, Problems, problems_of_all)

    def _group_metrics(self, resources: Resources) -> "GroupMetrics | None":
        if resources.metrics is None:
            return None
        from aibridged.daemon.group_metrics import GroupMetrics
        from aibridged.daemon.metrics_snapshot import MetricsSnapshot

        snapshot = MetricsSnapshot(
            resources.metrics,
            resources.recorder,
            resources.gatekeeper,
            resources.mcp,
            resources.telemetry.counts,
            resources.budget_alerts,
            resources.fingerprints,
        )
        return GroupMetrics(lambda: snapshot(self.components), resources.siblings, resources.slices)

    def reconfigure(self, settings: Settings) -> Components:
        """Make new `components`; what these settings leave unchanged is kept, with its state.

        Each component gets what it needs to know, and finds out by itself whether that is new.
        Requests in flight keep the components that they began with. The server must switch to the
        new ones before anything is awaited.
        """
        before, resources = self.components, self.resources
        resources.telemetry.configure(settings.telemetry)
        resources.pricing.configure(settings)
        resources.budget_alerts.configure(settings)
        self.components = self._configured(settings, before)
        resources.slots.limit = settings.max_concurrency
        limit_idle(resources.connection_limiter, settings)
        resources.body_budget.resize(
            body_bytes(settings, resources.limiters.workers), settings.max_request_bytes
        )
        resources.gate.active_requests.grace = settings.revocation_grace
        resources.truncator.max_bytes = settings.max_stored_text
        resources.api.prompt_access = settings.prompt_access
        if resources.mcp.configure(settings):
            resources.bridges.close()
        resources.bridges.limit(ttl=settings.pool_ttl, max_items=settings.pool_max_items)
        if isinstance(resources.gatekeeper, CachedAuthenticator):
            resources.gatekeeper.limit(
                good_ttl=settings.auth_cache_ttl,
                bad_ttl=settings.auth_cache_bad_ttl,
                max_entries=settings.auth_cache_size,
            )
        self._configure_group_jobs(settings)
        return self.components

    def _configure_group_jobs(self, settings: Settings) -> None:
        if (jobs := self.resources.group_jobs) is not None:
            jobs.configure(settings)

    async def close(self) -> None:
        """Stop background tasks, and close the connections to the providers."""
        await self._tasks.cancel()
        await self._people.close()
        await self._upstreams.close()
        await asyncio.to_thread(self._dump_writer.finish, _DUMPS_S)

    def _configured(self, settings: Settings, before: Components | None) -> Components:
        resources, policies = self.resources, self._policies(settings, before)
        return Components(
            settings=settings,
            clock=resources.clock,
            providers=make_providers(settings.providers),
            upstreams=self._upstreams.for_providers(settings),
            gate=resources.gate,
            recorder_stats=resources.recorder.stats,
            pricing=resources.pricing,
            limits=resources.limits,
            estimates=resources.estimates,
            spending=resources.spending,
            in_flight=resources.in_flight,
            running=resources.running,
            requests=resources.in_flight.next_generation(),
            slots=resources.slots,
            shared=None if resources.replicas is None else resources.replicas.limits,
            connection_limiter=resources.connection_limiter,
            shortages=resources.shortages,
            body_budget=resources.body_budget,
            slices=resources.slices,
            policies=policies,
            person_limits=resources.person_limits,
            sessions=resources.sessions,
            used_shares=resources.used_shares,
            rate_limiter=_rate_limiter(settings, resources.limiters, before),
            breakers=_breakers(settings, resources.limiters, before, self._circuit_changed),
            bridges=resources.bridges,
            continuations=resources.continuations,
            usage_refusals=resources.usage_refusals,
            key_refusals=self._key_refusals,
            stored_objects=resources.stored_objects,
            turns=resources.turns,
            dumper=self._dumper(settings.dump_dir),
            fingerprints=resources.fingerprints if settings.prompt_fingerprints else None,
            traces=resources.traces,
            metrics=resources.metrics,
            on_finished=resources.on_finished,
            note_standing=resources.budget_alerts.note,
            reloads=resources.reloads,
            ca_certificate=resources.authority.certificate_pem if resources.authority else None,
            api=resources.api,
            api_roots=resources.api.roots,
            local_routes=self._local_routes(settings, policies),
            web_page=None if has_own_listener(settings) else self._web_page(settings),
        )

    @property
    def of_web_page(self) -> Components:
        """Those of the web page's own listener: it serves nothing else."""
        return replace(
            self.components,
            api_roots=frozenset(),
            ca_certificate=None,
            local_routes=self.resources.ui,
            web_page=self._web_page(self.components.settings),
        )

    def _web_page(self, settings: Settings) -> str | None:
        return f"{root(settings)}/" if self.resources.ui else None

    def _policies(self, settings: Settings, before: Components | None) -> Policies | None:
        self.resources.person_limits.keep(
            [
                own_rate(settings, each.rate_limit)
                for each in settings.policies
                if each.rate_limit is not None
            ]
        )
        groups, named = self.resources.policy_groups, named_groups(settings.policies)
        groups |= named  # other threads look into it, so it is never empty in between
        groups &= named
        kept = before.policies if before is not None else None
        if kept is not None and kept.settings == settings.policies:
            return kept
        return Policies(settings.policies) if settings.policies else None

    def _local_routes(
        self, settings: Settings, policies: Policies | None
    ) -> Mapping[str, LocalRoute]:
        resources = self.resources
        return {
            whoami.PATH: whoami.ROUTE,
            SETTINGS_PATH: managed_settings(policies),
            standing.PATH: standing.standing(resources.limits, resources.spending, resources.clock),
            spend_limits.ROOT: self._spend_limits,
            f"{spend_limits.ROOT}/": self._spend_limits,
            **telemetry.routes(
                settings, resources.telemetry, self._telemetry_budget, resources.slices
            ),
            **resources.sign_in,
            **({} if has_own_listener(settings) else resources.ui),
        }

    def _dumper(self, directory: Path | None) -> Dumper | None:
        if directory is None:
            return None
        return Dumper(directory, self.resources.clock, self._dump_writer)

    def _make_upstream(self, key: Key) -> Upstream:
        connection: Callable[..., UpstreamConnection] = UpstreamConnection
        if (metrics := self.resources.metrics) is not None:
            observe = partial(metrics.chunk_relayed, key.provider)
            connection = timed(self.resources.clock, observe)
        return Upstream(
            key.base_url,
            key.connect_timeout,
            self.resources.pools,
            connection,
            proxy=self._proxies.of(key.proxy, key.connect_timeout),
            keepalive_timeout=key.keepalive_timeout,
        )

    def _circuit_changed(self, key: BreakerKey, before: State, now: State) -> None:
        _log_circuit(key, before, now)
        provider = self.components.providers.get(key.provider)
        if self.resources.metrics is not None and now is State.OPEN and provider is not None:
            route = provider.prefix + key.endpoint
            self.resources.metrics.circuit_opened(key.provider, route, key.model)


async def compose(
    settings: Settings,
    clock: Clock,
    stack: AsyncExitStack,
    services: Services = lambda composition: (),
    siblings: Siblings | None = None,
    *,
    with_page: bool = False,
) -> Composition:
    """Make all components; `stack` closes them, in reverse order.

    Raises: whatever `make_resources` raises.
    """
    siblings = siblings or Siblings()
    limiters = LocalLimiters(clock) if siblings.limiters is None else siblings.limiters
    resources = await make_resources(
        settings, clock, stack, siblings, limiters, with_page=with_page
    )
    composition = Composition(resources, settings, services)
    stack.push_async_callback(composition.close)
    return composition


def _rate_limiter(
    settings: Settings, limiters: Limiters, before: Components | None
) -> RateLimiter | None:
    if not settings.rate_limit:
        return None
    kept = before.rate_limiter if before is not None else None
    if kept is not None and kept.rate == own_rate(settings, settings.rate_limit):
        return kept
    return limiters.callers(settings.rate_limit)


def _breakers(
    settings: Settings, limiters: Limiters, before: Components | None, on_change: OnChange
) -> Breakers | None:
    if not settings.circuit_breaker_enabled:
        return None
    wanted = BreakerSettings(
        failure_threshold=settings.circuit_breaker_failure_threshold,
        interval=settings.circuit_breaker_interval,
        timeout=settings.circuit_breaker_timeout,
        max_requests=settings.circuit_breaker_max_requests,
    )
    kept = before.breakers if before is not None else None
    if kept is not None and kept.settings == wanted:
        return kept
    return limiters.breakers(wanted, on_change)


def _log_circuit(key: BreakerKey, before: State, now: State) -> None:
    circuit_changed(
        provider=key.provider,
        endpoint=key.endpoint,
        model=key.model,
        before=before.value,
        now=now.value,
    )
