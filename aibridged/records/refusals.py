"""How often each person was refused something, by day and reason: counted beside the requests.

Counts are kept in memory and added to the database every few seconds, by a thread that is there
while there is something to add: no request waits for it, and a database that is away costs a log
line.
"""

import threading
from collections.abc import Mapping
from datetime import date

import sqlalchemy as sa
from loguru import logger
from sqlalchemy.exc import DBAPIError

from aibridged.clock import Clock
from aibridged.counted import counted
from aibridged.dialects import insert
from aibridged.errors import CONCERN_A_PERSON
from aibridged.observe.request_summary import RequestSummary
from aibridged.records.database import reason_of, writing
from aibridged.records.schema import MAX_USER_ID, refusals
from aibridged.tasks import start_thread

INTERVAL_S = 2.0
"""How long counts stay in memory, at most, while the database can be written to."""
MAX_COUNTS = 10_000
"""Of different persons, days and reasons in memory; further ones aren't counted."""
_AT_ONCE = 500  # rows of a transaction

Key = tuple[date, str, str]
"""The day, the person's id and the reason."""


class RefusalCounts:
    """The counts that the database doesn't have yet. `note` is for the event loop."""

    def __init__(self, engine: sa.Engine, clock: Clock, *, interval: float = INTERVAL_S) -> None:
        self._engine = engine
        self._clock = clock
        self._interval = interval
        self._lock = threading.Lock()
        self._counts: dict[Key, int] = {}
        self._uncounted = 0
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._is_away = False

    def note(self, request: RequestSummary) -> None:
        """Count a request that has ended, if its refusal concerns a person who is known."""
        reason, person = request.reason, request.initiator_id
        if reason not in CONCERN_A_PERSON or person is None or len(person) > MAX_USER_ID:
            return
        with self._lock:
            self._add({(self._clock.wall().date(), person, reason): 1})
            if self._thread is None and not self._closing.is_set():
                # It waits for the lock. If there is none, the next refusal tries again.
                self._thread = start_thread(self._run, name="refusals")

    def finish(self, timeout: float) -> None:
        """Block for up to so many seconds until all is in the database."""
        self._closing.set()
        if (thread := self._thread) is not None:
            thread.join(timeout)
        with self._lock:
            left, self._counts = sum(self._counts.values()) + self._uncounted, {}
        if left:
            logger.warning("{} not counted per person", counted(left, "refusal is", "refusals are"))

    def _add(self, counts: Mapping[Key, int]) -> None:
        for key, count in counts.items():
            if key in self._counts or len(self._counts) < MAX_COUNTS:
                self._counts[key] = self._counts.get(key, 0) + count
            else:
                self._uncounted += count

    def _run(self) -> None:
        while True:
            is_last = self._closing.wait(self._interval)
            with self._lock:
                counts, self._counts = self._counts, {}
                if not counts:
                    self._thread = None
                    return
            left = self._write(counts)
            with self._lock:
                self._add(left)
                if is_last and left:
                    return

    def _write(self, counts: Mapping[Key, int]) -> Mapping[Key, int]:
        """Add them to the database; returns what is left if that fails."""
        # In order, so that two daemons never wait for each other.
        waiting = sorted(counts.items())
        try:
            while waiting:
                add(self._engine, dict(waiting[:_AT_ONCE]))
                del waiting[:_AT_ONCE]
        except (DBAPIError, OSError) as error:
            if not self._is_away:
                reason = reason_of(error)
                logger.warning("Refusals can't be counted per person at the moment: {}", reason)
            self._is_away = True
        else:
            self._is_away = False
        return dict(waiting)


def add(engine: sa.Engine, counts: Mapping[Key, int]) -> None:
    """Add counts to those in the database, in one transaction."""
    statement = insert(engine.dialect.name, refusals)
    table = refusals.c
    statement = statement.on_conflict_do_update(
        index_elements=[table.day, table.user_id, table.reason],
        set_={"count": table.count + statement.excluded.count},
    )
    rows = [
        {"day": day, "user_id": person, "reason": reason, "count": count}
        for (day, person, reason), count in counts.items()
    ]
    with writing(engine) as connection:
        connection.execute(statement, rows)


def refused_on(connection: sa.Connection, user_id: str, day: date) -> dict[str, int]:
    """How often a person was refused something on a day, by the reason."""
    statement = sa.select(refusals.c.reason, refusals.c.count).where(
        refusals.c.day == day, refusals.c.user_id == user_id
    )
    return {row.reason: row[1] for row in connection.execute(statement)}
