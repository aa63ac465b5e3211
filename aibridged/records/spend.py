"""Reads the ledger of what was spent and reserved, and begins the counters of further subjects.

A user's counters are always kept; those of tokens and group pools from the first limit on that they
are given, in the transaction that makes it. They begin with what is on record since `record_start`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from aibridged.core.budgets import user_subject
from aibridged.records.schema import interceptions, spend

_AT_ONCE = 500  # parameters of a statement

# All the locks of which `postgres` takes those of the counters that it changes, in its order: while
# the record is summed up, nothing of it is settled.
_LOCK_LEDGER = sa.text(
    "SELECT pg_advisory_xact_lock(1768055396, place) "
    "FROM (SELECT generate_series(0, 1023) AS place ORDER BY place) AS places"
)

_I = interceptions.c
_COUNTS = _I.credential_kind != "byok"  # which is nobody's money but the caller's


class Spent(NamedTuple):
    """Nano-dollars of a subject since a day; what is reserved is still to be settled."""

    spent_nanos: int = 0
    reserved_nanos: int = 0

    @property
    def used_nanos(self) -> int:
        return self.spent_nanos + self.reserved_nanos

    def plus(self, other: "Spent") -> "Spent":
        return Spent(
            self.spent_nanos + other.spent_nanos, self.reserved_nanos + other.reserved_nanos
        )


NOTHING = Spent()


def record_start(today: date) -> date:
    """The first day of the present month and week, whichever is earlier."""
    return min(today.replace(day=1), today - timedelta(days=today.weekday()))


def begin_pool(
    connection: sa.Connection, group_id: str, members: sa.Select[tuple[str]], now: datetime
) -> None:
    """Begin the counters of a group's pool with what its present members have spent.

    `members` is a select of the ids of users. Their open interceptions are charged to the pool,
    too, when they end.
    """
    subject, first = f"group_pool:{group_id}", record_start(now.date())
    _clear(connection, subject, first)
    _charge(connection, subject, _I.initiator_id.in_(members), first)
    theirs = spend.c.subject.in_(_subjects(members))
    sums = (sa.func.sum(spend.c.spent_nanos), sa.func.sum(spend.c.reserved_nanos))
    statement = sa.select(spend.c.day, *sums).where(theirs, spend.c.day >= first)
    found = connection.execute(statement.group_by(spend.c.day)).all()
    _insert(connection, subject, {day: Spent(int(spent), int(kept)) for day, spent, kept in found})


def sum_token(
    connection: sa.Connection, token_id: str, user_id: str, now: datetime
) -> Mapping[date, Spent]:
    """What was spent with a user's token until yesterday, by day: the longer part of the record.

    It is read before the transaction of `begin_token`, for whose end the writer waits.
    """
    first, end = record_start(now.date()), _yesterday(now)
    has_ended = _I.ended_at.is_not(None)  # for its index
    return dict(_by_day(connection, _with(token_id, user_id, first), _before(end), has_ended))


def begin_token(
    connection: sa.Connection,
    token_id: str,
    user_id: str,
    until_yesterday: Mapping[date, Spent],
    now: datetime,
) -> None:
    """Begin the counters of a user's token with what was spent with it: see `begin_pool`."""
    subject, first, last = f"token:{token_id}", record_start(now.date()), _yesterday(now)
    _clear(connection, subject, first)
    _charge(connection, subject, _I.api_key_id == token_id, first)
    days = defaultdict(Spent, until_yesterday)
    is_theirs = _with(token_id, user_id, last)
    for when in (_I.ended_at.is_(None), _I.ended_at.is_not(None)):  # which have their own indexes
        for day, more in _by_day(connection, is_theirs, when):
            days[day] = days[day].plus(more)
    _insert(connection, subject, days)


def _clear(connection: sa.Connection, subject: str, first: date) -> None:
    """Delete the counters, which may have been kept until an earlier limit was deleted."""
    if connection.dialect.name == "postgresql":
        connection.execute(_LOCK_LEDGER)
    connection.execute(spend.delete().where(spend.c.subject == subject, spend.c.day >= first))


def _charge(
    connection: sa.Connection, subject: str, is_theirs: sa.ColumnElement[bool], first: date
) -> None:
    """Name the subject among those that open interceptions are charged to when they end."""
    before = sa.func.coalesce(_I.charged_to, "")
    is_named = sa.literal(" ").concat(before).concat(" ").like(f"% {subject} %")
    is_open = sa.and_(_I.ended_at.is_(None), _since(first), _COUNTS)
    connection.execute(
        interceptions.update()
        .where(is_open, is_theirs, sa.not_(is_named))
        .values(charged_to=sa.func.trim(before.concat(f" {subject}")))
    )


def _insert(connection: sa.Connection, subject: str, days: Mapping[date, Spent]) -> None:
    if rows := [{"subject": subject, "day": day, **sums._asdict()} for day, sums in days.items()]:
        connection.execute(spend.insert(), rows)


def _subjects(members: sa.Select[tuple[str]]) -> sa.Select[tuple[str]]:
    ids = members.subquery()
    (id,) = ids.c
    return sa.select(sa.literal(user_subject("")).concat(id))


def _yesterday(now: datetime) -> date:
    return now.date() - timedelta(days=1)


def _since(day: date) -> sa.ColumnElement[bool]:
    return _I.started_at >= datetime.combine(day, time(), UTC)


def _before(day: date) -> sa.ColumnElement[bool]:
    return _I.started_at < datetime.combine(day, time(), UTC)


def _with(token_id: str, user_id: str, first: date) -> sa.ColumnElement[bool]:
    return sa.and_(_I.initiator_id == user_id, _I.api_key_id == token_id, _since(first), _COUNTS)


def _by_day(
    connection: sa.Connection, *which: sa.ColumnElement[bool]
) -> Iterator[tuple[date, Spent]]:
    day = _day(connection)
    sums = (sa.func.coalesce(sa.func.sum(each), 0) for each in (_I.cost_nanos, _I.reserved_nanos))
    statement = sa.select(day, *sums).where(*which).group_by(day)
    for day_, spent, reserved in connection.execute(statement):
        yield date.fromisoformat(str(day_)), Spent(int(spent), int(reserved))


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
