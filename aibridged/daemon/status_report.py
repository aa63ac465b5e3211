"""The document of the status socket: what a running daemon says of itself.

Each field has a default, so that a command of another release can read it.
"""

import msgspec

from aibridged.gateway_tokens import blanked

MOST = 100
"""Entries of each list; the field beside it says how many are left out."""


_MAX_TEXT = 200


def short(text: str) -> str:
    """Text that a caller or a server chose: bounded, and without tokens that were pasted there."""
    return blanked(text[:_MAX_TEXT])


class Listening(msgspec.Struct):
    """An address that clients can use."""

    what: str = ""
    url: str = ""


class Database(msgspec.Struct):
    """Where records are kept: `location` has no credentials. Seconds since the last commit."""

    kind: str = ""
    location: str = ""
    answers: bool = True
    waiting: int = 0
    last_commit_s: float | None = None


class Records(msgspec.Struct):
    """What isn't in the database yet, in bytes and records, and what is lost."""

    spool_bytes: int = 0
    spooled: int = 0
    replayed: int = 0
    journal_bytes: int = 0
    unjournaled: int = 0
    lost: int = 0


class RunningModel(msgspec.Struct):
    """The running interceptions of one model."""

    provider: str = ""
    model: str = ""
    count: int = 0


class Requests(msgspec.Struct):
    """The requests in flight, passthrough ones included; slots are unlimited with a limit of 0."""

    in_flight: int = 0
    by_model: list[RunningModel] = []
    left_out: int = 0
    slots_in_use: int = 0
    slots: int = 0


class RateLimit(msgspec.Struct):
    """The limit per caller and second, and how many callers it refused within `within_s`."""

    rate: int = 0
    refused_callers: int = 0
    within_s: float = 0.0


class Redis(msgspec.Struct):
    """The server by which replicas share limits: `location` has no credentials.

    `reason` says why it doesn't answer. Since the start it was away so many times, and so many
    decisions were made with this replica's share. So many `processes` share limits, and the
    settings make so many `expected`: each replica has as many as it has workers.
    """

    location: str = ""
    answers: bool = True
    reason: str = ""
    replicas: int = 1
    outages: int = 0
    decided_here: int = 0
    processes: int = 1
    expected: int = 1


class Circuit(msgspec.Struct):
    """A circuit that isn't closed, or has failures in a row. `key` is centralized or byok."""

    provider: str = ""
    endpoint: str = ""
    model: str = ""
    key: str = ""
    state: str = ""
    failures: int = 0
    retry_in_s: float | None = None


class Circuits(msgspec.Struct):
    """Open ones first, then those with the most failures; `threshold` failures open one."""

    threshold: int = 0
    troubled: list[Circuit] = []
    left_out: int = 0


class McpServer(msgspec.Struct):
    """An MCP server: `failing` tells for how many of its credentials its last opening failed."""

    id: str = ""
    failing: int = 0
    reason: str = ""
    failures: int = 0
    sessions_ended: int = 0


class Clients(msgspec.Struct):
    """Client connections, and the places for them."""

    busy: int = 0
    idle: int = 0
    places: int = 0


class Process(msgspec.Struct):
    """Resources of the process; the number of open `descriptors` may be unknown."""

    resident_bytes: int = 0
    available_bytes: int = 0
    bodies_bytes: int | None = None
    bodies_limit_bytes: int | None = None
    descriptors: int | None = None
    descriptors_limit: int = 0


class Worker(msgspec.Struct):
    """One of several processes: a worker, or the writer of their records.

    `kind` is worker or writer. `state` is serving, starting, silent (it answered last `silent_s`
    seconds ago), or down (a successor is about to be started). `ends` counts those that ended in a
    row without a steady time in between.
    """

    name: str = ""
    kind: str = "worker"
    pid: int | None = None
    state: str = ""
    silent_s: float | None = None
    uptime_s: float | None = None
    in_flight: int = 0
    restarts: int = 0
    ends: int = 0


class Status(msgspec.Struct):
    """The whole document; what a standalone AI Proxy hasn't got is None.

    With several workers `pid` and `uptime_s` are their supervisor's, and the numbers are those of
    all together.
    """

    version: str = ""
    pid: int = 0
    state: str = ""
    uptime_s: float = 0.0
    state_dir: str = ""
    listeners: list[Listening] = []
    forwards_to: str | None = None
    database: Database | None = None
    records: Records | None = None
    requests: Requests | None = None
    rate_limit: RateLimit | None = None
    redis: Redis | None = None
    circuits: Circuits | None = None
    mcp_servers: list[McpServer] | None = None
    mcp_servers_left_out: int = 0
    clients: Clients | None = None
    process: Process | None = None
    workers: list[Worker] | None = None


def decoded(document: bytes) -> Status:
    """The document as it came over the socket.

    Raises:
        ValueError: it isn't one.
    """
    return msgspec.json.decode(document, type=Status)
