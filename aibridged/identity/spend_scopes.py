"""Whom spend limits are for: groups, users and tokens, by their names and ids."""

import re
from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

import sqlalchemy as sa

from aibridged.core.budgets import Scope
from aibridged.identity.tables import groups, not_deleted, tokens, users
from aibridged.identity.users import IdentityError, no_such_group, no_such_user

MIN_PREFIX = 8
"""Characters of a token's id, at least, if it isn't the whole one."""
OF_GROUPS = (Scope.GROUP, Scope.POOL)

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MAX_SHOWN = 64
_AT_ONCE = 500  # parameters of a statement


class ScopeKey(NamedTuple):
    """Whom a limit is for. `id` is that of a group, user or token; the organisation has none."""

    scope: Scope
    id: str = ""


class NoSuchScopeError(IdentityError):
    """There is no such group, user or token."""


def find_scope(connection: sa.Connection, scope: Scope, name: str = "") -> ScopeKey:
    """The scope of a user or group by name or id, or of a token by how its id begins.

    Raises:
        NoSuchScopeError: there is none, or several tokens begin like this.
    """
    if scope is Scope.ORGANIZATION:
        return ScopeKey(scope)
    if scope is Scope.TOKEN:
        return ScopeKey(scope, _token_id(connection, name))
    return ScopeKey(scope, (_group_id if scope in OF_GROUPS else _user_id)(connection, name))


def check_group(connection: sa.Connection, id: str) -> None:
    """Check that there is a group with this id.

    Raises:
        NoSuchScopeError: there is none.
    """
    if connection.execute(sa.select(groups.c.id).where(groups.c.id == id)).first() is None:
        raise NoSuchScopeError(
            f"There is no group with the id {_shown(id)}. See `aibridged groups list --wide`."
        )


def check_user(connection: sa.Connection, id: str, *, is_on_record: bool) -> None:
    """Check that a user with this id isn't deleted, or `is_on_record`.

    Raises:
        NoSuchScopeError: there is no such user.
    """
    found = connection.execute(sa.select(users.c.deleted_at).where(users.c.id == id)).one_or_none()
    if found is None and not is_on_record:
        raise NoSuchScopeError(
            f"There is no user with the id {_shown(id)}. See `aibridged users list --wide`."
        )
    if found is not None and found.deleted_at is not None:
        raise NoSuchScopeError(f"The user with the id {_shown(id)} is deleted.")


def check_token(connection: sa.Connection, id: str) -> str:
    """The id of a token's owner; checks that there is one with this id that stays.

    Raises:
        NoSuchScopeError: there is none, or it is revoked.
        IdentityError: it is a sign-in's.
    """
    columns = tokens.c.user_id, tokens.c.revoked_at, tokens.c.sign_in_id
    asked = sa.select(*columns).where(tokens.c.id == id)
    token = connection.execute(asked).one_or_none()
    if token is None:
        raise _no_token("There is no token with this id")
    if token.revoked_at is not None:
        raise _no_token(f"The token {id} is revoked")
    if token.sign_in_id is not None:
        raise IdentityError(
            f"The token {id} is of a sign-in, which soon replaces it by another: set the limit of "
            "its user instead."
        )
    return str(token.user_id)


def scope_names(connection: sa.Connection, keys: Collection[ScopeKey]) -> dict[ScopeKey, str]:
    """The names of users, groups and tokens (with their users), as far as they are known."""
    by_scope: defaultdict[Scope, list[str]] = defaultdict(list)
    for scope, id in set(keys):
        by_scope[scope].append(id)
    names: dict[ScopeKey, str] = {}
    for scope, statement in _NAMES.items():
        ids = by_scope[scope]
        for begin in range(0, len(ids), _AT_ONCE):
            asked = {"ids": ids[begin : begin + _AT_ONCE]}
            for id, name in connection.execute(statement, asked):
                names[ScopeKey(scope, id)] = name
    return names


def _named(columns: sa.Select[Any], id: sa.Column[Any]) -> sa.Select[Any]:
    return columns.where(id.in_(sa.bindparam("ids", expanding=True)))


_GROUPS = _named(sa.select(groups.c.id, groups.c.name), groups.c.id)
_OWNED = users.c.username.concat(" ").concat(tokens.c.name)
_NAMES = {
    Scope.USER: _named(sa.select(users.c.id, users.c.username), users.c.id),
    Scope.GROUP: _GROUPS,
    Scope.POOL: _GROUPS,
    Scope.TOKEN: _named(sa.select(tokens.c.id, _OWNED).join(users), tokens.c.id),
}


def _user_id(connection: sa.Connection, name: str) -> str:
    known = connection.execute(sa.select(users.c.username, users.c.id).where(not_deleted)).all()
    for username, id in known:
        if name in (username, id):
            return str(id)
    if _UUID.fullmatch(name):
        return name  # maybe of another identity backend
    raise NoSuchScopeError(str(no_such_user(name, [username for username, _ in known])))


def _group_id(connection: sa.Connection, name: str) -> str:
    known = connection.execute(sa.select(groups.c.name, groups.c.id)).all()
    for group, id in known:
        if name in (group, id):
            return str(id)
    raise NoSuchScopeError(str(no_such_group(name, [group for group, _ in known])))


def _token_id(connection: sa.Connection, beginning: str) -> str:
    meant = tokens.c.id == beginning
    if len(beginning) >= MIN_PREFIX:
        meant = sa.func.substr(tokens.c.id, 1, len(beginning)) == beginning
    found = list(connection.execute(sa.select(tokens.c.id).where(meant).limit(2)).scalars())
    if len(found) > 1:
        raise _no_token("Several tokens have an id that begins like this: type all of it")
    if not found:
        raise NoSuchScopeError(
            "There is no token with this id. The id is the part between the underscores of a "
            "token; see `aibridged tokens list`."
        )
    return str(found[0])


def _no_token(what: str) -> NoSuchScopeError:
    # The argument may be a whole token, so it isn't repeated.
    return NoSuchScopeError(f"{what}. See `aibridged tokens list`.")


def _shown(id: str) -> str:
    return repr(id[:_MAX_SHOWN])
