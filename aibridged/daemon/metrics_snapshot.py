"""Snapshot of the components' own counters, taken when metrics are scraped."""

import platform
from collections.abc import Iterator

from aibridged import __version__
from aibridged.daemon.budget_alerts import BudgetAlerts
from aibridged.daemon.record_readings import record_readings
from aibridged.identity.base import Gatekeeper
from aibridged.identity.cache import CachedAuthenticator
from aibridged.mcp.factory import McpTools
from aibridged.observe import budget_table, limit_table, mcp_table, record_table, telemetry_table
from aibridged.observe import metric_table as table
from aibridged.observe.log_outputs import LOST
from aibridged.observe.metric import Metric
from aibridged.observe.metrics import Metrics
from aibridged.observe.series import Labels, Numbers, Reading
from aibridged.pipeline.components import Components
from aibridged.records.fingerprint_writer import FingerprintWriter
from aibridged.records.recording import Recording
from aibridged.telemetry.destination import Counts


class MetricsSnapshot:
    """All metrics at one moment. It costs requests nothing, and is taken on the event loop."""

    def __init__(
        self,
        metrics: Metrics,
        recorder: Recording,
        gatekeeper: Gatekeeper,
        mcp: McpTools,
        telemetry: Counts,
        alerts: BudgetAlerts,
        fingerprints: FingerprintWriter,
    ) -> None:
        self._metrics = metrics
        self._alerts = alerts
        self._fingerprints = fingerprints
        self._telemetry = telemetry
        self._mcp = mcp
        self._recorder = recorder
        self._gatekeeper = gatekeeper
        version = (__version__, platform.python_version())
        self._build = Numbers(table.BUILD_INFO, {version: 1.0})

    def __call__(self, components: Components) -> list[Reading]:
        """The metrics of the daemon and its current components."""
        return [
            *self._metrics.readings(),
            *_requests(components),
            *_clients(components),
            *self._circuits(components),
            *_providers(components),
            *_callers(components, self._gatekeeper),
            Numbers(mcp_table.MCP_FAILURES, {(name,): n for name, n in self._mcp.failures.items()}),
            Numbers(
                mcp_table.MCP_SESSIONS_ENDED, {(name,): n for name, n in self._mcp.ended.items()}
            ),
            *record_readings(self._recorder),
            Numbers(
                record_table.FINGERPRINTS,
                {(outcome,): n for outcome, n in self._fingerprints.counts.items()},
            ),
            Numbers(telemetry_table.TELEMETRY_RELAYED, {**self._telemetry.relayed}),
            Numbers(telemetry_table.TELEMETRY_DROPPED, {**self._telemetry.dropped}),
            Numbers(budget_table.BUDGET_ALERTS, {**self._alerts.told}),
            Numbers(budget_table.BUDGET_ALERT_POSTS, {**self._alerts.posts}),
            Numbers(table.LOG_LINES_LOST, {(why.value,): float(n) for why, n in LOST.items()}),
            self._build,
        ]

    def _circuits(self, components: Components) -> Iterator[Reading]:
        """The state per label; of circuits that share labels, the most open one's."""
        levels: dict[Labels, float] = {}
        states = components.breakers.states() if components.breakers is not None else {}
        for key, state in states.items():
            provider = components.providers.get(key.provider)
            if provider is not None:
                route = provider.prefix + key.endpoint
                labels = (key.provider, route, self._metrics.model(key.model))
                levels[labels] = max(levels.get(labels, 0.0), state.level)
        yield Numbers(table.BREAKER_STATE, levels)


def _number(row: Metric, value: float) -> Numbers:
    return Numbers(row, {(): value})


def _requests(components: Components) -> Iterator[Reading]:
    yield _number(table.REQUESTS_IN_FLIGHT, components.in_flight.count)
    ready = not (components.in_flight.draining or components.recorder_stats.refuses)
    yield _number(table.READY, float(ready))
    yield _number(limit_table.SLOTS_IN_USE, components.slots.in_use)
    yield _number(limit_table.SLOTS_LIMIT, components.slots.limit)
    if (shared := components.shared) is not None:
        yield _number(limit_table.REDIS_UP, float(shared.lane.is_up))
        yield _number(limit_table.REDIS_OUTAGES, shared.lane.outages)
        yield _number(limit_table.REDIS_LOCAL, shared.local)
    if components.rate_limiter is not None:
        yield _number(limit_table.RATE_LIMITER_CALLERS, len(components.rate_limiter))


def _clients(components: Components) -> Iterator[Reading]:
    limiter = components.connection_limiter
    idle = len(limiter.idle)
    busy = limiter.taken + limiter.taken_surplus - idle
    yield Numbers(limit_table.CLIENT_CONNECTIONS, {("busy",): busy, ("idle",): idle})
    yield _number(limit_table.CLIENT_PLACES, limiter.places)
    yield _number(limit_table.IDLE_CLOSED, limiter.idle.closed)
    counts = components.shortages.counts
    yield Numbers(limit_table.SHORTAGES, {(what,): float(count) for what, count in counts.items()})


def _providers(components: Components) -> Iterator[Reading]:
    providers = components.providers.values()
    yield Numbers(
        table.PROVIDER_INFO, {(each.name, each.type, "enabled"): 1.0 for each in providers}
    )
    connections: dict[Labels, float] = {}
    for name, upstream in components.upstreams.items():
        in_use, idle = upstream.connections
        connections[name, "in_use"] = in_use
        connections[name, "idle"] = idle
    yield Numbers(table.UPSTREAM_CONNECTIONS, connections)
    yield _number(table.RELOAD_ATTEMPT, components.reloads.last_attempt)
    yield _number(table.RELOAD_SUCCESS, components.reloads.last_success)


def _callers(components: Components, gatekeeper: Gatekeeper) -> Iterator[Reading]:
    if isinstance(gatekeeper, CachedAuthenticator):
        yield _number(table.AUTH_CACHE_HITS, gatekeeper.hits)
        yield _number(table.AUTH_CACHE_MISSES, gatekeeper.misses)
    pool = components.bridges.stats
    yield _number(table.POOL_HITS, pool.hits)
    yield _number(table.POOL_MISSES, pool.misses)
    yield _number(table.POOL_ADDITIONS, pool.additions)
    yield _number(table.POOL_EVICTIONS, pool.evictions)
    yield _number(table.POOL_SIZE, len(components.bridges))
