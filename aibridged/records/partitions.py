"""Partitions by month of what grows with the interceptions, on PostgreSQL (see revision 0019).

A partition of the interceptions has a range of ids, which begin with a time, and those of the
tables that belong to them have the same one. Each month's are made ahead. Where none is there,
rows go to the default partition, and nothing is refused: from a month that was missed, what is
left of it gets one. A range whose rows are all to be deleted is dropped as a whole.

Both lock tables for some milliseconds, and neither waits for a lock for longer than `LOCK_S`: what
comes after it would wait, too. SQLite has no partitions.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple, TypeVar

import sqlalchemy as sa
from loguru import logger
from sqlalchemy.exc import DBAPIError

from aibridged.clock import Clock
from aibridged.records.database import reason_of
from aibridged.records.ids import first_id, made_at
from aibridged.records.schema import PARTITIONED, interceptions, summarised_spans
from aibridged.records.store import DatabaseAwayError
from aibridged.records.summarised_hours import mark_dirty
from aibridged.records.usage_spans import HOUR, hour_of

_T = TypeVar("_T")

INTERVAL_S = 3600.0
"""How often it is looked whether a partition is missing."""
MONTHS_AHEAD = 1
MARGIN = timedelta(minutes=10)
"""A partition begins later than the ids that clocks make now, which have a place already."""
LOCK_S = 0.05
"""How long a lock is waited for."""
ATTEMPTS = 20
PAUSE_S = 0.5
"""Between two of them, in which those that have waited go on."""
STATEMENT_S = 10.0

DROP_ALL = f"DROP TABLE IF EXISTS {', '.join(PARTITIONED)} CASCADE"
"""For a restore: pg_restore can't drop keys of partitions, unless they are gone already."""

_LOCK = 0x6169627061727473  # any number of our own
_PARENT = interceptions.name

_PARTITIONS = sa.text("""
SELECT parent.relname AS of, child.oid::regclass::text AS name,
    pg_get_expr(child.relpartbound, child.oid) AS bounds
FROM pg_inherits JOIN pg_class AS parent ON parent.oid = inhparent
JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = ANY(CAST(:tables AS regclass[]))
""")
_GRANTS = sa.text("""
SELECT format('GRANT %s ON %s TO %s', privilege_type, CAST(:to AS regclass),
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END)
FROM pg_class, aclexplode(relacl)
WHERE oid = CAST(:table AS regclass) AND grantee <> relowner
""")
_ROWS = sa.text("SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = CAST(:name AS regclass)")


class Partition(NamedTuple):
    """A range of ids, and the name of its partition by table; the first one begins at None."""

    first: str | None
    end: str
    names: Mapping[str, str]


class Dropped(NamedTuple):
    """A partition of the interceptions that was dropped, and about how many it had.

    Or why it wasn't, so that its rows have to be deleted.
    """

    name: str
    rows: int = 0
    why_not: str | None = None


class _KeptError(Exception):
    """An interception has come to it before its tables were locked."""


class Partitions:
    """The partitions of one database. Everything but `stop` blocks, and is for one thread."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._stopped = threading.Event()
        self._is_away = False

    def go_on(self) -> float:
        """Make what is missing; returns the seconds until it is time again."""
        try:
            for name in self.make_ahead():
                logger.info("Made the partition {}", name)
        except DatabaseAwayError as error:
            if not self._is_away:
                logger.warning(
                    "{} Records go to the default partition until they are there. With the owner's"
                    " URL, `aibridged db upgrade` makes them",
                    error,
                )
            self._is_away = True
        else:
            self._is_away = False
        return INTERVAL_S

    def stop(self) -> None:
        """End what is being waited for. From any thread."""
        self._stopped.set()

    def make_ahead(self) -> Sequence[str]:
        """Make the partitions of this month and the next, as far as they are missing.

        Returns their names, of the interceptions'. On SQLite there is nothing to do.

        Raises:
            DatabaseAwayError: one can't be made. The role may lack the right to create tables.
        """
        if self._engine.dialect.name != "postgresql":
            return []
        now = self._clock.wall()
        try:
            made = [self._patiently(partial(_make, month, now)) for month in _months(now)]
        except (DBAPIError, OSError) as error:
            said = f"Partitions can't be made: {reason_of(error).rstrip('.')}."
            raise DatabaseAwayError(said) from None
        return [name for name in made if name is not None]

    def drop_before(self, before: datetime) -> Sequence[Dropped]:
        """Drop the partitions of which every interception started before then and has ended.

        Raises:
            DatabaseAwayError: it can't be reached.
        """
        if self._engine.dialect.name != "postgresql":
            return []
        try:
            with self._engine.connect() as connection:
                old = [each for each in _partitions(connection) if made_at(each.end) <= before]
            dropped = [self._drop(each, before) for each in old]
        except (DBAPIError, OSError) as error:
            raise DatabaseAwayError(reason_of(error)) from None
        return [each for each in dropped if each is not None]

    def _drop(self, each: Partition, before: datetime) -> Dropped | None:
        try:
            return self._patiently(partial(_drop, each, before))
        except _KeptError:
            return None
        except DBAPIError as error:
            if not (_is_locked(error) or _is_forbidden(error)):
                raise
            return Dropped(each.names[_PARENT], why_not=reason_of(error))

    def _patiently(self, work: Callable[[sa.Connection], _T | None]) -> _T | None:
        """Do it in one transaction, again if a lock can't be had soon enough."""
        for attempt in range(ATTEMPTS):
            try:
                with _alone(self._engine) as connection:
                    return work(connection)
            except DBAPIError as error:
                is_last = attempt == ATTEMPTS - 1
                if is_last or not _is_passing(error) or self._stopped.wait(PAUSE_S):
                    raise
        return None


def _is_passing(error: DBAPIError) -> bool:
    """Whether it is over soon: a lock of others, or a row that came in between."""
    return _is_locked(error) or getattr(error.orig, "sqlstate", None) == "23514"


def _is_locked(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) in ("55P03", "40P01")


def _is_forbidden(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlstate", None) == "42501"


@contextmanager
def _alone(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that waits for nothing for long, another daemon's like it neither."""
    with engine.begin() as connection:
        for name, seconds in (("lock_timeout", LOCK_S), ("statement_timeout", STATEMENT_S)):
            connection.exec_driver_sql(f"SET LOCAL {name} = {round(seconds * 1000)}")
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        yield connection


def _partitions(connection: sa.Connection) -> Sequence[Partition]:
    """Those with a range that all tables have, in order."""
    names: dict[tuple[str | None, str], dict[str, str]] = {}
    for row in connection.execute(_PARTITIONS, {"tables": list(PARTITIONED)}):
        if (bounds := _bounds(row.bounds)) is not None:
            names.setdefault(bounds, {})[row.of] = row.name
    return [
        Partition(*bounds, found)
        for bounds, found in sorted(names.items(), key=lambda each: each[0][1])
        if len(found) == len(PARTITIONED)
    ]


def _bounds(text: str) -> tuple[str | None, str] | None:
    """The ids of `FOR VALUES FROM (…) TO (…)`."""
    found = re.fullmatch(r"FOR VALUES FROM \((?:MINVALUE|'([^']+)')\) TO \('([^']+)'\)", text)
    return None if found is None else (found[1], found[2])


def _months(now: datetime) -> Iterator[datetime]:
    """The beginning of this month and the next ones."""
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _ in range(1 + MONTHS_AHEAD):
        yield month
        month = _next_month(month)


def _next_month(month: datetime) -> datetime:
    return (month + timedelta(days=32)).replace(day=1)


def _make(month: datetime, now: datetime, connection: sa.Connection) -> str | None:
    """Make the partitions of a month; returns the name of the interceptions', None for none."""
    end = _next_month(month)
    last = first_id(end)
    found = _partitions(connection)
    if any((each.first or "") < last <= each.end for each in found):
        return None
    begin = max(month, *(made_at(each.end) for each in found if each.end < last), _soon(month, now))
    default = f"{_PARENT}_default"
    newest = connection.scalar(
        sa.text(f"SELECT max(CAST(id AS text)) FROM {default} WHERE id >= :first AND id < :last"),
        {"first": first_id(begin), "last": last},
    )
    if newest is not None:
        begin = hour_of(made_at(newest)) + HOUR
    if begin >= end:
        return None
    bounds = f"FOR VALUES FROM ('{first_id(begin)}') TO ('{last}')"
    name = f"p{month:%Y_%m}"
    for table in PARTITIONED:
        _create(connection, table, name)
    for table in PARTITIONED:
        connection.exec_driver_sql(f"ALTER TABLE {table} ATTACH PARTITION {table}_{name} {bounds}")
    return f"{_PARENT}_{name}"


def _soon(month: datetime, now: datetime) -> datetime:
    return month if now + MARGIN <= month else hour_of(now + MARGIN) + HOUR


def _create(connection: sa.Connection, table: str, name: str) -> None:
    """A table that can become a partition; nothing waits for it until then."""
    made = f"{table}_{name}"
    connection.exec_driver_sql(f"CREATE TABLE {made} (LIKE {table} INCLUDING ALL)")
    if table != _PARENT:
        connection.exec_driver_sql(
            f"ALTER TABLE {made} ADD FOREIGN KEY (interception_id)"
            f" REFERENCES {_PARENT}_{name} (id) ON DELETE CASCADE"
        )
    for (statement,) in connection.execute(_GRANTS, {"table": table, "to": made}).all():
        connection.exec_driver_sql(statement.replace("%", "%%"))


def _drop(each: Partition, before: datetime, connection: sa.Connection) -> Dropped | None:
    name = each.names[_PARENT]
    if connection.scalar(sa.select(sa.func.to_regclass(name))) is None:
        return None  # another daemon has dropped it
    if _is_kept(connection, name, before):
        return None
    rows = _rows(connection, name)
    mark_dirty(connection, _summarised(connection, each))
    # All at once, in an order that this has alone; what is under way ends first.
    connection.exec_driver_sql(
        f"LOCK TABLE ONLY {', ONLY '.join(PARTITIONED)} IN ACCESS EXCLUSIVE MODE"
    )
    if _is_kept(connection, name, before):
        raise _KeptError
    children = [each.names[table] for table in PARTITIONED if table != _PARENT]
    connection.exec_driver_sql(f"DROP TABLE {', '.join([*children, name])}")
    return Dropped(name, rows)


def _rows(connection: sa.Connection, name: str) -> int:
    """About how many there are: a count would read all of them, unless they are few."""
    estimate = int(connection.scalar(_ROWS, {"name": name}) or 0)
    return estimate or int(connection.scalar(sa.text(f"SELECT count(*) FROM {name}")) or 0)


def _is_kept(connection: sa.Connection, name: str, before: datetime) -> bool:
    """Whether there is an interception that is open, or started later; by the indexes."""
    open_or_later = sa.text(
        f"SELECT EXISTS (SELECT FROM {name} WHERE ended_at IS NULL) OR coalesce("
        f"(SELECT max(started_at) FROM {name} WHERE ended_at IS NOT NULL) >= :before, false)"
    )
    return bool(connection.scalar(open_or_later, {"before": before}))


def _summarised(connection: sa.Connection, each: Partition) -> Sequence[datetime]:
    """The times of its range that were summed up."""
    start = summarised_spans.c.starts_at
    statement = sa.select(start).distinct().where(start < made_at(each.end)).order_by(start)
    if each.first is not None:
        statement = statement.where(start >= hour_of(made_at(each.first)))
    return connection.scalars(statement).all()
