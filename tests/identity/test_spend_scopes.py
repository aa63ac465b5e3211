"""Whom spend limits are for: found by name, checked by id."""

import re
from uuid import uuid4

import pytest

from aibridged.core.budgets import Period, Scope
from aibridged.identity import tables
from aibridged.identity.groups import GroupStore
from aibridged.identity.spend_limits import SpendLimitStore, read_limits
from aibridged.identity.spend_scopes import NoSuchScopeError, ScopeKey, scope_names
from aibridged.identity.tokens import TokenStore
from aibridged.identity.users import IdentityError
from aibridged.records import spend
from aibridged.records.facts import InterceptionStart
from aibridged.records.ids import uuid7
from aibridged.records.store import Store


@pytest.fixture
def limits(database, clock):
    return SpendLimitStore(database.engine, clock, spend, actor="root")


@pytest.fixture
def store(database, clock):
    return TokenStore(database.engine, clock, actor="root")


@pytest.fixture
def groups(database, clock):
    return GroupStore(database.engine, clock, actor="root")


def amounts(database):
    return {(each.scope, each.period): each.cents for each in read_limits(database.engine)}


@pytest.mark.parametrize(
    ("scope", "name", "said"),
    [
        (Scope.USER, "anne", "Did you mean ann?"),
        (Scope.GROUP, "stuff", "Did you mean staff?"),
        (Scope.POOL, "stuff", "Did you mean staff?"),
        (Scope.TOKEN, "xxxxxxxxxx", "no token with this id"),
    ],
)
def test_a_scope_that_nobody_has_is_named_with_what_is_near(
    limits, store, groups, scope, name, said
):
    store.create_user("ann")
    groups.create("staff")
    with pytest.raises(NoSuchScopeError, match=re.escape(said)):
        limits.find(scope, name)


@pytest.mark.parametrize("scope", [Scope.USER, Scope.GROUP, Scope.POOL, Scope.TOKEN])
def test_an_id_that_nobody_has_gets_no_limit(limits, database, scope):
    with pytest.raises(NoSuchScopeError):
        limits.set(ScopeKey(scope, str(uuid4())), Period.DAILY, 1)
    assert amounts(database) == {}


def test_a_user_of_another_identity_backend_who_is_on_record_gets_a_limit(limits, database, clock):
    stranger = str(uuid4())
    records = Store(database.engine)
    records.connect()
    id = uuid7(clock.wall())
    start = InterceptionStart(
        id=id,
        initiator_id=stranger,
        username="stranger",
        provider="anthropic",
        provider_name="anthropic",
        model="claude",
        started_at=clock.wall(),
    )
    records.write([start], [])
    records.close()
    limits.set(limits.find(Scope.USER, stranger), Period.DAILY, 1)
    assert amounts(database) == {("user", "daily"): 1}


def test_a_token_that_does_not_stay_gets_no_limit(limits, store, database):
    store.create_user("ann")
    revoked, _ = store.create_token("ann", name="laptop", lifetime=None)
    store.revoke_token(revoked.id)
    with pytest.raises(NoSuchScopeError, match="is revoked"):
        limits.set(ScopeKey(Scope.TOKEN, revoked.id), Period.DAILY, 1)
    bearer, _ = store.create_token("ann", name="device", lifetime=None)
    with database.engine.begin() as connection:
        connection.execute(tables.tokens.update().values(sign_in_id="s1", revoked_at=None))
    with pytest.raises(IdentityError, match="of its user instead"):
        limits.set(ScopeKey(Scope.TOKEN, bearer.id), Period.DAILY, 1)
    assert amounts(database) == {}


def test_names_are_those_of_people(limits, store, groups, database):
    ann = store.create_user("ann")
    group = groups.create("staff")
    token, _ = store.create_token("ann", name="laptop", lifetime=None)
    keys = [
        ScopeKey(Scope.USER, ann.id),
        ScopeKey(Scope.GROUP, group.id),
        ScopeKey(Scope.POOL, group.id),
        ScopeKey(Scope.TOKEN, token.id),
        ScopeKey(Scope.ORGANIZATION),
        ScopeKey(Scope.USER, "gone"),
    ]
    with database.engine.connect() as connection:
        found = scope_names(connection, keys)
    assert [found.get(key) for key in keys] == ["ann", "staff", "staff", "ann laptop", None, None]
