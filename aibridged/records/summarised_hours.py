"""Which hours of usage have been summed up, and are no longer so once something changes.

An hour is clean (its summary is exact), dirty, or has no row; so are days and months. A transaction
that changes an hour that may have been summed up marks it dirty, with its day and its month, so
that no reader sees the one without the other. What that costs is next to nothing: hours are summed
up when they have been over for `SETTLED_S`, and of those that have been over for less than `LATE_S`
nothing is marked. The time between is for the clocks of several daemons, and for transactions under
way.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.dialects import insert
from aibridged.records.facts import (
    BackgroundRecord,
    Fact,
    InterceptionEnd,
    InterceptionStart,
    TokenUsageRecord,
)
from aibridged.records.ids import first_id, made_at
from aibridged.records.schema import summarised_spans
from aibridged.records.statements import Statement
from aibridged.records.usage_spans import HOUR, hour_of, spans_of

SETTLED_S = 600.0
LATE_S = 300.0

_COUNTED = (InterceptionEnd, BackgroundRecord, TokenUsageRecord)
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def hours_of_stored(times: Iterable[datetime | str]) -> Sequence[datetime]:
    """The hours, in order, that times are in as the drivers give them: SQLite's are texts."""
    aware = (datetime.fromisoformat(at) if isinstance(at, str) else at for at in times)
    return sorted({hour_of(at.replace(tzinfo=at.tzinfo or UTC)) for at in aware})


class LateRecords:
    """Tells which hours that may have been summed up records change, by the interceptions' ids.

    These are UUIDv7 of the time at which the interceptions started. Where the wall clock steps
    back, what was over before stays so.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = _LONG_AGO  # from when on another hour is over
        self._first = ""  # of the ids of hours that aren't over

    def hours(
        self, starts: Sequence[InterceptionStart], facts: Sequence[Fact]
    ) -> Sequence[datetime]:
        """The hours, in order: two daemons never wait for each other."""
        now = self._clock.wall()
        if now >= self._until:
            over = hour_of(now - timedelta(seconds=LATE_S))
            self._until = over + HOUR + timedelta(seconds=LATE_S)
            self._first = first_id(over)
        first = self._first
        late = {start.id for start in starts if start.id < first}
        for fact in facts:
            id = fact.interception_id
            if id is not None and id < first and isinstance(fact, _COUNTED):
                late.add(id)
        return sorted({hour_of(made_at(id)) for id in late}) if late else ()


class _Writing(Protocol):
    """What the store's backend is asked for."""

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None: ...
    def time(self, at: datetime) -> Any: ...


class HourMarks:
    """Marks hours dirty in the transactions of the writer."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._late = LateRecords(clock)
        self._sql = Statement(marking_dirty(engine.dialect.name), engine.dialect)

    def changed_late(
        self, backend: _Writing, starts: Sequence[InterceptionStart], facts: Sequence[Fact] = ()
    ) -> None:
        """Mark the hours that these change, if they may have been summed up."""
        if hours := self._late.hours(starts, facts):
            self._mark(backend, hours)

    def changed(self, backend: _Writing, deleted: Iterable[Sequence[datetime | str]]) -> None:
        """Mark the hours of deleted interceptions: rows of the times at which they started."""
        self._mark(backend, hours_of_stored(at for (at,) in deleted))

    def _mark(self, backend: _Writing, hours: Sequence[datetime]) -> None:
        rows = [
            self._sql.row(span=span.name, starts_at=backend.time(start))
            for span, start in spans_of(hours)
        ]
        if rows:
            backend.execute_many(self._sql.sql, rows)


def marking_dirty(dialect: str) -> Any:
    """The statement that marks a span dirty; a daemon that is summing it up starts again."""
    statement = insert(dialect, summarised_spans)
    names = ("span", "starts_at")
    return statement.values(
        **{name: sa.bindparam(name) for name in names}, is_dirty=sa.true()
    ).on_conflict_do_update(
        index_elements=[summarised_spans.c[name] for name in names],
        set_={"is_dirty": sa.true(), "claimed_by": sa.null(), "claimed_until": sa.null()},
    )


def mark_dirty(connection: sa.Connection, times: Iterable[datetime]) -> None:
    """Mark the spans dirty that these times are in: the usage of interceptions has changed.

    In the transaction that changes it, which may have begun before.
    """
    rows = [{"span": span.name, "starts_at": start} for span, start in spans_of(times)]
    if rows:
        connection.execute(marking_dirty(connection.dialect.name), rows)
