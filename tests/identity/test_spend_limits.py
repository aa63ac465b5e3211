"""Spend limits as they are stored."""

import pytest

from aibridged.core.budgets import Limit, Period, Scope
from aibridged.identity import tables
from aibridged.identity.spend_limits import read_limits
from aibridged.identity.tables import StoreUnavailableError


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
