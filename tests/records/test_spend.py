"""The ledger as it is read, and the counters that begin with a pool's or a token's first limit."""

from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from aibridged.records.facts import InterceptionStart
from aibridged.records.ids import uuid7
from aibridged.records.schema import interceptions, spend
from aibridged.records.spend import (
    Spent,
    begin_pool,
    begin_token,
    knows_user,
    record_start,
    spent_by_users,
    spent_since,
    sum_token,
)
from aibridged.records.store import Store

NOW = datetime(2026, 7, 2, 12, tzinfo=UTC)  # a Thursday, whose week began in June
ANN, BOB, EVE = (f"00000000-0000-4000-8000-00000000000{n}" for n in "abc")


@pytest.fixture
def add(database):
    store = Store(database.engine)
    store.connect()

    def add(who, at, cost=None, reserved=None, token=None, **more):
        id = uuid7(at)
        start = InterceptionStart(
            id=id,
            initiator_id=who,
            username="x",
            provider="anthropic",
            provider_name="anthropic",
            model="claude",
            started_at=at,
            api_key_id=token,
        )
        store.write([start], [])
        ended = at + timedelta(seconds=1) if cost is not None else None
        values = {"cost_nanos": cost, "reserved_nanos": reserved, "ended_at": ended, **more}
        with database.engine.begin() as connection:
            this = interceptions.c.id == id
            connection.execute(interceptions.update().where(this).values(values))
        return id

    yield add
    store.close()


def counters(database, subject):
    statement = sa.select(spend).where(spend.c.subject == subject).order_by("day")
    with database.engine.connect() as connection:
        return [tuple(row)[1:] for row in connection.execute(statement)]


@pytest.mark.parametrize(
    ("today", "first"),
    [
        (date(2026, 7, 2), date(2026, 6, 29)),
        (date(2026, 7, 6), date(2026, 7, 1)),
        (date(2026, 7, 31), date(2026, 7, 1)),
        (date(2026, 6, 1), date(2026, 6, 1)),
    ],
)
def test_the_record_of_the_month_and_the_week_is_needed(today, first):
    assert record_start(today) == first


def test_a_pool_begins_with_what_its_members_have_spent(database):
    days = [date(2026, 6, 28), date(2026, 6, 29), date(2026, 7, 1), date(2026, 7, 2)]
    counted = [
        (f"user:{ANN}", days[0], 1, 0),  # before the week
        (f"user:{ANN}", days[1], 10, 0),
        (f"user:{BOB}", days[1], 200, 0),
        (f"user:{ANN}", days[3], 0, 4_000),
        (f"user:{BOB}", days[3], 3_000, 0),
        (f"user:{EVE}", days[3], 50_000, 0),  # no member
        # An earlier limit's, of whose requests some still run.
        ("group_pool:g", days[0], 9, 9),
        ("group_pool:g", days[2], 9, 8),
        ("group_pool:g", days[3], 9, 7),
    ]
    members = sa.select(sa.literal(ANN)).union_all(sa.select(sa.literal(BOB)))
    with database.engine.begin() as connection:
        rows = [dict(zip(spend.c.keys(), row, strict=True)) for row in counted]
        connection.execute(spend.insert(), rows)
        begin_pool(connection, "g", members, NOW)
    assert counters(database, "group_pool:g") == [
        (days[0], 9, 9),
        (days[1], 210, 0),
        (days[2], 0, 8),
        (days[3], 3_000, 7),
    ]


def test_a_token_begins_with_what_was_spent_with_it(database, add):
    late = datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC)
    add(ANN, datetime(2026, 6, 28, 23, tzinfo=UTC), cost=1, token="t1")  # before the week
    add(ANN, late, cost=20, token="t1")
    add(ANN, late + timedelta(seconds=1), cost=300, token="t1")
    add(ANN, NOW, cost=4_000, token="t1")
    add(ANN, NOW, cost=50_000, token="t2")
    add(ANN, NOW, cost=50_000, token="t1", credential_kind="byok")
    add(ANN, NOW, reserved=600_000, token="t1")
    days = {date(2026, 6, 30): 20, date(2026, 7, 1): 300, date(2026, 7, 2): 4_000}
    with database.engine.begin() as connection:
        assert sum_token(connection, "t1", ANN, NOW) == days
        begin_token(connection, "t1", days, NOW)
    assert counters(database, "token:t1") == [(day, spent, 0) for day, spent in days.items()]


def test_what_was_spent_since_a_day_is_summed(database):
    days = [date(2026, 7, 1), date(2026, 7, 2)]
    rows = [
        ("user:a", date(2026, 6, 30), 1, 0),
        ("user:a", date(2026, 7, 1), 20, 3),
        ("user:a", date(2026, 7, 2), 400, 5),
        ("token:t", date(2026, 7, 2), 7, 0),
        ("userx", date(2026, 7, 2), 7, 0),
    ]
    with database.engine.begin() as connection:
        connection.execute(
            spend.insert(), [dict(zip(spend.c.keys(), row, strict=True)) for row in rows]
        )
        everybody = spent_by_users(connection, days)
        some = spent_since(connection, ["user:a", "token:t", *(f"x:{n}" for n in range(600))], days)
    a = {("user:a", days[0]): Spent(420, 8), ("user:a", days[1]): Spent(400, 5)}
    assert everybody == a
    assert everybody["user:a", days[0]].used_nanos == 428
    assert some == {**a, ("token:t", days[0]): Spent(7, 0), ("token:t", days[1]): Spent(7, 0)}


def test_everybody_on_record_is_known(database, add):
    add(ANN, NOW, cost=1)
    add(BOB, NOW)
    with database.engine.connect() as connection:
        known = [knows_user(connection, each) for each in (ANN, BOB, EVE)]
    assert known == [True, True, False]
