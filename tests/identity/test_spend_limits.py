"""Spend limits as they are stored."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import sqlalchemy as sa

from aibridged.core.budgets import Limit, Period, Scope
from aibridged.identity import spend_limits, tables
from aibridged.identity.groups import GroupStore
from aibridged.identity.spend_limits import (
    MAX_CENTS,
    NoSuchLimitError,
    SpendLimitStore,
    key_of,
    read_limits,
    stored_limits,
)
from aibridged.identity.spend_scopes import ScopeKey
from aibridged.identity.tables import StoreUnavailableError
from aibridged.identity.tokens import TokenStore
from aibridged.identity.users import IdentityError
from aibridged.records import schema, spend


def insert(database, clock, *limits):
    now = clock.wall()
    with database.engine.begin() as connection:
        for id, scope, scope_id, period, cents in limits:
            connection.execute(
                tables.spend_limits.insert().values(
                    id=id,
                    scope_type=scope,
                    scope_id=scope_id,
                    period=period,
                    amount_cents=cents,
                    created_at=now,
                    updated_at=now,
                )
            )


def test_limits_are_read_with_the_names_of_their_groups(database, clock):
    with database.engine.begin() as connection:
        row = {"id": "g1", "name": "staff", "created_at": clock.wall()}
        connection.execute(tables.groups.insert().values(**row))
    insert(
        database,
        clock,
        ("spl_1", "organization", "", "monthly", None),
        ("spl_2", "rbac_group", "g1", "daily", 100),
        ("spl_3", "group_pool", "deleted", "weekly", 0),
        ("spl_4", "user", "g1", "daily", 7),
    )
    assert read_limits(database.engine) == [
        Limit("spl_1", Scope.ORGANIZATION, "", Period.MONTHLY, None),
        Limit("spl_2", Scope.GROUP, "g1", Period.DAILY, 100, "staff"),
        Limit("spl_3", Scope.POOL, "deleted", Period.WEEKLY, 0),
        Limit("spl_4", Scope.USER, "g1", Period.DAILY, 7),
    ]


def test_a_failing_database_is_told_as_such(database):
    with database.engine.begin() as connection:
        tables.spend_limits.drop(connection)
    with pytest.raises(StoreUnavailableError):
        read_limits(database.engine)


@pytest.fixture
def limits(database, clock):
    return SpendLimitStore(database.engine, clock, spend, actor="root")


@pytest.fixture
def store(database, clock):
    return TokenStore(database.engine, clock, actor="root")


@pytest.fixture
def groups(database, clock):
    return GroupStore(database.engine, clock, actor="root")


def trail(database):
    statement = sa.select(tables.audit).where(tables.audit.c.action.startswith("spend_limit."))
    with database.engine.connect() as connection:
        rows = connection.execute(statement.order_by("id")).all()
    return [(row.actor, row.action, row.target, row.before, row.after) for row in rows]


def amounts(database):
    return {(each.scope, each.period): each.cents for each in read_limits(database.engine)}


def test_a_limit_is_made_replaced_and_deleted_with_its_rows_in_the_audit_log(
    limits, store, database, clock
):
    ann = store.create_user("ann")
    key = limits.find(Scope.USER, "ann")
    assert key == limits.find(Scope.USER, ann.id) == ScopeKey(Scope.USER, ann.id)
    made = limits.set(key, Period.MONTHLY, 5000)
    assert made.id.startswith("spl_")
    assert made.created_at == made.updated_at == clock.wall()
    clock.advance(60)
    replaced = limits.set(key, Period.MONTHLY, None)
    assert (replaced.id, replaced.created_at, replaced.cents) == (made.id, made.created_at, None)
    assert replaced.updated_at == clock.wall()
    daily = limits.set(key, Period.DAILY, 0)
    with database.engine.connect() as connection:
        assert [each.id for each in stored_limits(connection)] == [daily.id, made.id]
    assert limits.delete(made.id) == replaced
    assert amounts(database) == {("user", "daily"): 0}
    state = {"scope": "user", "user": ann.id, "period": "monthly"}
    fifty, unlimited = {**state, "cents": 5000}, {**state, "cents": "unlimited"}
    none_left = {**state, "period": "daily", "cents": 0}
    assert trail(database) == [
        ("root", "spend_limit.upsert", made.id, None, fifty),
        ("root", "spend_limit.upsert", made.id, fifty, unlimited),
        ("root", "spend_limit.upsert", daily.id, None, none_left),
        ("root", "spend_limit.delete", made.id, unlimited, None),
    ]
    assert key_of(fifty) == key
    with pytest.raises(NoSuchLimitError, match="See `aibridged budgets list`"):
        limits.delete(made.id)


def test_the_audit_log_names_the_group(limits, groups, database):
    group = groups.create("staff")
    limits.set(limits.find(Scope.POOL, "staff"), Period.DAILY, 1)
    groups.delete("staff")
    state = {
        "scope": "group_pool",
        "group": "staff",
        "group_id": group.id,
        "period": "daily",
        "cents": 1,
    }
    assert [row[3:] for row in trail(database)] == [(None, state), (state, None)]
    assert key_of(state) == ScopeKey(Scope.POOL, group.id)


@pytest.mark.parametrize("cents", [-1, MAX_CENTS + 1])
def test_an_amount_has_bounds(limits, database, cents):
    key = limits.find(Scope.ORGANIZATION, "")
    with pytest.raises(IdentityError, match="unlimited"):
        limits.set(key, Period.DAILY, cents)
    limits.set(key, Period.DAILY, MAX_CENTS)
    assert amounts(database) == {("organization", "daily"): MAX_CENTS}


def test_the_number_of_limits_has_a_bound(limits, database, monkeypatch):
    monkeypatch.setattr(spend_limits, "MAX_LIMITS", 1)
    key = limits.find(Scope.ORGANIZATION, "")
    limits.set(key, Period.DAILY, 1)
    limits.set(key, Period.DAILY, 2)
    with pytest.raises(IdentityError, match="maximum"):
        limits.set(key, Period.WEEKLY, 1)
    assert amounts(database) == {("organization", "daily"): 2}


def test_what_is_deleted_takes_its_limits_along(limits, store, groups, database):
    store.create_user("ann")
    bob = store.create_user("bob")
    groups.create("staff")
    token, _ = store.create_token("ann", name="laptop", lifetime=None)
    other, _ = store.create_token("ann", name="desk", lifetime=None)
    for scope, name in (
        (Scope.USER, "ann"),
        (Scope.USER, "bob"),
        (Scope.GROUP, "staff"),
        (Scope.POOL, "staff"),
        (Scope.TOKEN, token.id),
        (Scope.TOKEN, other.id[:8]),
    ):
        limits.set(limits.find(scope, name), Period.DAILY, 1)
    groups.delete("staff")
    assert {scope for scope, _ in amounts(database)} == {"user", "token"}
    store.revoke_token(token.id)
    left = {each.scope_id for each in read_limits(database.engine)}
    assert token.id not in left
    assert other.id in left
    store.delete_user("ann")
    assert [each.scope_id for each in read_limits(database.engine)] == [bob.id]
    gone = [row for row in trail(database) if row[1] == "spend_limit.delete"]
    assert sorted((row[0], row[3]["scope"]) for row in gone) == [
        ("root", scope) for scope in ("group_pool", "rbac_group", "token", "token", "user")
    ]


def test_two_who_set_one_limit_at_once_make_one(limits, database, clock):
    key = ScopeKey(Scope.ORGANIZATION)
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda cents: limits.set(key, Period.DAILY, cents), range(1, 9)))
    [(_, cents)] = amounts(database).items()
    assert {each.id for each in made} == {read_limits(database.engine)[0].id}
    told = trail(database)
    assert len(told) == 8
    assert told[-1][4]["cents"] == cents


def test_the_first_limit_of_a_pool_or_token_begins_its_counters(
    limits, store, groups, database, clock
):
    ann, today = store.create_user("ann"), clock.wall().date()
    groups.create("staff")
    groups.add("staff", ["ann"])
    token, _ = store.create_token("ann", name="laptop", lifetime=None)
    with database.engine.begin() as connection:
        row = {"day": today, "spent_nanos": 70, "reserved_nanos": 0}
        connection.execute(schema.spend.insert().values(subject=f"user:{ann.id}", **row))
        interception = {
            **dict.fromkeys(("provider", "provider_name", "model", "client"), "x"),
            **{"credential_kind": "centralized", "credential_hint": "", "recorder_id": 1},
            **{"id": str(uuid4()), "initiator_id": ann.id, "api_key_id": token.id},
            **{"started_at": clock.wall(), "ended_at": clock.wall(), "cost_nanos": 70},
        }
        connection.execute(schema.interceptions.insert().values(interception))
    for scope, name in ((Scope.POOL, "staff"), (Scope.TOKEN, token.id)):
        key = limits.find(scope, name)
        subject = f"{scope}:{key.id}"
        for period, spent in ((Period.DAILY, 70), (Period.MONTHLY, 75), (Period.DAILY, 75)):
            limits.set(key, period, 5000)
            with database.engine.begin() as connection:
                found = spend.spent_since(connection, [subject], [today])
                assert found == {(subject, today): spend.Spent(spent, 0)}
                counters = schema.spend.update().where(schema.spend.c.subject == subject)
                connection.execute(counters.values(spent_nanos=75))
