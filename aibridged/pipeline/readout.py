"""What the parts count for themselves, read when somebody asks for the metrics."""

import platform
from collections.abc import Iterator

from aibridged import __version__
from aibridged.identity.base import Gatekeeper
from aibridged.identity.cache import CachedAuthenticator
from aibridged.mcp.offering import McpTools
from aibridged.observe import limit_table
from aibridged.observe import metric_table as table
from aibridged.observe.metric import Metric
from aibridged.observe.metrics import Metrics
from aibridged.observe.series import Labels, Numbers, Reading
from aibridged.pipeline.parts import Parts
from aibridged.records.recorder import Recorder


class Readout:
    """All metrics at one moment. It costs requests nothing, and is called on the event loop."""

    def __init__(
        self, metrics: Metrics, recorder: Recorder, gatekeeper: Gatekeeper, mcp: McpTools
    ) -> None:
        self._metrics = metrics
        self._mcp = mcp
        self._recorder = recorder
        self._gatekeeper = gatekeeper
        version = (__version__, platform.python_version())
        self._build = Numbers(table.BUILD_INFO, {version: 1.0})

    def __call__(self, parts: Parts) -> list[Reading]:
        """The readings of the daemon with the parts that are in force."""
        return [
            *self._metrics.readings(),
            *_requests(parts),
            *_clients(parts),
            *self._circuits(parts),
            *_providers(parts),
            *_callers(parts, self._gatekeeper),
            Numbers(table.MCP_FAILURES, {(name,): n for name, n in self._mcp.failures.items()}),
            *_records(self._recorder),
            self._build,
        ]

    def _circuits(self, parts: Parts) -> Iterator[Reading]:
        """Of circuits that the labels don't tell apart, the one that is open furthest."""
        levels: dict[Labels, float] = {}
        states = parts.breakers.states() if parts.breakers is not None else {}
        for key, state in states.items():
            provider = parts.providers.get(key.provider)
            if provider is not None:
                route = provider.prefix + key.endpoint
                labels = (key.provider, route, self._metrics.model(key.model))
                levels[labels] = max(levels.get(labels, 0.0), state.level)
        yield Numbers(table.BREAKER_STATE, levels)


def _number(row: Metric, value: float) -> Numbers:
    return Numbers(row, {(): value})


def _requests(parts: Parts) -> Iterator[Reading]:
    yield _number(table.REQUESTS_IN_FLIGHT, parts.in_flight.count)
    yield _number(table.READY, float(not parts.in_flight.draining))
    yield _number(limit_table.SLOTS_IN_USE, parts.slots.in_use)
    yield _number(limit_table.SLOTS_LIMIT, parts.slots.limit)
    if parts.rate_limiter is not None:
        yield _number(limit_table.RATE_LIMITER_CALLERS, len(parts.rate_limiter))


def _clients(parts: Parts) -> Iterator[Reading]:
    room = parts.room
    idle = len(room.idle)
    busy = room.taken + room.taken_surplus - idle
    yield Numbers(limit_table.CLIENT_CONNECTIONS, {("busy",): busy, ("idle",): idle})
    yield _number(limit_table.CLIENT_PLACES, room.places)
    yield _number(limit_table.IDLE_CLOSED, room.idle.closed)
    counts = parts.shortages.counts
    yield Numbers(limit_table.SHORTAGES, {(what,): float(count) for what, count in counts.items()})


def _providers(parts: Parts) -> Iterator[Reading]:
    providers = parts.providers.values()
    yield Numbers(
        table.PROVIDER_INFO, {(each.name, each.type, "enabled"): 1.0 for each in providers}
    )
    connections: dict[Labels, float] = {}
    for name, upstream in parts.upstreams.items():
        in_use, idle = upstream.connections
        connections[name, "in_use"] = in_use
        connections[name, "idle"] = idle
    yield Numbers(table.UPSTREAM_CONNECTIONS, connections)
    yield _number(table.RELOAD_ATTEMPT, parts.reloads.last_attempt)
    yield _number(table.RELOAD_SUCCESS, parts.reloads.last_success)


def _callers(parts: Parts, gatekeeper: Gatekeeper) -> Iterator[Reading]:
    if isinstance(gatekeeper, CachedAuthenticator):
        yield _number(table.AUTH_CACHE_HITS, gatekeeper.hits)
        yield _number(table.AUTH_CACHE_MISSES, gatekeeper.misses)
    pool = parts.bridges.stats
    yield _number(table.POOL_HITS, pool.hits)
    yield _number(table.POOL_MISSES, pool.misses)
    yield _number(table.POOL_ADDITIONS, pool.additions)
    yield _number(table.POOL_EVICTIONS, pool.evictions)
    yield _number(table.POOL_SIZE, len(parts.bridges))


def _records(recorder: Recorder) -> Iterator[Reading]:
    stats = recorder.stats
    yield _number(table.RECORDER_QUEUE, recorder.queue_length)
    yield stats.start_waits.read()
    yield stats.commit_times.read()
    yield stats.batches.read()
    yield _number(table.STARTS_REFUSED, stats.starts_refused)
    yield _number(table.RECORDS_SPOOLED, stats.records_spooled)
    yield _number(table.RECORDS_REPLAYED, stats.records_replayed)
    yield _number(table.RECORDS_LOST, stats.records_lost)
    yield _number(table.SPOOL_SIZE, stats.spool_bytes)
    yield _number(table.DATABASE_UP, float(not stats.database_away))
