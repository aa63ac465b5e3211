"""Erasure of a person's records on request: texts go, and what counts requests and tokens stays.

Each interception is replaced by one without a person, under ids of its own, so that nothing that
was logged or is still to come finds it: a fact that a daemon writes late refers to a row that is
gone, and is refused by the database. Sessions stay together under names that can't be traced.

Only ended interceptions are erased: as long as one is open, its facts may be in a daemon's memory,
journal or spool.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.core.budgets import user_subject
from aibridged.records.database import failures_told, writing
from aibridged.records.ids import uuid7
from aibridged.records.pacing import Pace
from aibridged.records.schema import (
    budget_alerts,
    interceptions,
    model_thoughts,
    refusals,
    spend,
    stored_objects,
    summarised_spans,
    token_usages,
    tool_usages,
    user_prompts,
    usual_costs,
)
from aibridged.records.scrubbing import scrub
from aibridged.records.summarised_hours import mark_dirty
from aibridged.records.usage_spans import SPANS

_T = TypeVar("_T")

ERASED_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
"""The initiator of what was erased: the UUID of all ones, which no user has (RFC 9562, 5.10)."""
ERASED_NAME = "(erased)"

KEPT = (
    "provider",
    "provider_name",
    "model",
    "client",
    "credential_kind",
    "recorder_id",
    "started_at",
    "ended_at",
    "status_code",
    "outcome",
    "usage_partial",
    "time_to_first_byte_ms",
    "error_type",
    "error_source",
    "background_status",
    "cost_nanos",
    "cost_label",
)
"""What stays of an interception; its other columns are erased."""

OBJECTS_AT_ONCE = 200
LOOK_AGAIN_S = 0.5


class Records(NamedTuple):
    """How much there is of a person: interceptions with what belongs to them, and `open` ones.

    `refusals` are rows: one a day and reason.
    """

    interceptions: int
    prompts: int
    tool_calls: int
    thoughts: int
    stored_objects: int
    refusals: int
    open: int

    @property
    def any(self) -> bool:
        """Whether there is something to erase."""
        return any(self)


class Erasure:
    """Erases records of one database, for the command line: all of it blocks.

    Every method may raise DatabaseError.
    """

    def __init__(
        self,
        engine: sa.Engine,
        clock: Clock,
        pace: Pace,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._pace = pace
        self._sleep = sleep
        self._salt = secrets.token_bytes(16)

    def initiators(self, name: str) -> list[str]:
        """The ids of those in the records who have this username or id."""
        column = interceptions.c.initiator_id
        statement = (
            sa.select(column)
            .where(sa.or_(interceptions.c.username == name, column == name), column != ERASED_ID)
            .distinct()
        )
        return self._read(lambda connection: list(connection.scalars(statement)))

    def count(self, initiator: str) -> Records:
        """How much there is of a person."""
        theirs = interceptions.c.initiator_id == initiator
        is_open = interceptions.c.ended_at.is_(None)

        def count(connection: sa.Connection, table: sa.Table, *where: Any) -> int:
            statement = sa.select(sa.func.count()).select_from(table).where(*where)
            if table not in (interceptions, stored_objects, refusals):
                statement = statement.join_from(table, interceptions).where(theirs)
            return int(connection.scalar(statement) or 0)

        return self._read(
            lambda connection: Records(
                count(connection, interceptions, theirs),
                count(connection, user_prompts),
                count(connection, tool_usages),
                count(connection, model_thoughts),
                count(connection, stored_objects, stored_objects.c.initiator_id == initiator),
                count(connection, refusals, refusals.c.user_id == initiator),
                count(connection, interceptions, theirs, is_open),
            )
        )

    def erase(self, initiator: str, least: float, patience: float) -> None:
        """Erase what has ended, in small batches, and go on for at least so many seconds.

        Open requests are waited for, up to `patience` seconds.
        """
        began = self._clock.monotonic()
        while True:
            while self._paced(lambda connection: self._erase_some(connection, initiator)):
                pass
            elapsed = self._clock.monotonic() - began
            if elapsed >= (patience if self._has_interceptions(initiator) else least):
                break
            self._sleep(LOOK_AGAIN_S)
        self._erase_sums(initiator)
        alerts = budget_alerts.c.subject == user_subject(initiator)
        self._paced(partial(_run, budget_alerts.delete().where(alerts)))
        self._erase_objects(initiator)
        # One row a day and reason: a year has thousands.
        self._paced(partial(_run, refusals.delete().where(refusals.c.user_id == initiator)))
        spent = spend.c.subject == user_subject(initiator)
        self._paced(partial(_run, spend.delete().where(spent, spend.c.reserved_nanos == 0)))
        # What is open will release the rest.
        self._paced(partial(_run, spend.update().where(spent).values(spent_nanos=0)))
        usual = usual_costs.c.initiator_id == initiator
        self._paced(partial(_run, usual_costs.delete().where(usual)))

    def scrub(self, state_dir: Path, patience: float) -> bool:
        """Remove what was deleted from SQLite's files; false if a daemon is still to do it."""
        return scrub(self._engine, state_dir, self._clock, patience, self._sleep)

    def _has_interceptions(self, initiator: str) -> bool:
        theirs = interceptions.c.initiator_id == initiator
        one = sa.select(interceptions.c.id).where(theirs).limit(1)
        return self._read(lambda connection: connection.scalar(one)) is not None

    def _erase_some(self, connection: sa.Connection, initiator: str) -> bool:
        """A batch of interceptions; returns whether there may be more."""
        batch = self._pace.batch
        mine = (
            sa.select(interceptions)
            .where(interceptions.c.initiator_id == initiator, interceptions.c.ended_at.is_not(None))
            .order_by(interceptions.c.started_at)
            .limit(batch)
        )
        rows = connection.execute(mine).mappings().all()
        if not rows:
            return False
        ids = {row["id"]: uuid7(row["started_at"]) for row in rows}
        usages = connection.execute(
            sa.select(token_usages).where(token_usages.c.interception_id.in_([*ids]))
        ).mappings()
        counted = [
            {
                **usage,
                "id": uuid7(usage["created_at"]),
                "interception_id": ids[usage["interception_id"]],
                "provider_response_id": "",
            }
            for usage in usages
        ]
        connection.execute(
            interceptions.insert(), [self._anonymous(row, ids[row["id"]]) for row in rows]
        )
        if counted:
            connection.execute(token_usages.insert(), counted)
        connection.execute(interceptions.delete().where(interceptions.c.id.in_([*ids])))
        mark_dirty(connection, (row["started_at"] for row in rows))
        return len(rows) == batch

    def _anonymous(self, row: sa.RowMapping, id: str) -> dict[str, Any]:
        session = blake2b(row["session_id"].encode(), key=self._salt, digest_size=16)
        return {
            **{name: row[name] for name in KEPT},
            "id": id,
            "initiator_id": ERASED_ID,
            "username": ERASED_NAME,
            "client_session_id": session.hexdigest(),
            "credential_hint": "",
        }

    def _erase_sums(self, initiator: str) -> None:
        """What names the person in summaries that aren't made again yet."""
        for span in SPANS:
            of, each = span.table.c, summarised_spans.c
            if "initiator_id" not in of:
                continue
            dirty = sa.select(each.starts_at).where(each.span == span.name, each.is_dirty)
            theirs = of.initiator_id == initiator
            found = sa.select(of.starts_at).where(theirs, of.starts_at.in_(dirty)).distinct()
            for (start,) in self._read(partial(_rows, found)):
                delete = span.table.delete().where(theirs, of.starts_at == start)
                self._paced(partial(_run, delete))

    def _erase_objects(self, initiator: str) -> None:
        """Who made what a provider stores: read without a lock, since there is no index on it."""
        at = stored_objects.c.created_at
        after = None
        while True:
            page = sa.select(stored_objects).where(stored_objects.c.initiator_id == initiator)
            if after is not None:
                page = page.where(at >= after)
            page = page.order_by(at).limit(OBJECTS_AT_ONCE)
            found = self._read(partial(_rows, page))
            if not found:
                return
            after = found[-1].created_at
            keys = [(row.provider_name, row.object_id) for row in found]
            key = sa.tuple_(stored_objects.c.provider_name, stored_objects.c.object_id)
            delete = stored_objects.delete().where(key.in_(keys))
            self._paced(partial(_run, delete))

    def _paced(self, work: Callable[[sa.Connection], _T]) -> _T:
        """One transaction, when it is time for it."""
        with self._pace.turn(self._sleep), failures_told(), writing(self._engine) as connection:
            return work(connection)

    def _read(self, work: Callable[[sa.Connection], _T]) -> _T:
        with failures_told(), self._engine.begin() as connection:
            return work(connection)


def _rows(statement: sa.Select[Any], connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    return connection.execute(statement).all()


def _run(statement: sa.Delete | sa.Update, connection: sa.Connection) -> None:
    connection.execute(statement)
