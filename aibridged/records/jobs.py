"""Jobs that the event loop hands to the writer thread."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from aibridged.records.facts import InterceptionEnd, InterceptionStart


class RecordingFailedError(Exception):
    """A start that couldn't be recorded: its request must not go upstream."""


class Waiting(NamedTuple):
    """A start, and the future that resolves once it is committed."""

    start: InterceptionStart
    committed: asyncio.Future[None]


@dataclass(slots=True)
class Prune:
    """Delete what ended and started before then; `deleted` counts the rows deleted so far."""

    before: datetime
    pruned: asyncio.Future[int]
    deleted: int = field(default=0)


class Close(NamedTuple):
    """Write the queue, and stop."""

    closed: asyncio.Future[None]


class DiskFailed(NamedTuple):
    """What is committed can't be brought to the disk."""

    error: Exception


class TruncateLog(NamedTuple):
    """Restart the write-ahead log: it has become long."""


Work = Waiting | InterceptionEnd | Prune | Close | DiskFailed | TruncateLog | None
"""An end whose start nobody waits for any more: it follows the start in the queue, so it is written
after it. None only says that there are facts to write."""


def settle(
    futures: Sequence[asyncio.Future[Any]], error: Exception | None = None, result: Any = None
) -> None:
    """Resolve the futures; to be called from the event loop."""
    for future in futures:
        if future.done():  # cancelled by the waiter
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
