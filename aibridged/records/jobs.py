"""Jobs that the event loop hands to the writer thread."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec

from aibridged.records.facts import InterceptionEnd, InterceptionStart


class RecordingFailedError(Exception):
    """A start that couldn't be recorded: its request must not go upstream."""


class BudgetExceededError(Exception):
    """A start whose reservation a spend limit doesn't allow for: it isn't recorded.

    `used` are the nano-dollars spent and reserved by then, for each of its checks.
    """

    def __init__(self, used: tuple[int, ...]) -> None:
        super().__init__("a spend limit is reached")
        self.used = used


Admission = tuple[int, ...] | BudgetExceededError
"""What was used before for each check of a start's reservation, or that they don't allow for it."""


class Place(Protocol):
    """What is told of a start like a future, by the event loop: another process waits for it."""

    def done(self) -> bool: ...

    def set_result(self, result: tuple[int, ...], /) -> None: ...

    def set_exception(self, error: Exception, /) -> None: ...


class Waiting(NamedTuple):
    """A start, and the future that resolves once it is committed: to what was used for each check
    of its reservation."""

    start: InterceptionStart
    committed: "asyncio.Future[tuple[int, ...]] | Place"


class Prune(msgspec.Struct):
    """Delete what ended and started before then; `deleted` counts the rows deleted so far."""

    before: datetime
    pruned: asyncio.Future[int]
    deleted: int = msgspec.field(default=0)


class Adopt(NamedTuple):
    """Write what dead recorders have left in their journals, and end what they left open."""

    adopted: asyncio.Future[None]


class Close(NamedTuple):
    """Write the queue, and stop."""

    closed: asyncio.Future[None]


class DiskFailed(NamedTuple):
    """What is committed can't be brought to the disk."""

    error: Exception


class TruncateLog(NamedTuple):
    """Restart the write-ahead log: it has become long."""


Work = Waiting | InterceptionEnd | Prune | Adopt | Close | DiskFailed | TruncateLog | None
"""An end whose start is no longer waited for: it follows the start in the queue, so it is written
after it. None only says that there are facts to write."""


def without_refused(
    starts: Sequence[InterceptionStart], admissions: Mapping[str, Admission]
) -> Sequence[InterceptionStart]:
    """The starts that are recorded."""
    refused = {id for id, each in admissions.items() if type(each) is BudgetExceededError}
    return [start for start in starts if start.id not in refused] if refused else starts


def admitted(start: InterceptionStart, admissions: Mapping[str, Admission]) -> tuple[int, ...]:
    """What was used before, for each check of a start that is committed.

    Raises:
        BudgetExceededError: it isn't allowed.
    """
    admission = admissions.get(start.id, ())
    if isinstance(admission, BudgetExceededError):
        raise admission
    return admission


def settle_starts(waiting: Sequence[Waiting], admissions: Mapping[str, Admission]) -> None:
    """Resolve the futures of starts that are committed, or refused; from the event loop.

    The admissions are those of starts with a reservation, by id.
    """
    if not admissions:  # as nearly always
        settle([one.committed for one in waiting], result=())
        return
    for one in waiting:
        admission = admissions.get(one.start.id, ())
        if isinstance(admission, BudgetExceededError):
            settle([one.committed], admission)
        else:
            settle([one.committed], result=admission)


def settle(
    futures: Sequence[asyncio.Future[Any] | Place],
    error: Exception | None = None,
    result: Any = None,
) -> None:
    """Resolve the futures; to be called from the event loop."""
    for future in futures:
        if future.done():  # cancelled by the waiter
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
