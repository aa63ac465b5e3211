"""Store of spend limits: who may spend how much in which period. Everything here blocks.

There is one limit of a scope and period. A pool's or token's counters begin with its first limit.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from secrets import token_hex
from typing import Any, Protocol

import sqlalchemy as sa
from msgspec.structs import replace

from aibridged.clock import Clock
from aibridged.core.budgets import Limit, Period, Scope
from aibridged.dialects import insert
from aibridged.identity.audit import Trail
from aibridged.identity.spend_scopes import (
    OF_GROUPS,
    ScopeKey,
    check_group,
    check_token,
    check_user,
    find_scope,
    scope_names,
)
from aibridged.identity.tables import group_members, groups, spend_limits, transaction
from aibridged.identity.users import IdentityError

MAX_CENTS = 10**11
"""A thousand million dollars, which in nano-dollars is still a 64-bit integer."""
MAX_LIMITS = 100_000
MIN_PREFIX = 8
"""Characters of a limit's id, at least, if it isn't the whole one."""
UPSERT, DELETE = "spend_limit.upsert", "spend_limit.delete"

_C = spend_limits.c
_MAX_SHOWN = 64
_KEY = ("scope_type", "scope_id", "period")
_SCOPES = {str(each): each for each in Scope}
_PERIODS = {str(each): each for each in Period}
_LIMITS = (
    sa.select(*_C, groups.c.name.label("group"))
    .outerjoin(groups, sa.and_(_C.scope_type.in_(OF_GROUPS), groups.c.id == _C.scope_id))
    .order_by(_C.id)
)

_IN_FORCE = _LIMITS.with_only_columns(
    _C.id, _C.scope_type, _C.scope_id, _C.period, _C.amount_cents, groups.c.name
)
"""Without their times, to parse which takes longer than all else."""


class StoredLimit(Limit, frozen=True, kw_only=True):
    """A limit with its times."""

    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> ScopeKey:
        return ScopeKey(self.scope, self.scope_id)


class Counters(Protocol):
    """What is kept of spending, in the same database (`records.spend`)."""

    def begin_pool(
        self,
        connection: sa.Connection,
        group_id: str,
        members: sa.Select[tuple[str]],
        now: datetime,
    ) -> None: ...
    def sum_token(
        self, connection: sa.Connection, token_id: str, user_id: str, now: datetime
    ) -> Mapping[date, int]: ...
    def begin_token(
        self, connection: sa.Connection, token_id: str, spent: Mapping[date, int], now: datetime
    ) -> None: ...
    def knows_user(self, connection: sa.Connection, user_id: str) -> bool: ...


class NoSuchLimitError(IdentityError):
    """There is no limit with this id."""


def read_limits(engine: sa.Engine) -> list[Limit]:
    """All limits; those of a group have its name, or None where the group is deleted.

    Raises:
        StoreUnavailableError: the database failed.
    """
    with transaction(engine) as connection:
        return [
            Limit(id, _SCOPES[scope], scope_id, _PERIODS[period], cents, group)
            for id, scope, scope_id, period, cents, group in connection.execute(_IN_FORCE)
        ]


def stored_limits(connection: sa.Connection) -> list[StoredLimit]:
    """The same with their times, the latest made first."""
    latest = _LIMITS.order_by(None).order_by(_C.created_at.desc(), _C.id.desc())
    return [_as_limit(row, row.group) for row in connection.execute(latest)]


def limit_with(connection: sa.Connection, id: str) -> StoredLimit | None:
    """The limit with an id, if there is one."""
    row = connection.execute(_LIMITS.where(_C.id == id)).one_or_none()
    return None if row is None else _as_limit(row, row.group)


class SpendLimitStore:
    """Spend limits. Every method is one transaction and may raise StoreUnavailableError.

    `actor` is who changes them, for the audit log: by default the user of the operating system.
    """

    def __init__(
        self, engine: sa.Engine, clock: Clock, counters: Counters, actor: str | None = None
    ) -> None:
        self._engine = engine
        self._now = clock.wall
        self._counters = counters
        self._trail = Trail(clock, actor)

    def find(self, scope: Scope, name: str) -> ScopeKey:
        """See `find_scope`."""
        with transaction(self._engine) as connection:
            return find_scope(connection, scope, name)

    def one(self, beginning: str) -> tuple[StoredLimit, str | None]:
        """The limit whose id begins so, and the name of its group, user or token.

        Raises:
            NoSuchLimitError: there is none, or there are several.
        """
        is_meant = _C.id == beginning
        if len(beginning) >= MIN_PREFIX:
            is_meant = sa.func.substr(_C.id, 1, len(beginning)) == beginning
        with transaction(self._engine) as connection:
            found = connection.execute(_LIMITS.where(is_meant).limit(2)).all()
            if len(found) != 1:
                raise _no_such_limit(beginning, several=bool(found))
            limit = _as_limit(found[0], found[0].group)
            return limit, scope_names(connection, [limit.key]).get(limit.key)

    def set(self, key: ScopeKey, period: Period, cents: int | None) -> StoredLimit:
        """Make the limit of this scope and period, or replace its amount; None is unlimited.

        Raises:
            IdentityError: the amount is out of bounds, or there is no such group, user or token.
        """
        if cents is not None and not 0 <= cents <= MAX_CENTS:
            raise IdentityError(
                f"A spend limit is from $0.00 to ${MAX_CENTS // 100:,}.00, in whole cents, or "
                "unlimited."
            )
        spent = self._token_spending(key) if key.scope is Scope.TOKEN else None
        with transaction(self._engine) as connection:
            before = _locked(connection, key, period)
            self._check_scope(connection, key)
            group = scope_names(connection, [key]).get(key) if key.scope in OF_GROUPS else None
            if before is None:
                limit = self._make(connection, key, period, cents, spent)
                before = None if limit is not None else _locked(connection, key, period)
            if before is not None:
                limit = self._replace(connection, before, cents)
            assert limit is not None, "another transaction has made it"
            limit = replace(limit, group=group)
            state = None if before is None else state_of(replace(before, group=group))
            self._trail.note(connection, UPSERT, limit.id, before=state, after=state_of(limit))
        return limit

    def delete(self, limit_id: str) -> StoredLimit:
        """Delete a limit.

        Raises:
            NoSuchLimitError: there is none with this id.
        """
        with transaction(self._engine) as connection:
            gone = _delete(connection, self._trail, _C.id == limit_id)
            if not gone:
                raise _no_such_limit(limit_id)
        return gone[0]

    def _token_spending(self, key: ScopeKey) -> Mapping[date, int]:
        """What was spent with a token, unless that is counted already."""
        with transaction(self._engine) as connection:
            owner = check_token(connection, key.id)
            if not _is_first(connection, key):
                return {}
            return self._counters.sum_token(connection, key.id, owner, self._now())

    def _make(
        self,
        connection: sa.Connection,
        key: ScopeKey,
        period: Period,
        cents: int | None,
        spent: Mapping[date, int] | None,
    ) -> StoredLimit | None:
        """Make a limit; None if another transaction was first."""
        if (connection.scalar(sa.select(sa.func.count()).select_from(spend_limits)) or 0) >= (
            MAX_LIMITS
        ):
            raise IdentityError(
                f"There are {MAX_LIMITS:,} spend limits, which is the maximum: delete some, and "
                "set those of groups or of the organisation."
            )
        is_first, now = _is_first(connection, key), self._now()
        row = {
            "id": f"spl_{token_hex(12)}",
            "scope_type": key.scope,
            "scope_id": key.id,
            "period": period,
            "amount_cents": cents,
            "created_at": now,
            "updated_at": now,
        }
        statement = insert(connection.dialect.name, spend_limits).values(row)
        statement = statement.on_conflict_do_nothing(index_elements=_KEY)
        made = connection.execute(statement.returning(*_C)).one_or_none()
        if made is None:
            return None
        if is_first:
            self._begin_counting(connection, key, spent, now)
        return _as_limit(made)

    def _replace(
        self, connection: sa.Connection, before: StoredLimit, cents: int | None
    ) -> StoredLimit:
        changed = {"amount_cents": cents, "updated_at": self._now()}
        statement = spend_limits.update().where(_C.id == before.id).values(changed)
        return _as_limit(connection.execute(statement.returning(*_C)).one())

    def _check_scope(self, connection: sa.Connection, key: ScopeKey) -> None:
        if key.scope in OF_GROUPS:
            check_group(connection, key.id)
        elif key.scope is Scope.TOKEN:
            check_token(connection, key.id)
        elif key.scope is Scope.USER:
            is_on_record = self._counters.knows_user(connection, key.id)
            check_user(connection, key.id, is_on_record=is_on_record)

    def _begin_counting(
        self,
        connection: sa.Connection,
        key: ScopeKey,
        spent: Mapping[date, int] | None,
        now: datetime,
    ) -> None:
        if key.scope is Scope.POOL:
            of_group = group_members.c.group_id == key.id
            members = sa.select(group_members.c.user_id).where(of_group)
            self._counters.begin_pool(connection, key.id, members, now)
        elif spent is not None:
            self._counters.begin_token(connection, key.id, spent, now)


def drop_limits(connection: sa.Connection, trail: Trail, scopes: Sequence[Scope], ids: Any) -> None:
    """Delete the limits of groups, users or tokens that go: by their ids, or a select of those."""
    _delete(connection, trail, _C.scope_type.in_(scopes), _C.scope_id.in_(ids))


def state_of(limit: Limit) -> dict[str, Any]:
    """What the audit log says of a limit: a user by the id, the amount in cents."""
    field = _FIELDS.get(limit.scope)
    whose = {} if field is None else {field: limit.scope_id}
    named = {} if limit.group is None else {"group": limit.group}
    return {
        "scope": limit.scope.value,
        **named,
        **whose,
        "period": limit.period.value,
        "cents": "unlimited" if limit.cents is None else limit.cents,
    }


def key_of(state: Mapping[str, Any]) -> ScopeKey:
    """Whom the limit of such a state is for."""
    scope = Scope(state["scope"])
    return ScopeKey(scope, state.get(_FIELDS.get(scope, ""), ""))


_FIELDS = {
    Scope.GROUP: "group_id",
    Scope.POOL: "group_id",
    Scope.USER: "user",
    Scope.TOKEN: "token",
}


def _is_first(connection: sa.Connection, key: ScopeKey) -> bool:
    """Whether the scope has no limit yet."""
    of_scope = _C.scope_type == key.scope, _C.scope_id == key.id
    return connection.execute(sa.select(_C.id).where(*of_scope).limit(1)).first() is None


def _no_such_limit(id: str, *, several: bool = False) -> NoSuchLimitError:
    shown = repr(id[:_MAX_SHOWN])
    if several:
        return NoSuchLimitError(f"Several spend limits have an id that begins with {shown}.")
    return NoSuchLimitError(
        f"There is no spend limit with the id {shown}. See `aibridged budgets list`."
    )


def _locked(connection: sa.Connection, key: ScopeKey, period: Period) -> StoredLimit | None:
    """The limit of a scope and period, if any; nobody else changes it until the transaction ends.

    On SQLite nobody changes anything: a transaction that reads first could not go on to write.
    """
    this = _C.scope_type == key.scope, _C.scope_id == key.id, _C.period == period
    lock = spend_limits.update().where(*this).values(period=_C.period)
    row = connection.execute(lock.returning(*_C)).one_or_none()
    return None if row is None else _as_limit(row)


def _delete(
    connection: sa.Connection, trail: Trail, *which: sa.ColumnElement[bool]
) -> list[StoredLimit]:
    statement = spend_limits.delete().where(*which).returning(*_C)
    found = [_as_limit(row) for row in connection.execute(statement)]
    of_groups = [limit.key for limit in found if limit.scope in OF_GROUPS]
    names = scope_names(connection, of_groups)
    gone = [replace(limit, group=names.get(limit.key)) for limit in found]
    for limit in gone:
        trail.note(connection, DELETE, limit.id, before=state_of(limit))
    return gone


def _as_limit(row: Any, group: str | None = None) -> StoredLimit:
    return StoredLimit(
        row.id,
        Scope(row.scope_type),
        row.scope_id,
        Period(row.period),
        row.amount_cents,
        group,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
