"""What is wrong with the running daemon: collected from its components, as sentences."""

from collections.abc import Iterator, Mapping, Sequence

from aibridged.api.problems import MOST, Problem, ProblemKind, Problems
from aibridged.config.reloading import ReloadStats
from aibridged.core.breaker import Trouble
from aibridged.core.circuit import State
from aibridged.core.concurrency import Slots
from aibridged.counted import counted
from aibridged.daemon.replicas import Replicas
from aibridged.daemon.resources import Resources
from aibridged.daemon.status_report import Worker, short
from aibridged.daemon.workers.backoff import STEADY_S
from aibridged.daemon.workers.channel import ChannelError
from aibridged.daemon.workers.child import WRITER
from aibridged.daemon.workers.group_status import GROUP_WORKERS
from aibridged.daemon.workers.siblings import Siblings
from aibridged.pipeline.components import Components
from aibridged.pipeline.provider_key import KeyRefusal
from aibridged.records.stats import RecorderStats

SUPERVISOR_S = 1.0
"""For what the supervisor knows of the workers."""


async def find_problems(components: Components, resources: Resources) -> Problems:
    """All of them, the severe first."""
    troubled: Sequence[Trouble] = ()
    if components.breakers is not None:
        troubled = await components.slices.run(components.breakers.troubles(), "problems")
    found = [
        *of_workers(await _workers(resources.siblings)),
        *of_requests(components.in_flight.draining, components.slots, components.reloads),
        *of_replicas(resources.replicas),
        *of_records(resources.recorder.stats, resources.recorder.unjournaled),
        *of_providers(components.key_refusals.latest(), troubled),
        *of_mcp_servers(resources.mcp.failing()),
    ]
    found.sort(key=lambda each: not each.is_severe)
    return Problems(problems=found[:MOST], left_out=max(0, len(found) - MOST))


async def _workers(siblings: Siblings) -> Sequence[Worker]:
    if siblings.count == 1:
        return ()
    try:
        return await siblings.ask_supervisor(GROUP_WORKERS, gives=list[Worker], within=SUPERVISOR_S)
    except ChannelError:
        return ()  # the supervisor has ended, and this process is about to


def _problem(kind: ProblemKind, subject: str, message: str, *, severe: bool = True) -> Problem:
    return Problem(kind=kind, is_severe=severe, subject=subject, message=message)


def of_requests(draining: bool, slots: Slots, reloads: ReloadStats) -> Iterator[Problem]:
    """What is wrong with requests in general."""
    if draining:
        yield _problem(
            ProblemKind.SHUTTING_DOWN,
            "daemon",
            "The daemon is shutting down: it finishes what runs and refuses what is new.",
        )
    if slots.limit and slots.in_use >= slots.limit:
        yield _problem(
            ProblemKind.SLOTS_FULL,
            "requests",
            f"All {slots.limit:,} slots are taken, and further requests are refused with 503: raise"
            " --aibridge-max-concurrency.",
        )
    if not reloads.succeeded:
        yield _problem(
            ProblemKind.RELOAD_FAILED,
            "settings",
            "The last reload failed, and the settings before it are in force: the log says why, and"
            " so does aibridged check-config.",
            severe=False,
        )


def of_workers(workers: Sequence[Worker]) -> Iterator[Problem]:
    """Workers that don't serve, or that keep ending; without the writer nothing is recorded."""
    for each in workers:
        if each.state == "silent":
            what = (
                f"does not answer for {each.silent_s or 0.0:.0f} s: it is killed soon, and replaced"
            )
        elif each.ends > 1 and (each.uptime_s or 0.0) < STEADY_S:
            what = f"has ended {each.ends} times in a row, and is started again after a pause"
        elif each.state == "down":
            what = "has ended, and is started again"
        else:
            continue
        yield _problem(
            ProblemKind.WORKER_DOWN,
            each.name,
            f"{each.name} {what}. The log says more.",
            severe=each.kind == WRITER,
        )


def of_replicas(replicas: Replicas | None) -> Iterator[Problem]:
    """What is wrong between this replica and the others."""
    if replicas is not None and not replicas.lane.is_up:
        yield _problem(
            ProblemKind.REDIS_AWAY,
            "redis",
            f"Redis is away at {replicas.place} ({replicas.lane.reason}): this replica goes on with"
            f" its share of the limits, 1/{replicas.lane.replicas}.",
            severe=False,
        )


def of_records(stats: RecorderStats, unjournaled: int) -> Iterator[Problem]:
    """What is wrong with what is recorded."""
    if stats.refuses:
        what = "is away" if stats.database_away else "takes too long to commit"
        yield _problem(
            ProblemKind.DATABASE_AWAY,
            "database",
            f"The database {what}, and requests that can't be recorded are refused with 503: the"
            " log says why.",
        )
    if stats.spool_bytes:
        yield _problem(
            ProblemKind.RECORDS_SPOOLED,
            "records",
            f"{stats.spool_bytes:,} bytes of records wait in the spool until the database takes"
            " them.",
            severe=False,
        )
    if stats.records_lost:
        yield _problem(
            ProblemKind.RECORDS_LOST,
            "records",
            f"{counted(stats.records_lost, 'record is', 'records are')} lost since the start: the"
            " log says which and why.",
        )
    if unjournaled:
        yield _problem(
            ProblemKind.RECORDS_UNJOURNALED,
            "journal",
            f"{counted(unjournaled, 'record was', 'records were')} not in the journal"
            " since the start: a crash would have lost them. Look at the state directory's disk.",
            severe=False,
        )


def of_providers(
    refusals: Mapping[str, KeyRefusal], troubled: Sequence[Trouble]
) -> Iterator[Problem]:
    """What is wrong with providers: keys that they refuse, and circuits that aren't closed."""
    for name, refusal in refusals.items():
        yield _problem(
            ProblemKind.KEY_REFUSED,
            name,
            f"The provider {name} refuses the gateway's key {refusal.hint} with status"
            f" {refusal.status}: check {refusal.setting} and what the key may do.",
        )
    for each in troubled:
        if each.state is State.CLOSED:
            continue
        key, retry = each.key, ""
        if each.retry_in is not None:
            retry = f" It is tried again in {max(0.0, each.retry_in):.0f} s."
        model = f" {short(key.model)}" if key.model else ""
        yield _problem(
            ProblemKind.CIRCUIT_OPEN,
            key.provider,
            f"The circuit of {key.provider} {key.endpoint}{model} is {each.state.value} after"
            f" {counted(each.failures, 'failure', 'failures')} in a row: requests are refused with"
            f" 503.{retry}",
            severe=each.state is State.OPEN,
        )


def of_mcp_servers(servers: Mapping[str, tuple[int, str]]) -> Iterator[Problem]:
    """MCP servers, by id, that can't be opened for some credentials, and why."""
    for name, (failing, reason) in servers.items():
        if failing:
            why = f": {short(reason)}" if reason else ""
            yield _problem(
                ProblemKind.MCP_SERVER_FAILING,
                name,
                f"The MCP server {name} can't be opened for"
                f" {counted(failing, 'credential', 'credentials')}{why}.",
                severe=False,
            )
