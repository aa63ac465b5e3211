"""Summaries of usage, by the hour, so that totals of millions of interceptions take a second.

A row of `aibridged_usage_hours` sums up what has the same values in all columns that totals can be
grouped or filtered by. An hour is summed up once it has been over for a while, and again when
something in it has changed (see `summarised_hours`), by a thread and on connections of its own:
reading takes as long as it does and keeps nobody from writing, and rows are written a few at a
time. The newest hours are first, so that a record of an earlier release is soon quick to ask for
what people ask for; older ones follow bit by bit.

Who sums an hour up has claimed it. Marking the hour dirty takes the claim away, so what was read
before is never taken for the whole; and so does another daemon, once the claim has run out.
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
from aibridged.records.filters import PARTS, matching
from aibridged.records.schema import (
    interceptions,
    summarised_hours,
    token_usages,
    usage_hours,
)
from aibridged.records.statements import Statement
from aibridged.records.summarised_hours import HOUR, SETTLED_S, hour_of
from aibridged.records.usage_sums import SUMS, has_failed, sums, used_by

FIRST_S = 20.0
"""After the daemon's start, which has other things to do."""
INTERVAL_S = 120.0
"""How often hours are looked for."""
SHARE = 0.05
"""Of all time, what is spent on it at most."""
LEAST_PAUSE_S = 0.005
LEASE_S = 300.0
"""How long nobody else sums up an hour that a daemon has begun with."""
TIME_LIMIT_S = 120.0
"""For reading an hour."""
HOURS_AT_ONCE = 1000
"""That are looked for together, of those in which something started."""
MOST_HOURS = 24 * 366 * 10
"""What started earlier isn't summed up."""
ROWS_AT_ONCE = {"sqlite": 100, "postgresql": 500}
"""That are written together, by the database: SQLite has one writer, and requests wait for it. Each
time takes a connection, which costs more on PostgreSQL, and only what changes that hour waits."""
GAP_S = 0.003
"""For those who wait, before more is written."""

_M = summarised_hours.c
_Row = tuple[Any, ...]
_ALL = [each.name for each in usage_hours.c]
_OWN = ("hour", "number")  # first in a row
_KEYS = (
    "initiator_id",
    "username",
    "api_key_id",
    "provider",
    "provider_name",
    "client",
    "credential_kind",
    "credential_hint",
)


class ClaimLostError(Exception):
    """The hour was marked dirty meanwhile, or is another daemon's."""


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
        self._waiting: deque[datetime] = deque()
        self._is_away = False
        self._stopped = threading.Event()
        # As tuples that the driver takes: requests may wait until they are written.
        self._insert = Statement(usage_hours.insert(), engine.dialect, _ALL).sql
        self._claim = _claiming(engine.dialect.name)
        self._note = insert(engine.dialect.name, summarised_hours).on_conflict_do_nothing()

    def go_on(self) -> float:
        """Sum up an hour, if there is one; returns the seconds until there is more to do."""
        began = self._clock.monotonic()
        try:
            if not self._waiting:
                self._waiting.extend(self._look())
            while self._waiting:
                if self._sum_up(self._waiting.popleft()):
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

    def _look(self) -> Sequence[datetime]:
        """The hours that are over and not summed up, newest first."""
        settled = hour_of(self._clock.wall() - timedelta(seconds=SETTLED_S))
        with self._scope.connect(self._engine) as connection:
            known = {row.hour: row.is_dirty for row in connection.execute(_KNOWN)}
            starts = (connection.scalar(_first(part)) for part in PARTS)
            oldest = min((hour_of(start) for start in starts if start is not None), default=settled)
            oldest = max(oldest, settled - MOST_HOURS * HOUR)
            missing = deque(each for each in _hours(oldest, settled) if each not in known)
            full, empty = _parted(connection, missing)
        self._put_right(known, oldest, settled)
        at_once = ROWS_AT_ONCE[self._engine.dialect.name]
        for start in range(0, len(empty), at_once):
            few = [{"hour": hour, "is_dirty": False} for hour in empty[start : start + at_once]]
            with writing(self._engine) as connection:
                connection.execute(self._note, few)
        dirty = sorted((hour for hour in known if known[hour] and hour < settled), reverse=True)
        return sorted({*dirty[:HOURS_AT_ONCE], *full}, reverse=True)

    def _put_right(
        self, known: Mapping[datetime, bool], oldest: datetime, settled: datetime
    ) -> None:
        """Drop what is left of hours whose interceptions were deleted, and what isn't over yet.

        The latter were over before the wall clock stepped back.
        """
        clean = _M.is_dirty == sa.false()
        if any(hour < oldest and not is_dirty for hour, is_dirty in known.items()):
            with writing(self._engine) as connection:
                connection.execute(summarised_hours.delete().where(_M.hour < oldest, clean))
        if any(hour >= settled and not is_dirty for hour, is_dirty in known.items()):
            with writing(self._engine) as connection:
                connection.execute(
                    summarised_hours.update()
                    .where(_M.hour >= settled, clean)
                    .values(is_dirty=sa.true())
                )

    def _sum_up(self, hour: datetime) -> bool:
        """Whether it was for this daemon to do."""
        if not self._take(hour):
            return False
        with suppress(ClaimLostError), self._scope.connect(self._engine) as reading:
            self._write(hour, _pages(reading, hour))
        return True

    def _take(self, hour: datetime) -> bool:
        """Claim the hour, if it is to be summed up and isn't claimed by another daemon."""
        now = self._clock.wall()
        lease = {"me": self._name, "now": now, "until": now + timedelta(seconds=LEASE_S)}
        with writing(self._engine) as connection:
            if connection.execute(self._claim, {"hour": hour, **lease}).first() is None:
                return False
            connection.execute(usage_hours.delete().where(usage_hours.c.hour == hour))
            return True

    def _write(self, hour: datetime, pages: Iterator[Sequence[_Row]]) -> None:
        page = next(pages, ())
        while True:
            following = next(pages, ())
            with writing(self._engine) as connection:
                self._hold(connection, hour, is_last=not following)
                if page:
                    connection.exec_driver_sql(self._insert, page)
            if not following:
                return
            page = following
            self._stopped.wait(GAP_S)

    def _hold(self, connection: sa.Connection, hour: datetime, *, is_last: bool) -> None:
        """Make sure that the hour is still claimed, until the end of the transaction."""
        values: dict[str, Any] = {"claimed_by": self._name}
        if is_last:
            values = {"is_dirty": False, "claimed_by": None, "claimed_until": None}
        mine = (_M.hour == hour, _M.claimed_by == self._name)
        if not connection.execute(summarised_hours.update().where(*mine).values(values)).rowcount:
            raise ClaimLostError


_KNOWN = sa.select(_M.hour, _M.is_dirty)


def _first(part: sa.ColumnElement[bool]) -> sa.Select[Any]:
    started = interceptions.c.started_at
    return sa.select(started).where(part).order_by(started).limit(1)


def _hours(first: datetime, end: datetime) -> Iterator[datetime]:
    """The hours before `end`, newest first."""
    while end > first:
        end -= HOUR
        yield end


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
    statement = insert(dialect, summarised_hours)
    now = sa.bindparam("now", type_=_M.claimed_until.type)
    claim = {
        "is_dirty": sa.true(),
        "claimed_by": sa.bindparam("me"),
        "claimed_until": sa.bindparam("until", type_=_M.claimed_until.type),
    }
    statement = statement.values(hour=sa.bindparam("hour"), **claim).on_conflict_do_update(
        index_elements=[_M.hour],
        set_=claim,
        where=sa.and_(
            _M.is_dirty == sa.true(), sa.or_(_M.claimed_until.is_(None), _M.claimed_until < now)
        ),
    )
    return statement.returning(_M.hour)


def _pages(connection: sa.Connection, hour: datetime) -> Iterator[Sequence[_Row]]:
    at_once = ROWS_AT_ONCE[connection.dialect.name]
    streaming = connection.execution_options(yield_per=at_once)
    as_bound = usage_hours.c.hour.type.dialect_impl(connection.dialect).bind_processor(
        connection.dialect
    )
    at = hour if as_bound is None else as_bound(hour)
    number = 0
    for rows in streaming.execute(_SUMMED, {"hour": hour, "end": hour + HOUR}).partitions():
        yield [(at, number + place, *row) for place, row in enumerate(rows)]
        number += len(rows)


def _summed() -> sa.Select[Any]:
    """The rows of an hour, without `_OWN`: the columns in their order.

    An interception that used several models is counted once, at one.
    """
    at = interceptions.c.started_at
    hour, end = (sa.bindparam(name, type_=at.type) for name in ("hour", "end"))
    # Together before they are grouped: SQLite would walk through all that there are in that order.
    found = matching(at >= hour, at < end)
    of, model = found.c, used_by(found.c)
    own = [of[name] for name in _KEYS]
    each = (
        sa.select(
            *own,
            model.label("model"),
            of.outcome,
            sa.func.row_number().over(partition_by=of.id, order_by=model).label("turn"),
            *(each.label(name) for name, each in sums(of).items()),
        )
        .select_from(found.outerjoin(token_usages, token_usages.c.interception_id == of.id))
        .group_by(of.id, *own, model, of.outcome)
        .subquery()
    )
    keys = [each.c[name] for name in (*_KEYS, "model")]
    once = sa.case((each.c.turn == 1, 1), else_=0)
    failed = sa.case((has_failed(each.c), 1), else_=0)
    made = {
        "model_interceptions": sa.func.count(),
        "interceptions": sa.func.sum(once),
        "model_failed": sa.func.sum(failed),
        "failed": sa.func.sum(once * failed),
        **{name: sa.cast(sa.func.sum(each.c[name]), sa.BigInteger) for name in SUMS},
    }
    columns = (
        made[name].label(name) if name in made else each.c[name]
        for name in _ALL
        if name not in _OWN
    )
    return sa.select(*columns).group_by(*keys).order_by(*keys)


_SUMMED = _summed()
