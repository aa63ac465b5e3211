"""Jobs that the event loop hands to the writer thread."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from aibridged.records.facts import InterceptionEnd, InterceptionStart


class RecordingFailedError(Exception):
    """A start couldn't be recorded, so its request must not go upstream."""


class Waiting(NamedTuple):
    """A start, and what is waited for until it is committed."""

    start: InterceptionStart
    committed: asyncio.Future[None]


@dataclass(slots=True)
class Prune:
    """Delete what ended and started before then; `deleted` counts what went so far."""

    before: datetime
    pruned: asyncio.Future[int]
    deleted: int = field(default=0)


class Close(NamedTuple):
    """Write what waits, and stop."""

    closed: asyncio.Future[None]


Work = Waiting | InterceptionEnd | Prune | Close | None
"""An end is of a start that nobody waits for any more: it stands behind it, and so is written after
it. None only says that there are facts to write."""


def settle(
    futures: Sequence[asyncio.Future[Any]], error: Exception | None = None, result: Any = None
) -> None:
    """Tell those who still wait; to be called from the event loop."""
    for future in futures:
        if future.done():  # cancelled by whoever waited
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
