"""The audit log: what administrators did, a row each, in the same database.

A row is written in the transaction of what it tells of, where that is one. It names users by their
ids, so that nothing of a person is left in it once they are erased; lists look the names up.
"""

import getpass
import os
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from aibridged.clock import Clock
from aibridged.identity.tables import MAX_ACTION, MAX_ACTOR, audit, tokens, transaction, users

MAX_STATE_BYTES = 64 * 1024
"""Of what a row says was there before, and of what is there after."""
_AT_ONCE = 50
_ABOUT = timedelta(seconds=5)
"""A row is written in the transaction of what it tells of, which may have waited."""
_OF_USERS = ("user", "users", "members")
"""Fields of changes that hold users' ids."""
_CENTS = "cents"
_NAMES = {_CENTS: "amount"}
"""Fields that are called something else in words."""
PRUNED_AT_ONCE = 200
"""Rows that are deleted in one transaction, which others wait for."""


class AuditEntry(msgspec.Struct, frozen=True):
    """A row. `username` is that of the user that the target is, or whose token it is."""

    id: int
    at: datetime
    actor: str
    action: str
    target: str
    username: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows, the newest first, behind the one with the id `after_id`.

    `actor` is part of the actor; `action` is one, or what it begins with up to a dot; `target` is
    a target, or the username of one. Times are inclusive at the start, exclusive at the end.
    """

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None
    limit: int = 100
    after_id: int | None = None


class Trail:
    """Appends rows in the name of an actor, by default of the user of the operating system."""

    def __init__(self, clock: Clock, actor: str | None = None) -> None:
        self._now = clock.wall
        self.actor = (actor or system_user())[:MAX_ACTOR]

    def note(
        self,
        connection: sa.Connection,
        action: str,
        target: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Append a row: see `record`."""
        record(
            connection,
            at=self._now(),
            actor=self.actor,
            action=action,
            target=target,
            before=before,
            after=after,
        )

    def note_all(
        self,
        connection: sa.Connection,
        action: str,
        states: Mapping[str, tuple[Mapping[str, Any] | None, Mapping[str, Any]]],
    ) -> None:
        """Append many rows with one statement: the states before and after, by the target."""
        at = self._now()
        rows = [_row(at, self.actor, action, target, *both) for target, both in states.items()]
        connection.execute(audit.insert(), rows)


def record(
    connection: sa.Connection,
    *,
    at: datetime,
    actor: str,
    action: str,
    target: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Append a row: who did what to whom, and what it changed.

    `action` is a verb with its object, such as `user.erase`; `before` and `after` hold no secrets.
    """
    connection.execute(audit.insert().values(_row(at, actor, action, target, before, after)))


def append(
    engine: sa.Engine, clock: Clock, action: str, actor: str, target: str, after: Mapping[str, Any]
) -> None:
    """Append a row about what isn't in the database, in a transaction of its own.

    Raises:
        StoreUnavailableError: the database failed.
    """
    with transaction(engine) as connection:
        Trail(clock, actor).note(connection, action, target, after=after)


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs between two states with the same fields: before, and after."""
    names = [name for name in before if before[name] != after[name]]
    return {name: before[name] for name in names}, {name: after[name] for name in names}


def entries(connection: sa.Connection, wanted: AuditFilter) -> Generator[AuditEntry]:
    """The rows, the newest first, read a few at a time; close it unless it is exhausted."""
    of_token = sa.select(tokens.c.user_id).where(tokens.c.id == audit.c.target)
    user_id = sa.func.coalesce(of_token.correlate(audit).scalar_subquery(), audit.c.target)
    names = sa.select(users.c.username).where(users.c.id == user_id)
    statement = (
        sa.select(
            *_ROW[:-2], names.correlate(audit).scalar_subquery().label("username"), *_ROW[-2:]
        )
        .where(*_conditions(wanted))
        .order_by(audit.c.id.desc())
        .limit(wanted.limit)
    )
    if wanted.after_id is not None:
        statement = statement.where(audit.c.id < wanted.after_id)
    with connection.execute(statement, execution_options={"yield_per": _AT_ONCE}) as rows:
        for row in rows:
            yield AuditEntry(**row._mapping)


def count(connection: sa.Connection, wanted: AuditFilter) -> int:
    """The number of rows on all pages."""
    statement = sa.select(sa.func.count()).select_from(audit).where(*_conditions(wanted))
    return connection.scalar(statement) or 0


def who_changed(connection: sa.Connection, action: str, target: str, at: datetime) -> str | None:
    """Who did that to the target at about this time; None where the row is gone."""
    mine = audit.c.action == action, audit.c.target == target
    about = audit.c.at.between(at - _ABOUT, at + _ABOUT)
    latest = sa.select(audit.c.actor).where(about, *mine).order_by(audit.c.id.desc()).limit(1)
    return connection.scalar(latest)


def usernames(connection: sa.Connection, ids: Collection[str]) -> dict[str, str]:
    """The usernames of users by their ids, deleted ones included."""
    statement = sa.select(users.c.id, users.c.username).where(users.c.id.in_(list(ids)))
    return {row.id: row.username for row in connection.execute(statement)}


def ids_of_users(found: Iterable[AuditEntry]) -> set[str]:
    """The ids of users in the changes."""
    states = (state for entry in found for state in (entry.before, entry.after) if state)
    given = (state[name] for state in states for name in _OF_USERS if name in state)
    return {id for each in given for id in (each if isinstance(each, list) else [each])}


def change_in_words(entry: AuditEntry, names: Mapping[str, str]) -> str:
    """What a change was: `name: Ann → Anna, amount: $50.00 → $40.00`.

    `names` are usernames by ids. What a row has beside it to say what was changed, such as a
    limit's period, is there once.
    """
    before, after = entry.before or {}, entry.after or {}
    parts = []
    for name in {**before, **after}:
        values = [_told(name, each[name], names) for each in (before, after) if name in each]
        if len(values) == 2 and values[0] == values[1]:
            del values[1]
        if any(values):
            parts.append(
                f"{_NAMES.get(name, name)}: {' → '.join(value or '-' for value in values)}"
            )
    return ", ".join(parts)


def _told(name: str, value: Any, names: Mapping[str, str]) -> str:
    if name == _CENTS and isinstance(value, int):
        return f"${value / 100:,.2f}"
    return _value(value, names)


def _value(value: Any, names: Mapping[str, str]) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    values = value if isinstance(value, list) else [value]
    return " ".join(names.get(str(each), str(each)) for each in values)


def prune(engine: sa.Engine, before: datetime) -> int:
    """Delete the rows that are older, little by little; returns how many. It blocks.

    Raises:
        StoreUnavailableError: the database failed; some may be deleted.
    """
    oldest = sa.select(audit.c.id).where(audit.c.at < before).limit(PRUNED_AT_ONCE)
    total = 0
    while True:
        with transaction(engine) as connection:
            deleted = connection.execute(audit.delete().where(audit.c.id.in_(oldest))).rowcount
        total += deleted
        if deleted < PRUNED_AT_ONCE:
            return total


def system_user(environ: Mapping[str, str] = os.environ) -> str:
    """The actor of a command: the user of the operating system, before `sudo` too."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = ""
    # Only root's environment can be taken at its word, and hardly that.
    before = environ.get("SUDO_USER") if os.geteuid() == 0 else None
    account = f"{name or 'unknown'} (uid {os.geteuid()})"
    return f"{account}, sudo by {before}" if before else account


_ROW = [audit.c[name] for name in ("id", "at", "actor", "action", "target", "before", "after")]


def _conditions(wanted: AuditFilter) -> Iterator[sa.ColumnElement[bool]]:
    if wanted.actor is not None:
        yield audit.c.actor.contains(wanted.actor, autoescape=True)
    if wanted.action is not None:
        kind = audit.c.action.startswith(f"{wanted.action}.", autoescape=True)
        yield sa.or_(audit.c.action == wanted.action, kind)
    if wanted.target is not None:
        named = sa.select(users.c.id).where(users.c.username == wanted.target)
        theirs = sa.select(tokens.c.id).where(tokens.c.user_id.in_(named))
        # Limits and groups have the user's id in what was changed.
        own_id = sa.select(sa.cast(users.c.id, sa.Text)).where(users.c.username == wanted.target)
        changes = [
            sa.cast(state, sa.Text).contains(own_id.scalar_subquery())
            for state in (audit.c.before, audit.c.after)
        ]
        target = audit.c.target
        yield sa.or_(target == wanted.target, target.in_(named), target.in_(theirs), *changes)
    if wanted.started_after is not None:
        yield audit.c.at >= wanted.started_after
    if wanted.started_before is not None:
        yield audit.c.at < wanted.started_before


def _row(
    at: datetime,
    actor: str,
    action: str,
    target: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "at": at,
        "actor": actor[:MAX_ACTOR],
        "action": action[:MAX_ACTION],
        "target": target[:MAX_ACTOR],
        "before": _bounded(before),
        "after": _bounded(after),
    }


def _bounded(state: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not state:
        return None if state is None else {}
    size = len(msgspec.json.encode(state))
    return dict(state) if size <= MAX_STATE_BYTES else {"bytes_left_out": size}
