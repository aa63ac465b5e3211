"""`GET /overview/problems`: what is wrong with the running daemon, for administrators."""

from collections.abc import Awaitable, Callable
from enum import StrEnum

import msgspec

from aibridged.api.routes import Call, Route
from aibridged.api.shapes import Count

MOST = 50


class ProblemKind(StrEnum):
    """What it is that is wrong."""

    DATABASE_AWAY = "database_away"
    RECORDS_SPOOLED = "records_spooled"
    RECORDS_LOST = "records_lost"
    RECORDS_UNJOURNALED = "records_unjournaled"
    CIRCUIT_OPEN = "circuit_open"
    KEY_REFUSED = "key_refused"
    MCP_SERVER_FAILING = "mcp_server_failing"
    REDIS_AWAY = "redis_away"
    WORKER_DOWN = "worker_down"
    SLOTS_FULL = "slots_full"
    RELOAD_FAILED = "reload_failed"
    SHUTTING_DOWN = "shutting_down"


class Problem(msgspec.Struct, kw_only=True):
    """One thing that is wrong; `message` says what, where and what to do.

    `is_severe` says that requests fail for it, or that records are lost. `subject` is the provider,
    server or part of the daemon.
    """

    kind: ProblemKind
    is_severe: bool
    subject: str
    message: str


class Problems(msgspec.Struct, kw_only=True):
    """What is wrong at this moment, the severe first; `left_out` are further ones."""

    problems: list[Problem]
    left_out: Count


def routes(find: Callable[[], Awaitable[Problems]]) -> tuple[Route, ...]:
    """The route; `find` asks the daemon's components."""

    async def serve(_call: Call) -> Problems:
        return await find()

    return (
        Route(
            "/overview/problems",
            "List what is wrong with the running daemon; for administrators",
            None,
            Problems,
            for_admins=True,
            serve=serve,
        ),
    )
