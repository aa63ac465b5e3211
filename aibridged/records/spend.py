"""Reads the ledger of what was spent and reserved, and begins the counters of further subjects.

A user's counters are always kept; those of tokens and group pools from the first limit on that they
are given, in the transaction that makes it. They begin with what is on record since `record_start`.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from aibridged.core.auth import CredentialKind
from aibridged.core.budgets import user_subject
from aibridged.dialects import insert
from aibridged.records.schema import interceptions, spend

_AT_ONCE = 500  # parameters of a statement

_I = interceptions.c


class Spent(NamedTuple):
    """Nano-dollars of a subject since a day; what is reserved is still to be settled."""

    spent_nanos: int = 0
    reserved_nanos: int = 0

    @property
    def used_nanos(self) -> int:
        return self.spent_nanos + self.reserved_nanos


NOTHING = Spent()


def record_start(today: date) -> date:
    """The first day of the present month and week, whichever is earlier."""
    return min(today.replace(day=1), today - timedelta(days=today.weekday()))


def begin_pool(
    connection: sa.Connection, group_id: str, members: sa.Select[tuple[str]], now: datetime
) -> None:
    """Begin the counters of a group's pool with what its present members have spent.

    `members` is a select of the ids of users. What runs at the moment isn't counted: a request is
    charged to whom it was for when it began.
    """
    first = record_start(now.date())
    theirs = spend.c.subject.in_(_subjects(members))
    sums = sa.select(spend.c.day, sa.func.sum(spend.c.spent_nanos))
    found = connection.execute(sums.where(theirs, spend.c.day >= first).group_by(spend.c.day))
    _begin(connection, f"group_pool:{group_id}", {day: int(spent) for day, spent in found}, first)


def sum_token(
    connection: sa.Connection, token_id: str, user_id: str, now: datetime
) -> Mapping[date, int]:
    """What is on record as spent with a user's token, in nano-dollars by day.

    It is read before the transaction of `begin_token`, for whose end the writer waits.
    """
    since = datetime.combine(record_start(now.date()), time(), UTC)
    day = _day(connection)
    statement = (
        sa.select(day, sa.func.sum(_I.cost_nanos))
        .where(
            _I.initiator_id == user_id,  # for the index
            _I.api_key_id == token_id,
            _I.started_at >= since,
            _I.ended_at.is_not(None),
            _I.cost_nanos.is_not(None),
            _I.credential_kind != CredentialKind.BYOK.value,  # which the caller pays for
        )
        .group_by(day)
    )
    found = connection.execute(statement)
    return {date.fromisoformat(str(day)): int(spent) for day, spent in found}


def begin_token(
    connection: sa.Connection, token_id: str, spent: Mapping[date, int], now: datetime
) -> None:
    """Begin the counters of a token with what was spent with it: see `begin_pool`."""
    _begin(connection, f"token:{token_id}", spent, record_start(now.date()))


def _begin(connection: sa.Connection, subject: str, spent: Mapping[date, int], first: date) -> None:
    """Set the counters since the first day, some of which an earlier limit may have left.

    What is reserved stays: it is of requests that still run, and release it.
    """
    old = spend.c.subject == subject, spend.c.day >= first
    connection.execute(spend.update().where(*old).values(spent_nanos=0))
    statement = insert(connection.dialect.name, spend)
    statement = statement.on_conflict_do_update(
        index_elements=[spend.c.subject, spend.c.day],
        set_={"spent_nanos": statement.excluded.spent_nanos},
    )
    rows = [
        {"subject": subject, "day": day, "spent_nanos": nanos, "reserved_nanos": 0}
        for day, nanos in spent.items()
    ]
    if rows:
        connection.execute(statement, rows)


def _subjects(members: sa.Select[tuple[str]]) -> sa.Select[tuple[str]]:
    (id,) = members.subquery().c
    return sa.select(sa.literal(user_subject("")).concat(id))


def _day(connection: sa.Connection) -> sa.ColumnElement[Any]:
    """The UTC date on which an interception started."""
    if connection.dialect.name == "sqlite":
        return sa.func.date(_I.started_at)
    return sa.cast(sa.func.timezone(sa.literal_column("'UTC'"), _I.started_at), sa.Date)


def spent_since(
    connection: sa.Connection, subjects: Collection[str], days: Collection[date]
) -> Mapping[tuple[str, date], Spent]:
    """What each of the subjects has used since each of the days; nothing where it is nothing."""
    found: dict[tuple[str, date], Spent] = {}
    asked = sorted(subjects)
    for begin in range(0, len(asked), _AT_ONCE):
        some = spend.c.subject.in_(asked[begin : begin + _AT_ONCE])
        found |= _sums(connection, days, some)
    return found


def spent_by_users(
    connection: sa.Connection, days: Collection[date]
) -> Mapping[tuple[str, date], Spent]:
    """The same for everybody, by `user:<id>`."""
    return _sums(connection, days, spend.c.subject.startswith("user:", autoescape=True))


def _sums(
    connection: sa.Connection, days: Collection[date], which: sa.ColumnElement[bool]
) -> dict[tuple[str, date], Spent]:
    found: dict[tuple[str, date], Spent] = {}
    for first in days:
        statement = (
            sa.select(
                spend.c.subject,
                sa.func.sum(spend.c.spent_nanos),
                sa.func.sum(spend.c.reserved_nanos),
            )
            .where(which, spend.c.day >= first)
            .group_by(spend.c.subject)
        )
        for subject, spent, reserved in connection.execute(statement):
            found[subject, first] = Spent(int(spent), int(reserved))
    return found


def knows_user(connection: sa.Connection, user_id: str) -> bool:
    """Whether a user of this id has used the gateway: other identity backends have users, too."""
    asked = sa.select(_I.id).where(_I.initiator_id == user_id).limit(1)
    return connection.execute(asked).first() is not None
