"""The status of the running daemon: collects what its components know for the status socket."""

import heapq
import os
from collections import Counter
from collections.abc import Generator, Iterable, Sequence

from aibridged import __version__
from aibridged.core.auth import CredentialKind
from aibridged.core.breaker import Breakers, Trouble
from aibridged.core.circuit import State
from aibridged.daemon.compose import Composition
from aibridged.daemon.process_status import clients_status, process_status
from aibridged.daemon.replicas import Replicas
from aibridged.daemon.resources import Resources
from aibridged.daemon.status_report import (
    MOST,
    Circuit,
    Circuits,
    Database,
    Listening,
    McpServer,
    RateLimit,
    Records,
    Redis,
    Requests,
    RunningModel,
    Status,
    short,
)
from aibridged.observe.running import Running
from aibridged.pipeline import Components

REFUSED_WITHIN_S = 60.0
"""Callers that the rate limiter refused so long ago count as limited."""

_A_STEP = 500


async def daemon_status(
    composition: Composition, listeners: Iterable[Listening], uptime: float
) -> Status:
    """The document of a daemon that has run for `uptime` seconds."""
    components, resources = composition.components, composition.resources
    slices = components.slices
    running = await slices.run(_running(components.running), "status")
    troubled: list[Trouble] = []
    if components.breakers is not None:
        troubled = await slices.run(components.breakers.troubles(), "status")
    process = await process_status()
    budget = components.body_budget
    process.bodies_bytes, process.bodies_limit_bytes = budget.held, budget.total
    servers = list(_mcp_servers(resources))
    return Status(
        version=__version__,
        pid=os.getpid(),
        state=_state(components),
        uptime_s=round(uptime, 1),
        state_dir=str(components.settings.state_dir),
        listeners=[*listeners],
        database=_database(resources),
        records=_records(resources),
        requests=_requests(components, running),
        rate_limit=_rate_limit(components),
        redis=_redis(resources.replicas),
        circuits=_circuits(components.breakers, troubled),
        mcp_servers=servers[:MOST],
        mcp_servers_left_out=max(0, len(servers) - MOST),
        clients=clients_status(components.connection_limiter),
        process=process,
    )


def _state(components: Components) -> str:
    if components.in_flight.draining:
        return "shutting down"
    if components.recorder_stats.refuses:
        return "refusing requests, which can't be recorded"
    return "serving"


def _database(resources: Resources) -> Database:
    stats, place = resources.recorder.stats, resources.place
    last = stats.last_commit_at
    return Database(
        kind=place.kind,
        location=place.location,
        answers=not stats.refuses,
        waiting=resources.recorder.queue_length,
        last_commit_s=None if last is None else round(resources.clock.monotonic() - last, 1),
    )


def _records(resources: Resources) -> Records:
    recorder = resources.recorder
    stats = recorder.stats
    return Records(
        spool_bytes=stats.spool_bytes,
        spooled=stats.records_spooled,
        replayed=stats.records_replayed,
        journal_bytes=recorder.journal_bytes,
        unjournaled=recorder.unjournaled,
        lost=stats.records_lost,
    )


def _running(running: Running) -> Generator[None, None, Counter[tuple[str, str]]]:
    """The running interceptions by provider and model, in steps: there may be thousands."""
    by_model: Counter[tuple[str, str]] = Counter()
    for number, ((provider, model, _route), count) in enumerate(list(running.counts.items())):
        by_model[provider, model] += count
        if number % _A_STEP == 0:
            yield
    return by_model


def _requests(components: Components, running: Counter[tuple[str, str]]) -> Requests:
    most = heapq.nlargest(MOST, running.items(), key=lambda item: item[1])
    return Requests(
        in_flight=components.in_flight.count,
        by_model=[RunningModel(name, short(model), count) for (name, model), count in most],
        left_out=len(running) - len(most),
        slots_in_use=components.slots.in_use,
        slots=components.slots.limit,
    )


def _redis(replicas: Replicas | None) -> Redis | None:
    if replicas is None:
        return None
    lane = replicas.lane
    return Redis(
        location=replicas.place,
        answers=lane.is_up,
        reason="" if lane.is_up else short(lane.reason),
        replicas=lane.replicas,
        outages=lane.outages,
        decided_here=replicas.limits.local,
        processes=lane.seen,
        expected=lane.expected,
    )


def _rate_limit(components: Components) -> RateLimit | None:
    limiter = components.rate_limiter
    if limiter is None:
        return None
    rate = components.settings.rate_limit
    return RateLimit(rate, limiter.refused_within(REFUSED_WITHIN_S), REFUSED_WITHIN_S)


def worst_of(troubled: Sequence[Trouble]) -> Sequence[Trouble]:
    """Those to show: circuits that aren't closed first, then those with the most failures."""
    return heapq.nlargest(
        MOST, troubled, key=lambda each: (each.state is not State.CLOSED, each.failures)
    )


def _circuits(breakers: Breakers | None, troubled: list[Trouble]) -> Circuits | None:
    if breakers is None:
        return None
    worst = worst_of(troubled)
    circuits = [circuit(each) for each in worst]
    return Circuits(breakers.settings.failure_threshold, circuits, len(troubled) - len(circuits))


def circuit(trouble: Trouble) -> Circuit:
    """A circuit as it is told; what callers chose is bounded."""
    key = trouble.key
    centralized = key.credential == CredentialKind.CENTRALIZED.value
    return Circuit(
        provider=key.provider,
        endpoint=key.endpoint,
        model=short(key.model),
        # Otherwise it is a hash of the caller's own key.
        key=(CredentialKind.CENTRALIZED if centralized else CredentialKind.BYOK).value,
        state=trouble.state.value,
        failures=trouble.failures,
        retry_in_s=None if trouble.retry_in is None else round(max(0.0, trouble.retry_in), 1),
    )


def _mcp_servers(resources: Resources) -> Iterable[McpServer]:
    mcp = resources.mcp
    for name, (failing, reason) in mcp.failing().items():
        yield McpServer(name, failing, short(reason), mcp.failures[name], mcp.ended[name])
