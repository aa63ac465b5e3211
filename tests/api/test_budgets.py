"""`GET /budgets`: limits with what is used of them, to admins all and to people their own."""

from datetime import date

import pytest
import sqlalchemy as sa

from aibridged.api import Api
from aibridged.core.budgets import CENT, Period, Scope
from aibridged.errors import GatewayError
from aibridged.identity.base import Actor
from aibridged.identity.looks import Looks
from aibridged.identity.spend_limits import SpendLimitStore
from aibridged.identity.spend_scopes import ScopeKey
from aibridged.identity.user_store import UserStore
from aibridged.records import schema, spend
from aibridged.records.query import Query
from aibridged.records.viewer import NO_TEXTS

ADMIN = Actor("00000000-0000-4000-8000-000000000001", "admin", is_admin=True)


@pytest.fixture
def ask(database, clock):
    api = Api(Query(database.engine, clock, NO_TEXTS), clock, Looks(database.engine, clock))

    async def ask(actor=ADMIN, **parameters):
        clock.advance(1)
        return await api.ask(actor, "GET", "/budgets", parameters)

    yield ask
    api.close()


@pytest.fixture
def people(database, clock):
    users = UserStore(database.engine, clock)
    made = {name: Actor(users.create_user(name).id, name) for name in ("ann", "bob")}
    used = {"ann": 150, "bob": 900}
    with database.engine.begin() as connection:
        connection.execute(
            sa.insert(schema.spend),
            [
                {
                    "subject": f"user:{made[name].id}",
                    "day": date(2026, 1, 1),
                    "spent_nanos": (cents - 50) * CENT,
                    "reserved_nanos": 50 * CENT,
                }
                for name, cents in used.items()
            ],
        )
    limits = SpendLimitStore(database.engine, clock, spend, "root")
    limits.set(ScopeKey(Scope.ORGANIZATION, ""), Period.DAILY, 1000)
    limits.set(ScopeKey(Scope.USER, made["ann"].id), Period.MONTHLY, 150)
    limits.set(ScopeKey(Scope.USER, made["bob"].id), Period.WEEKLY, None)
    return made


async def test_an_administrator_sees_all_limits(ask, people):
    found = await ask(sort="share")
    assert (found["count"], found["more"]) == (3, False)
    ann, everybody, bob = found["budgets"]
    assert ann.pop("id").startswith("spl_")
    assert ann == {
        "scope": "user",
        "scope_id": people["ann"].id,
        "name": "ann",
        "period": "monthly",
        "amount": "1.5",
        "used": "1.5",
        "spent": "1",
        "reserved": "0.5",
        "share": 1.0,
        "resets_at": "2026-02-01T00:00:00Z",
        "people": None,
        "fullest": None,
        "changed_at": "2026-01-01T00:00:00Z",
        "changed_by": "root",
    }
    assert (everybody["share"], everybody["people"], everybody["fullest"]) == (0.9, 2, "bob")
    assert (bob["amount"], bob["share"], bob["used"]) == (None, None, "9")


async def test_pages(ask, people):
    shares = [each["share"] for each in (await ask(sort="share"))["budgets"]]
    first = await ask(sort="share", limit="2")
    assert ([each["share"] for each in first["budgets"]], first["more"]) == (shares[:2], True)
    second = await ask(sort="share", limit="2", offset="2")
    assert ([each["share"] for each in second["budgets"]], second["more"]) == (shares[2:], False)
    with pytest.raises(GatewayError, match="sort is share"):
        await ask(sort="name")


async def test_a_person_sees_what_counts_for_them(ask, people):
    found = (await ask(people["ann"]))["budgets"]
    assert [(each["scope"], each["period"], each["used"], each["share"]) for each in found] == [
        ("organization", "daily", "1.5", 0.15),
        (None, "weekly", "1.5", None),
        ("user", "monthly", "1.5", 1.0),
    ]
    assert not any(each["fullest"] or each["people"] or each["changed_by"] for each in found)


async def test_a_name_that_no_database_can_store_is_nobodys(database, clock):
    api = Api(Query(database.engine, clock, NO_TEXTS), clock, Looks(database.engine, clock))
    with pytest.raises(GatewayError, match="There is no token") as raised:
        await api.ask(ADMIN, "GET", "/budgets/scope", {"scope": "token", "name": "a\0b"})
    assert raised.value.kind.status == 400
    api.close()
