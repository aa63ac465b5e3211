"""What a person's sessions usually cost: one above it, a loop or a stolen token, shows early.

It is the 95th percentile (by nearest rank) of what the person's sessions of the last `DAYS` have
cost. Lists look it up; a thread of the daemon's computes it for everybody, once in `INTERVAL_S`, in
one read. A new person's is unknown, and none of their sessions unusual.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from math import ceil

import sqlalchemy as sa
from loguru import logger
from sqlalchemy.exc import DBAPIError

from aibridged.clock import Clock
from aibridged.records.cancel_scope import CancelScope, QueryCancelledError, QueryFailedError
from aibridged.records.database import reason_of, writing
from aibridged.records.filters import PARTS
from aibridged.records.schema import interceptions, usual_costs

DAYS = 30
SHARE = 0.95
FIRST_S = 60.0
"""After the daemon's start."""
INTERVAL_S = 3600.0
AGAIN_S = 300.0
"""After a failure."""
TIME_LIMIT_S = 120.0
PEOPLE_AT_ONCE = 50
"""That are written together: SQLite has one writer, and requests wait for it."""
_ROWS_AT_ONCE = 1000

_I = interceptions.c
_U = usual_costs.c


class UsualCosts:
    """Keeps what is usual in one database. Everything but `stop` blocks, and is for one thread."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._scope = CancelScope(clock, TIME_LIMIT_S)
        self._is_away = False

    def go_on(self) -> float:
        """Compute it for everybody; returns the seconds until it is time again."""
        try:
            self._compute()
        except QueryCancelledError:
            return INTERVAL_S
        except (DBAPIError, QueryFailedError, OSError) as error:
            if not self._is_away:
                logger.warning("Usual costs can't be computed at the moment: {}", reason_of(error))
            self._is_away = True
            return AGAIN_S
        self._is_away = False
        return INTERVAL_S

    def stop(self) -> None:
        """End what is being read. From any thread."""
        self._scope.cancel()

    def _compute(self) -> None:
        now = self._clock.wall()
        with self._scope.connect(self._engine) as reading:
            found = list(_percentiles(reading, now - timedelta(days=DAYS)))
        for start in range(0, len(found), PEOPLE_AT_ONCE):
            self._write(found[start : start + PEOPLE_AT_ONCE], now)
        with writing(self._engine) as connection:
            connection.execute(usual_costs.delete().where(_U.computed_at < now))

    def _write(self, found: Sequence[tuple[str, int]], now: datetime) -> None:
        with writing(self._engine) as connection:
            # Those who were erased meanwhile are gone.
            rows = [
                {"initiator_id": id, "cost_nanos": cost, "computed_at": now}
                for id, cost in found
                if any(connection.scalar(sa.select(_exists(id, part))) for part in PARTS)
            ]
            ids = [id for id, _ in found]
            connection.execute(usual_costs.delete().where(_U.initiator_id.in_(ids)))
            if rows:
                connection.execute(usual_costs.insert(), rows)


def _exists(initiator: str, part: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return sa.exists().where(part, _I.initiator_id == initiator)


def _percentiles(connection: sa.Connection, since: datetime) -> Iterator[tuple[str, int]]:
    """The percentile of each person with sessions that have a cost, read a few rows at a time."""
    # Not in the order of the sessions' index, which would be walked through as a whole.
    session = _I.session_id.concat("")
    statement = (
        sa.select(_I.initiator_id, sa.cast(sa.func.sum(_I.cost_nanos), sa.BigInteger).label("cost"))
        .where(PARTS[0], _I.started_at >= since, _I.cost_nanos.is_not(None))
        .group_by(_I.initiator_id, session)
        .order_by(_I.initiator_id)
    )
    streaming = connection.execution_options(yield_per=_ROWS_AT_ONCE)
    for initiator, rows in groupby(streaming.execute(statement), key=lambda row: row.initiator_id):
        costs = sorted(row.cost for row in rows)
        yield initiator, costs[ceil(SHARE * len(costs)) - 1]
