"""The status of a daemon as text: one block of lines, as wide as the terminal at most."""

import textwrap
from collections.abc import Iterator, Sequence

from aibridged.cli.cells import counted, printable
from aibridged.cli.table import fitted, shortened, width
from aibridged.config import durations
from aibridged.counted import noun
from aibridged.daemon.status_report import (
    Circuit,
    Circuits,
    Database,
    McpServer,
    RateLimit,
    Records,
    Redis,
    Requests,
    RunningModel,
    Status,
    Worker,
)

_LABEL = 13
_MOST = 10
"""Lines of each list; the rest is counted. The whole is in the JSON."""
_MODEL = 60
_UNLIMITED = 1 << 60


def as_text(status: Status, room: int) -> str:
    """The status in lines of at most `room` cells."""
    lines = [
        *_wrapped(
            f"aibridged {printable(status.version)} is {printable(status.state)}, up "
            f"{lasting(status.uptime_s)}, process {status.pid}",
            room,
            0,
        ),
        "",
    ]
    for label, entries in _entries(status, room - _LABEL):
        for number, entry in enumerate(entries):
            start = label if number == 0 else ""
            lines.append(f"{start:<{_LABEL}}{printable(entry)}".rstrip())
    return "\n".join(lines)


def lasting(seconds: float) -> str:
    """A duration to about two units: 4.2s, 12m5s, 3h20m, 12d4h."""
    for least, unit in ((86_400, 3600), (3600, 60), (60, 1)):
        if seconds >= least:
            return durations.show(seconds // unit * unit)
    rounded = round(seconds, 1 if seconds < 10 else 0)
    return durations.show(rounded) if rounded else "0s"


def size(count: int) -> str:
    """Bytes for people: 512 B, 3.4 KiB, 1.2 GiB."""
    if count < 1024:
        return f"{count} B"
    amount = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        amount /= 1024
        if amount < 1024 or unit == "TiB":
            break
    return f"{amount:.1f} {unit}"


def _entries(status: Status, room: int) -> Iterator[tuple[str, list[str]]]:
    """Each label with its lines."""
    yield (
        "Listens on",
        [line for each in status.listeners for line in _wrapped(f"{each.url} ({each.what})", room)],
    )
    if status.workers is not None:
        yield "Workers", _workers(status.workers, room)
    if status.forwards_to is not None:
        yield "Forwards to", _wrapped(status.forwards_to, room)
    yield "State", _wrapped(status.state_dir, room)
    if status.database is not None:
        yield (
            "Database",
            [line for text in _database(status.database) for line in _wrapped(text, room)],
        )
    if status.records is not None:
        yield "Spool", _wrapped(_spool(status.records), room)
        yield "Journal", _wrapped(_journal(status.records), room)
    if status.requests is not None:
        yield "Requests", _requests(status.requests, room)
    if status.database is not None:
        yield "Rate limit", _wrapped(_rate_limit(status.rate_limit), room)
        if status.redis is not None:
            yield "Redis", _wrapped(_redis(status.redis), room)
        yield "Circuits", _circuits(status.circuits, room)
    if status.mcp_servers:
        yield "MCP servers", _mcp_servers(status.mcp_servers, status.mcp_servers_left_out, room)
    yield from _resources(status, room)


def _workers(workers: Sequence[Worker], room: int) -> list[str]:
    lines = [line for each in workers[:_MOST] for line in _wrapped(_worker(each), room)]
    return [*lines, *_rest(workers, 0)]


def _worker(worker: Worker) -> str:
    words = [f"{worker.name}: {_worker_state(worker)}"]
    if worker.pid is not None and worker.uptime_s is not None:
        words.append(f"process {worker.pid}, up {lasting(worker.uptime_s)}")
        if worker.state != "silent":
            words.append(f"{worker.in_flight:,} running")
    if worker.restarts:
        words.append(f"{counted(worker.restarts, 'restart')}")
    if worker.ends > 1:
        words.append(f"ended {worker.ends} times in a row")
    return ", ".join(words)


def _worker_state(worker: Worker) -> str:
    if worker.state == "silent" and worker.silent_s is not None:
        return f"DOES NOT ANSWER for {lasting(worker.silent_s)}"
    return worker.state if worker.state == "serving" else worker.state.upper()


def _database(database: Database) -> Iterator[str]:
    yield f"{database.kind} {database.location}"
    last = database.last_commit_s
    commit = "no commit yet" if last is None else f"last commit {lasting(last)} ago"
    answers = "" if database.answers else ", IT DOES NOT ANSWER"
    yield f"{counted(database.waiting, 'fact')} waiting, {commit}{answers}"


def _spool(records: Records) -> str:
    parts = [size(records.spool_bytes) if records.spool_bytes else "empty"]
    if records.spooled or records.replayed:
        parts.append(f"{records.spooled:,} spooled and {records.replayed:,} replayed so far")
    if records.lost:
        parts.append(f"{counted(records.lost, 'record')} LOST")
    return ", ".join(parts)


def _journal(records: Records) -> str:
    parts = [size(records.journal_bytes) if records.journal_bytes else "empty"]
    if records.unjournaled:
        parts.append(f"no room for {counted(records.unjournaled, 'fact')} so far")
    return ", ".join(parts)


def _requests(requests: Requests, room: int) -> list[str]:
    slots = f"of {requests.slots:,} slots" if requests.slots else "slots, which are unlimited"
    first = _wrapped(
        f"{requests.in_flight:,} running, using {requests.slots_in_use:,} {slots}", room
    )
    shown = requests.by_model[:_MOST]
    models = [_model(each, shown, room) for each in shown]
    return [*first, *models, *_rest(requests.by_model, requests.left_out)]


def _model(running: RunningModel, shown: Sequence[RunningModel], room: int) -> str:
    """A line of the table of models, in the same columns as the others."""
    counts = max(len(f"{each.count:,}") for each in shown)
    names = max(width(each.provider) for each in shown)
    start = f"{running.count:>{counts},}  {fitted(running.provider, names)}  "
    return start + fitted(printable(running.model), max(4, room - width(start))).rstrip()


def _rate_limit(limit: RateLimit | None) -> str:
    if limit is None:
        return "off"
    return (
        f"{limit.rate:,} a second per caller; {counted(limit.refused_callers, 'caller')} "
        f"refused within {lasting(limit.within_s)}"
    )


def _redis(redis: Redis) -> str:
    one, many = ("replica", "replicas")
    if redis.expected != redis.replicas:  # it has workers
        one, many = ("process", "processes")
    seen, expected = f"{redis.processes:,}", f"{redis.expected:,}"
    shares = f"limits are shared by {seen} of {expected} {noun(redis.expected, one, many)}"
    if redis.processes > redis.expected:
        shares = (
            f"limits are shared by {seen} {many}, MORE THAN THE {expected} of --aibridge-replicas"
        )
    if not redis.answers:
        why = f" ({printable(redis.reason)})" if redis.reason else ""
        shares = f"IT IS AWAY{why}, this replica has its share: 1/{redis.replicas:,} of the limits"
    so_far = f"; away {counted(redis.outages, 'time')} so far" if redis.outages else ""
    return f"{redis.location}: {shares}{so_far}"


def _circuits(circuits: Circuits | None, room: int) -> list[str]:
    if circuits is None:
        return ["circuit breaker off"]
    if not circuits.troubled:
        return ["all closed, without failures"]
    shown = [
        line
        for each in circuits.troubled[:_MOST]
        for line in _wrapped(_circuit(each, circuits.threshold), room)
    ]
    return [*shown, *_rest(circuits.troubled, circuits.left_out)]


def _circuit(circuit: Circuit, threshold: int) -> str:
    state = circuit.state.upper() if circuit.state == "open" else circuit.state
    if circuit.retry_in_s is not None:
        how = f"probes in {lasting(circuit.retry_in_s)}"
    elif circuit.state == "closed":
        how = f"{circuit.failures:,} of {counted(threshold, 'failure')}"
    else:
        how = "waiting for a probe"
    whose = "" if circuit.key == "centralized" else " with a caller's own key"
    model = shortened(printable(circuit.model), _MODEL)
    return f"{state}: {circuit.provider} {circuit.endpoint} {model}{whose}, {how}"


def _mcp_servers(servers: Sequence[McpServer], left_out: int, room: int) -> list[str]:
    lines = []
    # Those that fail come first.
    for each in sorted(servers, key=lambda server: not server.failing)[:_MOST]:
        text = "available" if not each.failing else f"FAILING: {printable(each.reason)}"
        counts = [
            counted(number, one)
            for number, one in ((each.failures, "failure"), (each.sessions_ended, "ended session"))
            if number
        ]
        told = f" ({', '.join(counts)})" if counts else ""
        lines.append(shortened(f"{each.id}: {text}{told}", room))
    return [*lines, *_rest(servers, left_out)]


def _resources(status: Status, room: int) -> Iterator[tuple[str, list[str]]]:
    clients, process = status.clients, status.process
    if clients is not None:
        most = "" if clients.places >= _UNLIMITED else f" of {clients.places:,}"
        connections = counted(clients.busy + clients.idle, "connection")
        yield "Clients", _wrapped(f"{connections}{most}, {clients.idle:,} idle", room)
    if process is None:
        return
    memory = f"{size(process.resident_bytes)} of {size(process.available_bytes)}"
    if process.bodies_bytes is not None and process.bodies_limit_bytes is not None:
        memory += (
            f"; request bodies {size(process.bodies_bytes)} of {size(process.bodies_limit_bytes)}"
        )
    yield "Memory", _wrapped(memory, room)
    used = "unknown" if process.descriptors is None else f"{process.descriptors:,}"
    yield "Descriptors", _wrapped(f"{used} of {process.descriptors_limit:,}", room)


def _rest(shown: Sequence[object], left_out: int) -> list[str]:
    more = max(0, len(shown) - _MOST) + left_out
    return [f"… and {more:,} more"] if more else []


def _wrapped(text: str, room: int, indent: int = 2) -> list[str]:
    return textwrap.wrap(
        text, max(20, room), subsequent_indent=" " * indent, break_on_hyphens=False
    ) or [""]
