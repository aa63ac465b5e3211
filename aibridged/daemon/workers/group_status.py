"""The status of a group of workers: one document of theirs."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from aibridged.daemon.status_report import (
    MOST,
    Circuit,
    Circuits,
    Clients,
    Database,
    McpServer,
    Process,
    RateLimit,
    Records,
    Redis,
    Requests,
    RunningModel,
    Status,
    Worker,
)

STATUS = "status"
"""To a worker, which answers with its `Status`."""
GROUP_STATUS = "status of all"
"""To the supervisor, which answers with that of the group."""
GROUP_WORKERS = "workers"
"""To the supervisor, which answers with a list of `Worker`, and asks none of them."""

T = TypeVar("T")

# The most open first.
_STATES = ("open", "half-open", "closed")


def together(
    statuses: Sequence[Status], workers: Sequence[Worker], writers: Sequence[Worker] = ()
) -> Status:
    """One document of those of the workers that answer; `workers` are all there are, and `writers`
    the processes that write for them.

    What several tell of one thing they share is the highest of their numbers, other numbers are
    summed up.
    """
    first = statuses[0] if statuses else Status()
    return Status(
        version=first.version,
        state=_state(statuses, workers, writers),
        state_dir=first.state_dir,
        listeners=first.listeners,
        database=_database(_present(each.database for each in statuses)),
        records=_records(_present(each.records for each in statuses)),
        requests=_requests(_present(each.requests for each in statuses)),
        rate_limit=_rate_limit(_present(each.rate_limit for each in statuses)),
        redis=_redis(_present(each.redis for each in statuses)),
        circuits=_circuits(_present(each.circuits for each in statuses)),
        mcp_servers=_mcp_servers(_present(each.mcp_servers for each in statuses)),
        mcp_servers_left_out=max((each.mcp_servers_left_out for each in statuses), default=0),
        clients=_clients(_present(each.clients for each in statuses)),
        process=_process(_present(each.process for each in statuses)),
        workers=[*writers, *workers],
    )


def _present(found: Iterable[T | None]) -> list[T]:
    return [each for each in found if each is not None]


def _state(statuses: Sequence[Status], workers: Sequence[Worker], writers: Sequence[Worker]) -> str:
    serving = [each.state == "serving" for each in workers]
    if not any(serving):
        return "down, as no worker serves"
    others = [each.state for each in statuses if each.state != "serving"]
    if others:
        return others[0]
    missing = []
    if not all(serving):
        missing.append(f"with {sum(serving)} of {len(serving)} workers")
    if any(each.state != "serving" for each in writers):
        missing.append("without the writer of their records")
    return " ".join(["serving", ", ".join(missing)]).rstrip()


def _database(found: Sequence[Database]) -> Database | None:
    if not found:
        return None
    commits = [each.last_commit_s for each in found if each.last_commit_s is not None]
    return Database(
        kind=found[0].kind,
        location=found[0].location,
        answers=all(each.answers for each in found),
        waiting=sum(each.waiting for each in found),
        last_commit_s=min(commits, default=None),
    )


def _records(found: Sequence[Records]) -> Records | None:
    return _summed(Records, found)


def _clients(found: Sequence[Clients]) -> Clients | None:
    return _summed(Clients, found)


def _summed(kind: Callable[..., T], found: Sequence[T]) -> T | None:
    if not found:
        return None
    names: tuple[str, ...] = found[0].__struct_fields__  # type: ignore[attr-defined]
    return kind(**{name: sum(getattr(each, name) for each in found) for name in names})


def _requests(found: Sequence[Requests]) -> Requests | None:
    if not found:
        return None
    counts: dict[tuple[str, str], int] = {}
    for each in (model for requests in found for model in requests.by_model):
        counts[each.provider, each.model] = counts.get((each.provider, each.model), 0) + each.count
    models = [RunningModel(*names, count) for names, count in counts.items()]
    models.sort(key=lambda each: -each.count)
    return Requests(
        in_flight=sum(each.in_flight for each in found),
        by_model=models[:MOST],
        left_out=len(models[MOST:]) + max(each.left_out for each in found),
        slots_in_use=max(each.slots_in_use for each in found),
        slots=found[0].slots,
    )


def _rate_limit(found: Sequence[RateLimit]) -> RateLimit | None:
    return max(found, key=lambda each: each.refused_callers, default=None)


def _redis(found: Sequence[Redis]) -> Redis | None:
    """That of a worker for which it is away, if there is one; each has a connection of its own."""
    if not found:
        return None
    return msgspec.structs.replace(
        min(found, key=lambda each: each.answers),
        outages=max(each.outages for each in found),
        decided_here=sum(each.decided_here for each in found),
        processes=max(each.processes for each in found),
    )


def _circuits(found: Sequence[Circuits]) -> Circuits | None:
    if not found:
        return None
    worst: dict[tuple[str, str, str, str], Circuit] = {}
    for each in (circuit for circuits in found for circuit in circuits.troubled):
        key = each.provider, each.endpoint, each.model, each.key
        worst[key] = min(worst.get(key, each), each, key=_how_well)
    troubled = sorted(worst.values(), key=_how_well)
    left_out = len(troubled[MOST:]) + max(each.left_out for each in found)
    return Circuits(found[0].threshold, troubled[:MOST], left_out)


def _how_well(circuit: Circuit) -> tuple[int, int]:
    state = circuit.state
    return (_STATES.index(state) if state in _STATES else len(_STATES)), -circuit.failures


def _mcp_servers(found: Sequence[list[McpServer]]) -> list[McpServer]:
    servers: dict[str, McpServer] = {}
    for each in (server for servers in found for server in servers):
        known = servers.get(each.id)
        servers[each.id] = each if known is None else _server(known, each)
    return [*servers.values()]


def _server(one: McpServer, other: McpServer) -> McpServer:
    return McpServer(
        one.id,
        max(one.failing, other.failing),
        one.reason or other.reason,
        one.failures + other.failures,
        one.sessions_ended + other.sessions_ended,
    )


def _process(found: Sequence[Process]) -> Process | None:
    if not found:
        return None
    descriptors = _present(each.descriptors for each in found)
    return Process(
        resident_bytes=sum(each.resident_bytes for each in found),
        available_bytes=found[0].available_bytes,
        bodies_bytes=sum(_present(each.bodies_bytes for each in found)),
        bodies_limit_bytes=sum(_present(each.bodies_limit_bytes for each in found)),
        descriptors=sum(descriptors) if len(descriptors) == len(found) else None,
        descriptors_limit=sum(each.descriptors_limit for each in found),
    )
