"""Summaries of usage, so that totals of millions of interceptions take a fraction of a second.

A row of `aibridged_usage_hours` sums up what has the same values in its keys: all columns that
totals can be grouped or filtered by. An hour is summed up once it has been over for a while, and
again when something in it has changed (see `summarised_hours`), by a thread and on connections of
its own: reading takes as long as it does and holds up no writer, and rows are written a few at a
time. The newest hours are first, so that a record of an earlier release is soon quick to ask for
what people ask for; older ones follow bit by bit. A day is made of its hours, and a month of its
days, once all of them are summed up; and of these those by fewer keys, which are fewer rows.

Who sums a span up has claimed it. Marking it dirty takes the claim away, so what was read before is
never taken for the whole; and so does another daemon, once the claim has run out.
"""

import asyncio
import secrets
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa
from loguru import logger
from sqlalchemy.exc import DBAPIError

from aibridged.clock import Clock
from aibridged.dialects import insert
from aibridged.records.cancel_scope import CancelScope, QueryCancelledError, QueryFailedError
from aibridged.records.database import reason_of, writing
from aibridged.records.filters import PARTS
from aibridged.records.schema import interceptions, summarised_spans
from aibridged.records.statements import Statement
from aibridged.records.summarised_hours import SETTLED_S
from aibridged.records.usage_rows import ROWS_AT_ONCE, Row, pages_of
from aibridged.records.usage_spans import HOUR, HOURS, MONTHS, SPANS, Span, hour_of

FIRST_S = 20.0
"""After the daemon's start, which has other things to do."""
INTERVAL_S = 120.0
"""How often spans are looked for."""
SHARE = 0.05
"""Of all time, what is spent on it at most."""
LEAST_PAUSE_S = 0.005
LEASE_S = 300.0
"""How long a span that a daemon sums up is left to it."""
TIME_LIMIT_S = 120.0
"""For reading a span."""
HOURS_AT_ONCE = 1000
"""That are looked for together, of those in which something started."""
MONTH_AGAIN_S = 6 * 3600.0
"""After a month was summed up, until it is again: pruning marks the first one dirty by and by."""
LONGEST_AGO = timedelta(days=3660)
"""What started in earlier months isn't summed up."""
GAP_S = 0.003
"""For those who wait, before more is written."""

_M = summarised_spans.c
_Key = tuple[Span, datetime]
"""A span by its length and its beginning."""


class ClaimLostError(Exception):
    """The span was marked dirty meanwhile, or is another daemon's."""


class Summarising(Protocol):
    """What is summed up bit by bit: `go_on` blocks, and says when it is time again."""

    def go_on(self) -> float: ...


async def keep_summarising(summaries: Summarising, *, first: float = FIRST_S) -> None:
    """Sum up what is to be, off the event loop, until cancelled."""
    pause = first
    while True:
        await asyncio.sleep(pause)
        pause = await asyncio.to_thread(summaries.go_on)


class Summaries:
    """Keeps the summaries of one database. Everything but `stop` blocks, and is for one thread."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._scope = CancelScope(clock, TIME_LIMIT_S)
        self._name = secrets.randbits(63)
        self._waiting: deque[_Key] = deque()
        self._oldest = hour_of(clock.wall())  # the month in which the record begins
        self._months: dict[_Key, float] = {}  # when they were last summed up
        self._is_away = False
        self._stopped = threading.Event()
        # As tuples that the driver takes: requests may wait until they are written.
        self._inserts = {
            span: Statement(span.table.insert(), engine.dialect, span.table.c.keys())
            for span in SPANS
        }
        self._at_once = ROWS_AT_ONCE[engine.dialect.name]
        self._claim = _claiming(engine.dialect.name)
        self._note = insert(engine.dialect.name, summarised_spans).on_conflict_do_nothing()

    def go_on(self) -> float:
        """Sum up a span, if there is one; returns the seconds until there is more to do."""
        began = self._clock.monotonic()
        try:
            if not self._waiting:
                self._waiting.extend(self._look())
            while self._waiting:
                if self._sum_up(*self._waiting.popleft()):
                    if not self._waiting:  # of the hours, days may be made
                        self._waiting.extend(self._look())
                    break
        except QueryCancelledError:
            return INTERVAL_S
        except (DBAPIError, QueryFailedError, OSError) as error:
            self._waiting.clear()
            if not self._is_away:
                logger.warning("Usage can't be summed up at the moment: {}", reason_of(error))
            self._is_away = True
            return INTERVAL_S
        self._is_away = False
        if not self._waiting:
            return INTERVAL_S
        took = self._clock.monotonic() - began
        return max(took * (1 / SHARE - 1), LEAST_PAUSE_S)

    def stop(self) -> None:
        """End what is being read. From any thread."""
        self._stopped.set()
        self._scope.cancel()

    def _look(self) -> Sequence[_Key]:
        """What is over and not summed up, newest first, and of the same time the hours."""
        settled = self._clock.wall() - timedelta(seconds=SETTLED_S)
        with self._scope.connect(self._engine) as connection:
            known: dict[Span, dict[datetime, bool]] = {span: {} for span in SPANS}
            for span, states in known.items():
                rows = connection.execute(_KNOWN, {"span": span.name})
                states.update((row.starts_at, row.is_dirty) for row in rows)
            starts = [connection.scalar(_first(part)) for part in PARTS]
            first = min((start for start in starts if start is not None), default=None)
            self._oldest = MONTHS.of(max(first or settled, settled - LONGEST_AGO))
            hours = HOURS.between(self._oldest, HOURS.of(settled)) if first else ()
            missing = deque(each for each in reversed([*hours]) if each not in known[HOURS])
            full, empty = _parted(connection, missing)
        self._put_right(settled)
        self._drop_old()
        for span, nothing in _wholly(set(empty)).items():
            known[span].update(self._note_empty(span, nothing, known[span]))
        found = [(HOURS, hour) for hour in full]
        for span in SPANS:
            ready = sorted(self._ready(span, known, settled), reverse=True)
            found += [(span, start) for start in ready[:HOURS_AT_ONCE]]
        return sorted(found, key=lambda each: (each[1], -each[0].longest), reverse=True)

    def _ready(
        self, span: Span, known: Mapping[Span, Mapping[datetime, bool]], settled: datetime
    ) -> Iterator[datetime]:
        """The dirty ones, of hours; of longer ones all that aren't clean, and whose parts are."""
        states = known[span]
        for start in span.between(self._oldest, span.of(settled)):
            if span.made_of is None:
                is_ready = states.get(start, False)
            else:
                is_ready = states.get(start, True) and self._is_whole(
                    span, start, known[span.made_of]
                )
            if is_ready and not self._is_recent(span, start):
                yield start

    def _is_recent(self, span: Span, start: datetime) -> bool:
        """Whether it is a month that was summed up not long ago, by this daemon."""
        at = self._months.get((span, start))
        return at is not None and self._clock.monotonic() < at + MONTH_AGAIN_S

    def _is_whole(self, span: Span, start: datetime, parts: Mapping[datetime, bool]) -> bool:
        """Whether all spans that it is made of are clean."""
        assert span.made_of is not None
        each = span.made_of.between(start, span.end(start))
        return not any(parts.get(part, True) for part in each)

    def _note_empty(
        self, span: Span, starts: Sequence[datetime], known: Mapping[datetime, bool]
    ) -> Mapping[datetime, bool]:
        """Note as clean what has nothing to be summed up, unless something is known of it."""
        new = [start for start in starts if start not in known]
        for begin in range(0, len(new), self._at_once):
            few = new[begin : begin + self._at_once]
            rows = [{"span": span.name, "starts_at": start, "is_dirty": False} for start in few]
            with writing(self._engine) as connection:
                connection.execute(self._note, rows)
        return dict.fromkeys(new, False)

    def _put_right(self, settled: datetime) -> None:
        """Have done again what isn't over yet: it was before the wall clock stepped back."""
        for span in SPANS:
            these = (
                _M.span == span.name,
                _M.is_dirty == sa.false(),
                _M.starts_at >= span.of(settled),
            )
            with self._scope.connect(self._engine) as reading:
                if reading.scalar(sa.select(_M.span).where(*these).limit(1)) is None:
                    continue
            with writing(self._engine) as connection:
                connection.execute(
                    summarised_spans.update().where(*these).values(is_dirty=sa.true())
                )

    def _drop_old(self) -> None:
        """Delete what is known of the time before the record, whose interceptions were deleted."""
        self._drop(summarised_spans, _M.starts_at, _M.span)
        for span in SPANS:
            self._drop(span.table, span.table.c.starts_at, span.table.c.number)

    def _drop(self, table: sa.Table, start: sa.Column[datetime], second: sa.Column[Any]) -> None:
        old = start < self._oldest
        few = sa.select(start, second).where(old).order_by(start, second).limit(self._at_once)
        while not self._stopped.is_set():
            with self._scope.connect(self._engine) as reading:
                rows = reading.execute(few).all()
            if not rows:
                return
            last = sa.or_(start < rows[-1][0], sa.and_(start == rows[-1][0], second <= rows[-1][1]))
            with writing(self._engine) as connection:
                connection.execute(table.delete().where(last))
            self._stopped.wait(GAP_S)

    def _sum_up(self, span: Span, start: datetime) -> bool:
        """Whether it was for this daemon to do."""
        if not self._take(span, start):
            return False
        with suppress(ClaimLostError), self._scope.connect(self._engine) as reading:
            if not self._is_made_of_clean_ones(reading, span, start):
                self._release(span, start)
                return True
            self._clear(reading, span, start)
            self._write(span, start, pages_of(reading, span, start))
            if span.longest == MONTHS.longest:
                self._months[span, start] = self._clock.monotonic()
        return True

    def _take(self, span: Span, start: datetime) -> bool:
        """Claim the span, if it is to be summed up and isn't claimed by another daemon."""
        now = self._clock.wall()
        lease = {"me": self._name, "now": now, "until": now + timedelta(seconds=LEASE_S)}
        with writing(self._engine) as connection:
            claim = {"span": span.name, "starts_at": start, **lease}
            return connection.execute(self._claim, claim).first() is not None

    def _release(self, span: Span, start: datetime) -> None:
        with writing(self._engine) as connection:
            free = {"claimed_by": None, "claimed_until": None}
            connection.execute(summarised_spans.update().where(*self._mine(span, start)), free)

    def _is_made_of_clean_ones(self, reading: sa.Connection, span: Span, start: datetime) -> bool:
        """Whether it is, in the snapshot of which it is about to be made."""
        if span.made_of is None:
            return True
        within = _M.starts_at >= start, _M.starts_at < span.end(start)
        parts = reading.execute(_KNOWN.where(*within), {"span": span.made_of.name})
        return self._is_whole(span, start, {row.starts_at: row.is_dirty for row in parts})

    def _clear(self, reading: sa.Connection, span: Span, start: datetime) -> None:
        """Delete what was summed up before, a few rows at a time."""
        of = span.table.c
        these = of.starts_at == start
        last = reading.scalar(sa.select(sa.func.max(of.number)).where(these))
        for end in range(-1 if last is None else last, -1, -self._at_once):
            with writing(self._engine) as connection:
                self._hold(connection, span, start, is_last=False)
                few = these, of.number > end - self._at_once
                connection.execute(span.table.delete().where(*few))
            self._stopped.wait(GAP_S)

    def _write(self, span: Span, start: datetime, pages: Iterator[Sequence[Row]]) -> None:
        page = next(pages, ())
        while True:
            following = next(pages, ())
            with writing(self._engine) as connection:
                self._hold(connection, span, start, is_last=not following)
                if page:
                    connection.exec_driver_sql(self._inserts[span].sql, page)
            if not following:
                return
            page = following
            self._stopped.wait(GAP_S)

    def _hold(
        self, connection: sa.Connection, span: Span, start: datetime, *, is_last: bool
    ) -> None:
        """Make sure that the span is still claimed, until the end of the transaction."""
        values: dict[str, Any] = {"claimed_by": self._name}
        if is_last:
            values = {"is_dirty": False, "claimed_by": None, "claimed_until": None}
        held = summarised_spans.update().where(*self._mine(span, start)).values(values)
        if not connection.execute(held).rowcount:
            raise ClaimLostError

    def _mine(self, span: Span, start: datetime) -> Sequence[sa.ColumnElement[bool]]:
        return _M.span == span.name, _M.starts_at == start, _M.claimed_by == self._name


_KNOWN = sa.select(_M.starts_at, _M.is_dirty).where(_M.span == sa.bindparam("span"))


def _wholly(hours: set[datetime]) -> Mapping[Span, Sequence[datetime]]:
    """The spans that consist of these hours, in order: two daemons never wait for each other."""
    found: dict[Span, Sequence[datetime]] = {}
    for span in SPANS:
        each = sorted(set(map(span.of, hours)))
        found[span] = [s for s in each if hours.issuperset(HOURS.between(s, span.end(s)))]
    return found


def _first(part: sa.ColumnElement[bool]) -> sa.Select[Any]:
    started = interceptions.c.started_at
    return sa.select(started).where(part).order_by(started).limit(1)


def _parted(
    connection: sa.Connection, hours: deque[datetime]
) -> tuple[Sequence[datetime], Sequence[datetime]]:
    """Those of the hours in which something started, and those in which nothing did."""
    full: list[datetime] = []
    empty: list[datetime] = []
    while hours and len(full) < HOURS_AT_ONCE:
        end = {"end": hours[0] + HOUR}
        starts = (connection.scalar(each, end) for each in _LAST_BEFORE)
        last = max((hour_of(start) for start in starts if start is not None), default=None)
        while hours and (last is None or hours[0] > last):
            empty.append(hours.popleft())
        if hours and hours[0] == last:
            full.append(hours.popleft())
    return full, empty


def _last_before(part: sa.ColumnElement[bool]) -> sa.Select[Any]:
    started = interceptions.c.started_at
    before = started < sa.bindparam("end", type_=started.type)
    return sa.select(started).where(part, before).order_by(started.desc()).limit(1)


_LAST_BEFORE = tuple(map(_last_before, PARTS))


def _claiming(dialect: str) -> Any:
    statement = insert(dialect, summarised_spans)
    now = sa.bindparam("now", type_=_M.claimed_until.type)
    claim = {
        "is_dirty": sa.true(),
        "claimed_by": sa.bindparam("me"),
        "claimed_until": sa.bindparam("until", type_=_M.claimed_until.type),
    }
    names = ("span", "starts_at")
    statement = statement.values(**{name: sa.bindparam(name) for name in names}, **claim)
    statement = statement.on_conflict_do_update(
        index_elements=[_M[name] for name in names],
        set_=claim,
        where=sa.and_(
            _M.is_dirty == sa.true(), sa.or_(_M.claimed_until.is_(None), _M.claimed_until < now)
        ),
    )
    return statement.returning(_M.starts_at)
