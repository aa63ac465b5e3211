"""Which budget alerts were sent: once a period, whichever daemon comes first, across restarts.

Everything here blocks, and raises RecordingFailedError if the database fails. `try_at` is when an
alert may be sent, or sent again; who does puts it off first, so that nobody else does meanwhile. It
is NULL once nothing is left to do, and `sent_at` is NULL where it wasn't sent.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from aibridged.core.budget_alerts import Alert
from aibridged.dialects import insert
from aibridged.records.database import writing
from aibridged.records.jobs import RecordingFailedError
from aibridged.records.schema import budget_alerts

PRUNED_AT_ONCE = 500

_C = budget_alerts.c
_KEY = ("limit_id", "subject", "period_start", "threshold")


class AlertStore:
    """The alerts of one database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def reach(self, alert: Alert, lower: Collection[int], try_at: datetime | None) -> bool:
        """Note an alert, and whether this one is the first to; then it is to be sent at `try_at`.

        `lower` are the thresholds below, of which none needs to be sent any more.
        """
        row = {
            **{name: getattr(alert, name) for name in (*_KEY, "reached_at")},
            "used_nanos": alert.used,
            "cap_nanos": alert.cap,
            "sent_at": None,
            "try_at": try_at,
        }
        passed = [{**row, "threshold": each, "try_at": None} for each in sorted(lower)]
        with self._begun() as connection:
            statement = insert(self._engine.dialect.name, budget_alerts).on_conflict_do_nothing(
                index_elements=_KEY
            )
            for each in passed:
                connection.execute(statement.values(each))
            first = statement.values(row).returning(_C.threshold)
            return connection.execute(first).first() is not None

    def due(self, now: datetime, most: int) -> list[Alert]:
        """Those that may be sent now, the oldest first."""
        statement = (
            sa.select(*(_C[name] for name in (*_KEY, "reached_at")), _C.used_nanos, _C.cap_nanos)
            .where(_C.try_at <= now, _C.sent_at.is_(None))
            .order_by(_C.try_at)
            .limit(most)
        )
        with self._begun() as connection:
            return [Alert(*tuple(row)) for row in connection.execute(statement)]

    def claim(self, alert: Alert, now: datetime, until: datetime) -> bool:
        """Whether this one may send it, and nobody else until then."""
        return self._change(alert, sa.and_(_C.try_at <= now, _C.sent_at.is_(None)), try_at=until)

    def sent(self, alert: Alert, now: datetime) -> None:
        """It was sent."""
        self._change(alert, sa.true(), sent_at=now, try_at=None)

    def later(self, alert: Alert, try_at: datetime | None) -> None:
        """It wasn't sent, and is tried again then; None: it is given up."""
        self._change(alert, _C.sent_at.is_(None), try_at=try_at)

    def prune(self, before: date) -> int:
        """Delete some alerts of periods that began earlier; returns how many."""
        key = sa.tuple_(*(_C[name] for name in _KEY))
        old = sa.select(*(_C[name] for name in _KEY)).where(_C.period_start < before)
        with self._begun() as connection:
            rows = connection.execute(old.limit(PRUNED_AT_ONCE)).all()
            if rows:
                connection.execute(budget_alerts.delete().where(key.in_([tuple(r) for r in rows])))
            return len(rows)

    def _change(self, alert: Alert, when: sa.ColumnElement[bool], **values: Any) -> bool:
        this = sa.and_(*(_C[name] == getattr(alert, name) for name in _KEY))
        with self._begun() as connection:
            statement = budget_alerts.update().where(this, when).values(values)
            return connection.execute(statement).rowcount > 0

    @contextmanager
    def _begun(self) -> Iterator[sa.Connection]:
        try:
            with writing(self._engine) as connection:
                yield connection
        except (DBAPIError, OSError) as error:
            raise RecordingFailedError from error
